/**
 * Collects a small JSON response as text. Bounds are checked while it arrives, so that parsing takes little more memory than
 * its bytes.
 */
import { EXCESSIVE, INCOMPLETE, type ValueLimits, ValueScanner } from "../query/jsonBytes.ts"

/** The limits of a response, uncompressed. */
export interface Bounds extends ValueLimits {
  readonly bytes: number
}

/** Collects the bytes of a body: `push` each chunk, then `finish`. */
export class BoundedText {
  private readonly bounds: Bounds
  private readonly scanner: ValueScanner
  private readonly decoder = new TextDecoder()
  private isComplete = false
  private bytes = 0
  private text = ""

  constructor(bounds: Bounds) {
    this.bounds = bounds
    this.scanner = new ValueScanner(bounds)
  }

  /** Takes the next bytes. Returns what is too much, if the response exceeds its bounds. */
  push(chunk: Uint8Array): string | undefined {
    this.bytes += chunk.length
    if (this.bytes > this.bounds.bytes) return `more than ${this.bounds.bytes / 1024} KiB`
    if (!this.isComplete) {
      const end = this.scanner.scan(chunk, 0, chunk.length)
      if (end === EXCESSIVE) return "too many objects or lists, or too many levels of them"
      this.isComplete = end !== INCOMPLETE
    }
    this.text += this.decoder.decode(chunk, { stream: true })
    return undefined
  }

  finish(): string {
    return this.text + this.decoder.decode()
  }
}
