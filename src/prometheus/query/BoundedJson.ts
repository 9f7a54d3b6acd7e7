/** A small response as JSON, kept within bounds while it arrives: nothing is parsed that could take much more memory than it has bytes. */
import { EXCESSIVE, INCOMPLETE, type ValueLimits, ValueScanner } from "./jsonBytes.ts"

/** How much a response may have, after it was unpacked. */
export interface Bounds extends ValueLimits {
  readonly bytes: number
}

const MEBIBYTE = 1024 * 1024

/** The server's time: a few dozen bytes. */
export const clockBounds: Bounds = { bytes: 64 * 1024, depth: 16, containers: 1000 }

/** A list of names: a million of them, mostly, and more where they are short. */
export const namesBounds: Bounds = { bytes: 64 * MEBIBYTE, depth: 16, containers: 1000 }

/** Two levels for each metric family. */
export const metadataBounds: Bounds = { bytes: 64 * MEBIBYTE, depth: 16, containers: 1_000_000 }

/** The response has more than its bounds allow; the message says of what. */
export class OversizedError extends Error {
  override readonly name = "OversizedError"
}

/** Takes the bytes of a body: `push` every chunk, then `finish`. `push` throws an `OversizedError`, `finish` a `SyntaxError`. */
export class BoundedJson {
  private readonly bounds: Bounds
  private readonly scanner: ValueScanner
  private readonly decoder = new TextDecoder()
  private isWhole = false
  private bytes = 0
  /** What has arrived. */
  text = ""

  constructor(bounds: Bounds) {
    this.bounds = bounds
    this.scanner = new ValueScanner(bounds)
  }

  push(chunk: Uint8Array): void {
    this.bytes += chunk.length
    if (this.bytes > this.bounds.bytes) {
      throw new OversizedError(`more than ${this.bounds.bytes / 1024} KiB`)
    }
    if (!this.isWhole) {
      const end = this.scanner.scan(chunk, 0, chunk.length)
      if (end === EXCESSIVE) throw new OversizedError("too many objects or lists, or too many levels of them")
      this.isWhole = end !== INCOMPLETE
    }
    this.text += this.decoder.decode(chunk, { stream: true })
  }

  finish(): unknown {
    return JSON.parse(this.text + this.decoder.decode())
  }
}
