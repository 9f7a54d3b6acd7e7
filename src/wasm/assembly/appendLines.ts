/**
 * The hot loops of encoding, in AssemblyScript: encode samples of one series as lines.
 *
 * JavaScript checks the bounds of every byte and has no wide loads and stores. `bench/README.md` shows the gain.
 *
 * The lines of a series differ only in the time and the value. A line is therefore copies of the text up to the seconds of the
 * time, of the text before the value and of the text after it, in steps of 16 bytes that may copy too many. The digits of the
 * time are changed in place first. The values are the bytes that the server sent, or floats.
 */
import { isFinite, TEXT_CAPACITY, writeFloat } from "./digits/writeFloat"

export { POWERS_OF_TEN } from "./digits/shortestDigits"

/** The maximum sizes of the texts of a line and of the values, and the maximum number of samples per call. */
export const BEFORE_CAPACITY: i32 = 32768
export const BETWEEN_CAPACITY: i32 = 128
export const AFTER_CAPACITY: i32 = 1024
export const VALUES_CAPACITY: i32 = 65536
export const SAMPLES_CAPACITY: i32 = 1024

/** The beginning of a line, in which this program sets the digits of the time; what follows the seconds; and the end. */
export const BEFORE: usize = memory.data(BEFORE_CAPACITY + 16, 16)
export const BETWEEN: usize = memory.data(BETWEEN_CAPACITY + 16, 16)
export const AFTER: usize = memory.data(AFTER_CAPACITY + 16, 16)
/**
 * The samples: milliseconds (f64), and the start and end of each value among the bytes (u32). Floats (f64) are in the place of
 * the bytes.
 */
export const TIMES: usize = memory.data(SAMPLES_CAPACITY * 8, 16)
export const STARTS: usize = memory.data(SAMPLES_CAPACITY * 4, 16)
export const ENDS: usize = memory.data(SAMPLES_CAPACITY * 4, 16)
export const VALUES: usize = memory.data(VALUES_CAPACITY + 16, 16)
/** The start of free memory, which holds the lines. */
export const FREE: usize = memory.data(16, 16)

const DAY: f64 = 86400000
const ZERO: i32 = 0x30
const NINE: u32 = 0x39
const DOT: i32 = 0x2e

/** The size of the milliseconds, such as `.250`. */
const MILLIS_BYTES: i32 = 4

/** The end of the lines of the last call. */
let end: usize = 0

export function linesEnd(): usize {
  return end
}

/** The line of the current call: the sizes of its texts, and the time that its digits have. */
let beforeLength: i32 = 0
let betweenLength: i32 = 0
let afterLength: i32 = 0
let clock: usize = 0
let midnight: f64 = 0
let secondOfDay: i32 = -1

/** Sets the line. `timeOfDay` is the index of the digits `hh:mm:ss` in the text before, and `day` their day. */
export function setLine(before: i32, between: i32, after: i32, timeOfDay: i32, day: f64): void {
  beforeLength = before
  betweenLength = between
  afterLength = after
  clock = BEFORE + timeOfDay
  midnight = day
  secondOfDay = -1
}

/**
 * Appends a line per sample while there is space, up to the first sample that is not plain or not of that day. A plain value is
 * a number. Returns the number of lines.
 *
 * `base`: the offset to subtract from the positions of values. `valuesLength`: the number of bytes of values. Lines are written
 * from `lines` to `limit`, and up to 15 bytes after that are overwritten.
 */
export function append(samples: i32, base: u32, valuesLength: u32, lines: usize, limit: usize): i32 {
  const lineLength = beforeLength + MILLIS_BYTES + betweenLength + afterLength
  let at = lines
  let i: i32 = 0
  for (; i < samples; i++) {
    const start = load<u32>(STARTS + ((<usize>i) << 2)) - base
    const stop = load<u32>(ENDS + ((<usize>i) << 2)) - base
    if (start >= stop || stop > valuesLength) break
    if (at + lineLength + (stop - start) > limit) break
    // A number ends with a digit, `NaN` and `Inf` with a letter.
    if (<u32>load<u8>(VALUES + stop - 1) > NINE) break
    const value = writeTime(at, i)
    if (value === 0) break
    at = copy(VALUES + start, value, stop - start)
    at = copy(AFTER, at, afterLength)
  }
  end = at
  return i
}

/** The same for floats. Up to 31 bytes after `limit` are overwritten. */
export function appendFloats(samples: i32, lines: usize, limit: usize): i32 {
  const lineLength = beforeLength + MILLIS_BYTES + betweenLength + TEXT_CAPACITY + afterLength
  let at = lines
  let i: i32 = 0
  for (; i < samples; i++) {
    if (at + lineLength > limit) break
    const value = load<f64>(VALUES + ((<usize>i) << 3))
    if (!isFinite(value)) break
    const text = writeTime(at, i)
    if (text === 0) break
    at = copy(AFTER, writeFloat(text, value), afterLength)
  }
  end = at
  return i
}

/** Writes a line up to its value. Returns the position of that, or 0 if the time is not plain. */
function writeTime(at: usize, index: i32): usize {
  const sinceMidnight = load<f64>(TIMES + ((<usize>index) << 3)) - midnight
  // The comparison also rejects NaN.
  if (!(sinceMidnight >= 0 && sinceMidnight < DAY)) return 0
  const millis = <i32>sinceMidnight
  if (<f64>millis !== sinceMidnight) return 0
  const second = millis / 1000
  if (second !== secondOfDay) setSecond(second)
  at = copy(BEFORE, at, beforeLength)
  const rest = millis - second * 1000
  if (rest !== 0) {
    const hundreds = rest / 100
    const tens = rest / 10
    store<u8>(at, DOT)
    store<u8>(at, ZERO + hundreds, 1)
    store<u8>(at, ZERO + tens - hundreds * 10, 2)
    store<u8>(at, ZERO + rest - tens * 10, 3)
    at += MILLIS_BYTES
  }
  return copy(BETWEEN, at, betweenLength)
}

function setSecond(second: i32): void {
  const minute = second / 60
  const minuteBefore = secondOfDay / 60
  if (minute !== minuteBefore || secondOfDay < 0) {
    const hour = minute / 60
    storeTwoDigits(clock, hour)
    storeTwoDigits(clock + 3, minute - hour * 60)
  }
  storeTwoDigits(clock + 6, second - minute * 60)
  secondOfDay = second
}

/** Copies bytes, and up to 15 more, which are overwritten later. Returns the position of those. */
function copy(from: usize, to: usize, length: i32): usize {
  for (let i: i32 = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i))
  return to + length
}

function storeTwoDigits(at: usize, number: i32): void {
  const tens = number / 10
  store<u8>(at, ZERO + tens)
  store<u8>(at, ZERO + number - tens * 10, 1)
}
