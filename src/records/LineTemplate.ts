/**
 * The hot loop of a read: from samples of one series to lines, millions of them a second.
 *
 * All lines of a series are the same but for the time and the value, and the value comes last. So what lies between two
 * values, the end of one line and most of the next, is one copy, with the digits of the time changed in place; and the
 * values are the bytes that the server sent. Per sample there is no string, no object, no date and no call but that copy:
 * each of them would cost more than all the rest.
 */
import type { FloatBlock } from "../prometheus/Sample.ts"
import type { ByteBuffer } from "./ByteBuffer.ts"

const DAY = 86_400_000

/** The first moment whose year has more than four digits. */
const YEAR_10000 = Date.UTC(10_000, 0, 1)

const TIME = Buffer.from("2026-01-01T00:00:00Z")
/** Where in it the date ends. */
const TIME_OF_DAY = TIME.indexOf("T") + 1

const ZERO = 0x30
const NINE = 0x39

/** The lines of one series. */
export class LineTemplate {
  /** What stands between two values, with the time of the line before. */
  private readonly between: Uint8Array
  /** Its parts: the end of a line, and what the next one has up to its value. */
  private readonly after: Uint8Array
  private readonly before: Uint8Array
  private readonly timeAt: number
  /** The midnight whose date the line has. */
  private midnight = Number.NaN

  /** What comes before the time, between it and the value, both without its quotes, and after that, with a line feed. */
  constructor(beforeTime: ReadonlyArray<Uint8Array>, beforeValue: Uint8Array, after: Uint8Array) {
    this.timeAt = beforeTime.reduce((length, bytes) => length + bytes.length, after.length)
    this.between = new Uint8Array(this.timeAt + TIME.length + beforeValue.length)
    let at = 0
    for (const bytes of [after, ...beforeTime, TIME, beforeValue]) {
      this.between.set(bytes, at)
      at += bytes.length
    }
    this.after = this.between.subarray(0, after.length)
    this.before = this.between.subarray(after.length)
  }

  /**
   * Appends a line per sample, from the sample `from` on, up to the first that is not plain: a value that is no number, a
   * time with milliseconds or outside the years 1970 to 9999. Answers the index of that one, or the block's length.
   */
  append(block: FloatBlock, from: number, out: ByteBuffer): number {
    const { after, between } = this
    const { bytes, ends, length, starts, times } = block
    const timeOfDay = this.timeAt + TIME_OF_DAY
    const room = between.length + after.length
    let target = out.bytes
    let at = out.length
    let midnight = this.midnight
    let minuteOfDay = -1
    let piece = this.before
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
      if (minutes !== minuteOfDay) {
        minuteOfDay = minutes
        const hour = (minutes / 60) | 0
        writeTwoDigits(between, timeOfDay, hour)
        writeTwoDigits(between, timeOfDay + 3, minutes - hour * 60)
      }
      writeTwoDigits(between, timeOfDay + 6, seconds - minutes * 60)
      if (at + room + end - start > target.length) {
        out.length = at
        out.reserve(room + end - start)
        target = out.bytes
      }
      target.set(piece, at)
      at += piece.length
      piece = between
      for (let j = start; j < end; j++) target[at++] = bytes[j]!
    }
    if (i > from) {
      target.set(after, at)
      at += after.length
    }
    out.length = at
    return i
  }

  /** Writes the date of a time into the line, if its year has four digits. */
  private turnTo(time: number): boolean {
    if (!(time >= 0 && time < YEAR_10000)) return false
    this.midnight = Math.floor(time / DAY) * DAY
    this.between.set(dateOf(this.midnight), this.timeAt)
    return true
  }
}

let lastMidnight = Number.NaN
let lastDate = TIME.subarray(0, TIME_OF_DAY)

/** `2026-01-01T` of a midnight. Lines of many series have the same date. */
const dateOf = (midnight: number): Uint8Array => {
  if (midnight !== lastMidnight) {
    lastMidnight = midnight
    lastDate = Buffer.from(new Date(midnight).toISOString().slice(0, TIME_OF_DAY))
  }
  return lastDate
}

const writeTwoDigits = (bytes: Uint8Array, at: number, number: number): void => {
  const tens = (number / 10) | 0
  bytes[at] = ZERO + tens
  bytes[at + 1] = ZERO + number - tens * 10
}
