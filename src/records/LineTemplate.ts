/**
 * The hot loop of a read: from samples of one series to lines, millions of them a second.
 *
 * All lines of a series are the same but for the time and the value, and the value comes last. So a line is made by one
 * copy of what came before it, with the digits of the time changed in place, and the bytes of the value as the server
 * sent them. Per sample there is no string, no object, no date and no call but that copy: each of them would cost more
 * than all the rest.
 */
import type { FloatBlock } from "../prometheus/Sample.ts"
import type { ByteBuffer } from "./ByteBuffer.ts"

const DAY = 86_400_000

/** The first moment whose year has more than four digits. */
const YEAR_10000 = Date.UTC(10_000, 0, 1)

const TIME = "2026-01-01T00:00:00Z"
const TIME_OF_DAY = TIME.indexOf("T") + 1

const ZERO = 0x30
const NINE = 0x39

/** The lines of one series. */
export class LineTemplate {
  /** Up to the value, with the time of the line before. */
  private readonly line: Uint8Array
  private readonly timeAt: number
  private readonly after: Uint8Array
  /** The midnight whose date the line has. */
  private midnight = Number.NaN

  /** The texts before and after the time, both without its quotes, and after the value, with a line feed. */
  constructor(beforeTime: string, beforeValue: string, after: string) {
    this.line = Buffer.from(`${beforeTime}${TIME}${beforeValue}`)
    this.timeAt = Buffer.byteLength(beforeTime)
    this.after = Buffer.from(after)
  }

  /**
   * Appends a line per sample, from the sample `from` on, up to the first that is not plain: a value that is no number, a
   * time with milliseconds or outside the years 1970 to 9999. Answers the index of that one, or the block's length.
   */
  append(block: FloatBlock, from: number, out: ByteBuffer): number {
    const { after, line } = this
    const { bytes, ends, length, starts, times } = block
    const timeOfDay = this.timeAt + TIME_OF_DAY
    const fixed = line.length + after.length
    let target = out.bytes
    let at = out.length
    let midnight = this.midnight
    let i = from
    for (; i < length; i++) {
      const start = starts[i]!
      const end = ends[i]!
      // A number ends with a digit, `NaN` and `Inf` with a letter.
      if (bytes[end - 1]! > NINE) break
      let sinceMidnight = times[i]! - midnight
      // Not a number at first.
      if (!(sinceMidnight >= 0 && sinceMidnight < DAY)) {
        if (!this.turnTo(times[i]!)) break
        midnight = this.midnight
        sinceMidnight = times[i]! - midnight
      }
      const millis = sinceMidnight | 0
      const seconds = (millis / 1000) | 0
      if (seconds * 1000 !== sinceMidnight) break
      const minutes = (seconds / 60) | 0
      const hour = (minutes / 60) | 0
      writeTwoDigits(line, timeOfDay, hour)
      writeTwoDigits(line, timeOfDay + 3, minutes - hour * 60)
      writeTwoDigits(line, timeOfDay + 6, seconds - minutes * 60)
      if (at + fixed + end - start > target.length) {
        out.length = at
        out.reserve(fixed + end - start)
        target = out.bytes
      }
      target.set(line, at)
      at += line.length
      for (let j = start; j < end; j++) target[at++] = bytes[j]!
      for (let j = 0; j < after.length; j++) target[at++] = after[j]!
    }
    out.length = at
    return i
  }

  /** Writes the date of a time into the line, if its year has four digits. */
  private turnTo(time: number): boolean {
    if (!(time >= 0 && time < YEAR_10000)) return false
    this.midnight = Math.floor(time / DAY) * DAY
    const date = new Date(this.midnight).toISOString()
    for (let i = 0; i < TIME_OF_DAY; i++) this.line[this.timeAt + i] = date.charCodeAt(i)
    return true
  }
}

const writeTwoDigits = (bytes: Uint8Array, at: number, number: number): void => {
  const tens = (number / 10) | 0
  bytes[at] = ZERO + tens
  bytes[at + 1] = ZERO + number - tens * 10
}
