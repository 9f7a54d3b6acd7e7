/**
 * The frames of a streamed response, found while its bytes arrive in pieces of any size. A frame is its length as a varint, the
 * CRC-32C of its content in big-endian order, and its content.
 */
import { excerptLine } from "../../text/excerpt.ts"
import { crc32c } from "./crc32c.ts"
import { damaged, oversized } from "./RemoteReadError.ts"

/** The longest frame that is read. Servers aim at a megabyte, and only a series of one huge chunk can exceed that. */
export const MAX_FRAME_BYTES = 50_000_000

const MAX_LENGTH_BYTES = 5
const CHECKSUM_BYTES = 4

/** How much of what is left at the end is kept for a message. */
const MAX_SHOWN_BYTES = 200

/** Buffers of responses that have ended, for the next ones. Servers aim at frames of a megabyte. */
const spare: Array<Uint8Array<ArrayBuffer>> = []
const MAX_SPARE = 4
const MAX_SPARE_BYTES = 4_000_000

/** Finds the frames of one response. */
export class FrameReader {
  private readonly maxBytes: number
  /** The part of a frame that has arrived: `held[0 … length)`. It grows only as bytes arrive. */
  private held = spare.pop() ?? new Uint8Array(0)
  private length = 0
  /** The number of bytes before the first byte of the current frame. */
  private offset = 0

  constructor(maxBytes = MAX_FRAME_BYTES) {
    this.maxBytes = maxBytes
  }

  /**
   * Takes the next bytes, and yields the content of each frame that they complete. A content is valid only until the next one is
   * requested.
   */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, void> {
    let position = 0
    while (this.length > 0) {
      const header = this.headerOf(this.held, 0, this.length)
      const needed = header === undefined ? this.length + 1 : header.contentEnd
      const taken = Math.min(needed - this.length, chunk.length - position)
      this.hold(chunk, position, position + taken)
      position += taken
      if (this.length < needed) return
      if (header === undefined) continue
      this.length = 0
      yield this.checked(this.held, header)
    }
    while (position < chunk.length) {
      const header = this.headerOf(chunk, position, chunk.length)
      if (header === undefined || header.contentEnd > chunk.length) break
      position = header.contentEnd
      yield this.checked(chunk, header)
    }
    this.hold(chunk, position, chunk.length)
  }

  /** To be called at the end of the body. Throws if a frame is incomplete: a server's error may follow the last frame as text. */
  finish(): void {
    if (this.length === 0) {
      this.release()
      return
    }
    const shown = Buffer.from(this.held.subarray(0, Math.min(this.length, MAX_SHOWN_BYTES))).toString(
      "latin1"
    )
    const isText = /^[\x20-\x7e\s]+$/.test(shown)
    throw damaged(
      isText
        ? `it ends with the text "${excerptLine(shown)}" instead of a frame`
        : `it is cut short within the frame at byte ${this.offset}`
    )
  }

  /** Another response may use the buffer. */
  private release(): void {
    const { held } = this
    this.held = new Uint8Array(0)
    if (held.length > 0 && held.length <= MAX_SPARE_BYTES && spare.length < MAX_SPARE) spare.push(held)
  }

  private hold(bytes: Uint8Array, from: number, to: number): void {
    const length = this.length + to - from
    if (length > this.held.length) {
      const grown = new Uint8Array(Math.max(1024, length, Math.min(2 * this.held.length, this.maxBytes)))
      grown.set(this.held.subarray(0, this.length))
      this.held = grown
    }
    this.held.set(bytes.subarray(from, to), this.length)
    this.length = length
  }

  /** The header of the frame at `start`; undefined if it is incomplete. */
  private headerOf(bytes: Uint8Array, start: number, end: number): Header | undefined {
    let length = 0
    for (let i = start, factor = 1; i < end; i++, factor *= 128) {
      if (i - start === MAX_LENGTH_BYTES)
        throw damaged(`the frame at byte ${this.offset} has no valid length`)
      const byte = bytes[i]!
      length += (byte & 0x7f) * factor
      if (byte < 0x80) {
        if (length > this.maxBytes) {
          throw oversized(
            `the frame at byte ${this.offset} claims ${length} bytes, but at most ${this.maxBytes} are read`
          )
        }
        const contentStart = i + 1 + CHECKSUM_BYTES
        if (contentStart > end) return undefined
        const checksum =
          ((bytes[i + 1]! << 24) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 8) | bytes[i + 4]!) >>> 0
        return { start, contentStart, contentEnd: contentStart + length, checksum }
      }
    }
    return undefined
  }

  private checked(bytes: Uint8Array, { checksum, contentEnd, contentStart, start }: Header): Uint8Array {
    if (crc32c(bytes, contentStart, contentEnd) !== checksum) {
      throw damaged(`the frame at byte ${this.offset} does not match its checksum`)
    }
    this.offset += contentEnd - start
    return bytes.subarray(contentStart, contentEnd)
  }
}

interface Header {
  readonly start: number
  readonly contentStart: number
  readonly contentEnd: number
  readonly checksum: number
}
