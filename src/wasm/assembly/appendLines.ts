/**
 * The hot loop of encoding, in AssemblyScript: encodes samples of one series as lines.
 *
 * JavaScript checks the bounds of every byte and has no wide loads and stores. `bench/README.md` shows the gain.
 *
 * The lines of a series differ only in the time and the value. A line is therefore two copies, of the text before the value and
 * the text after it, in steps of 16 bytes that may copy too many. The digits of the time are changed in place first. The values
 * are the bytes that the server sent.
 */

/** The maximum sizes of the text before a value, the text after it and the values, and the maximum number of samples per call. */
export const BEFORE_CAPACITY: i32 = 32768
export const AFTER_CAPACITY: i32 = 1024
export const VALUES_CAPACITY: i32 = 65536
export const SAMPLES_CAPACITY: i32 = 1024

/** The beginning of a line, in which this program sets the digits of the time, and its end. */
export const BEFORE: usize = memory.data(BEFORE_CAPACITY + 16, 16)
export const AFTER: usize = memory.data(AFTER_CAPACITY + 16, 16)
/** The samples: milliseconds (f64), and the start and end of each value among the bytes (u32). */
export const TIMES: usize = memory.data(SAMPLES_CAPACITY * 8, 16)
export const STARTS: usize = memory.data(SAMPLES_CAPACITY * 4, 16)
export const ENDS: usize = memory.data(SAMPLES_CAPACITY * 4, 16)
export const VALUES: usize = memory.data(VALUES_CAPACITY + 16, 16)
/** The start of free memory, which holds the lines. */
export const FREE: usize = memory.data(16, 16)

const DAY: f64 = 86400000
const ZERO: i32 = 0x30
const NINE: u32 = 0x39

/** The end of the lines of the last call. */
let end: usize = 0

export function linesEnd(): usize {
  return end
}

/**
 * Appends a line per sample while there is space, up to the first sample that is not plain or not of that day. A plain value is
 * a number, and a plain time has no milliseconds. Returns the number of lines.
 *
 * `timeOfDay`: the index of the digits `hh:mm:ss` in the text before the value. `base`: the offset to subtract from the
 * positions of values. `valuesLength`: the number of bytes of values. Lines are written from `lines` to `limit`, and up to 15
 * bytes after that are overwritten.
 */
export function append(
  samples: i32,
  midnight: f64,
  beforeLength: i32,
  timeOfDay: i32,
  afterLength: i32,
  base: u32,
  valuesLength: u32,
  lines: usize,
  limit: usize
): i32 {
  const clock = BEFORE + timeOfDay
  let at = lines
  let minuteOfDay: i32 = -1
  let i: i32 = 0
  for (; i < samples; i++) {
    const start = load<u32>(STARTS + ((<usize>i) << 2)) - base
    const stop = load<u32>(ENDS + ((<usize>i) << 2)) - base
    if (start >= stop || stop > valuesLength) break
    if (at + beforeLength + (stop - start) + afterLength > limit) break
    // A number ends with a digit, `NaN` and `Inf` with a letter.
    if (<u32>load<u8>(VALUES + stop - 1) > NINE) break
    const sinceMidnight = load<f64>(TIMES + ((<usize>i) << 3)) - midnight
    // The comparison also rejects NaN.
    if (!(sinceMidnight >= 0 && sinceMidnight < DAY)) break
    const millis = <i32>sinceMidnight
    const seconds = millis / 1000
    if (<f64>(seconds * 1000) !== sinceMidnight) break
    const minutes = seconds / 60
    if (minutes !== minuteOfDay) {
      minuteOfDay = minutes
      const hours = minutes / 60
      storeTwoDigits(clock, hours)
      storeTwoDigits(clock + 3, minutes - hours * 60)
    }
    storeTwoDigits(clock + 6, seconds - minutes * 60)
    at = copy(BEFORE, at, beforeLength)
    at = copy(VALUES + start, at, stop - start)
    at = copy(AFTER, at, afterLength)
  }
  end = at
  return i
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
