/**
 * The hot loop of encoding, in AssemblyScript: from samples of one series to lines.
 *
 * JavaScript checks the bounds of every byte and has no wide loads and stores; `bench/README.md` has the gain.
 *
 * All lines of a series are the same but for the time and the value. So a line is two copies, what is before the value and
 * what is after it, in steps of 16 bytes that may write too many; the digits of the time are changed in place before.
 * And the values are the bytes that the server sent.
 */

/** How many bytes before a value, after it, and of values, and how many samples fit at a time. */
export const BEFORE_CAPACITY: i32 = 32768
export const AFTER_CAPACITY: i32 = 1024
export const VALUES_CAPACITY: i32 = 65536
export const SAMPLES_CAPACITY: i32 = 1024

/** What a line begins with, the time of day being digits that this program sets, and what it ends with. */
export const BEFORE: usize = memory.data(BEFORE_CAPACITY + 16, 16)
export const AFTER: usize = memory.data(AFTER_CAPACITY + 16, 16)
/** The samples: milliseconds (f64), and where each value begins and ends among the bytes (u32). */
export const TIMES: usize = memory.data(SAMPLES_CAPACITY * 8, 16)
export const STARTS: usize = memory.data(SAMPLES_CAPACITY * 4, 16)
export const ENDS: usize = memory.data(SAMPLES_CAPACITY * 4, 16)
export const VALUES: usize = memory.data(VALUES_CAPACITY + 16, 16)
/** Where the memory is free: the lines are from there on. */
export const FREE: usize = memory.data(16, 16)

const DAY: f64 = 86400000
const ZERO: i32 = 0x30
const NINE: u32 = 0x39

/** Where the lines of the last call end. */
let end: usize = 0

export function linesEnd(): usize {
  return end
}

/**
 * Makes a line per sample, as far as there is room, up to the first that is not plain or not of that day: a value that is
 * no number, a time with milliseconds. Returns how many.
 *
 * `timeOfDay`: the index, in what is before a value, of the digits `hh:mm:ss`. `base`: what the positions of values have
 * too much; `valuesLength`: how many bytes of values there are. The lines are made from `lines` to `limit`, and up to 15
 * bytes behind that are written over.
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
    // Not a number is not plain either.
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

/** Copies bytes, and up to 15 more, which are written over later. Returns where those begin. */
function copy(from: usize, to: usize, length: i32): usize {
  for (let i: i32 = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i))
  return to + length
}

function storeTwoDigits(at: usize, number: i32): void {
  const tens = number / 10
  store<u8>(at, ZERO + tens)
  store<u8>(at, ZERO + number - tens * 10, 1)
}
