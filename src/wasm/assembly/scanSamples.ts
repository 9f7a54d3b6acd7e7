/**
 * The hot loop of decoding, in AssemblyScript: finds the samples of a series.
 *
 * JavaScript checks the bounds of every byte and has no wide loads and stores. `bench/README.md` shows the gain.
 *
 * It only supports samples of the form `[1435781430,"1.5"]`: seconds with ten digits and no fraction, and a JSON number, `NaN`
 * or an infinity. The bytes are followed by a byte that is not a digit, so that scanning digits needs no bounds check.
 */

/** The maximum number of bytes, and of samples, per call. */
export const BYTES_CAPACITY: i32 = 65536
export const SAMPLES_CAPACITY: i32 = 4096

/** The memory for the bytes to scan. */
export const BYTES: usize = memory.data(BYTES_CAPACITY + 64, 16)
/** Milliseconds since the epoch, and the start and end of each value: f64, u32 and u32 per sample. */
export const TIMES: usize = memory.data(SAMPLES_CAPACITY * 8, 16)
export const STARTS: usize = memory.data(SAMPLES_CAPACITY * 4, 16)
export const ENDS: usize = memory.data(SAMPLES_CAPACITY * 4, 16)

/** Why a scan ended: the end of the list of samples, of the bytes, or of the space for samples; or a sample of another form. */
export const LIST_ENDS: i32 = 0
export const BYTES_END: i32 = 1
export const ROOM_ENDS: i32 = 2
export const OTHER_FORM: i32 = 3

/** The length of `[1435781430,"1"],`, the shortest possible sample. */
const SHORTEST: usize = 17

const QUOTE: u32 = 0x22
const PLUS: u32 = 0x2b
const COMMA: u32 = 0x2c
const MINUS: u32 = 0x2d
const DOT: u32 = 0x2e
const ZERO: u32 = 0x30
const UPPER_E: u32 = 0x45
const OPEN_BRACKET: u32 = 0x5b
const CLOSE_BRACKET: u32 = 0x5d
/** `"]` as a little-endian word. */
const QUOTE_BRACKET: u16 = 0x5d22
/** Sets the bit that makes an upper case letter lower case. */
const LOWER: u32 = 0x20

/** `NaN"`, `+Inf` and `-Inf` as little-endian words. */
const NAN: u32 = 0x224e614e
const PLUS_INF: u32 = 0x666e492b
const MINUS_INF: u32 = 0x666e492d

/** Where the last scan ended: the index of the first byte after the samples found. */
let stoppedAt: i32 = 0
/** The number of samples found. */
let found: i32 = 0
/** The byte that is not part of a value. */
let wrongAt: usize = 0

export function position(): i32 {
  return stoppedAt
}

export function count(): i32 {
  return found
}

/** Scans the bytes from `start` to `end`, for at most `room` samples. `base` is added to the positions of values. */
export function scan(from: i32, to: i32, room: i32, base: u32): i32 {
  const end = BYTES + to
  // The bytes after the loaded ones may contain digits of earlier data.
  store<u8>(end, 0)
  let at = BYTES + from
  let samples: i32 = 0
  let outcome = OTHER_FORM
  // Consecutive times begin with the same digits, which are parsed once.
  let word: u64 = 0
  let thousands: i64 = 0
  while (true) {
    if (samples === room) {
      outcome = ROOM_ENDS
      break
    }
    if (end - at < SHORTEST) {
      if (at === end) outcome = BYTES_END
      break
    }
    const first = load<u64>(at)
    if (first !== word) {
      const read = sevenDigits(at)
      if (read < 0) break
      word = first
      thousands = read * 1000
    }
    const hundreds = <u32>load<u8>(at, 8) - ZERO
    const tens = <u32>load<u8>(at, 9) - ZERO
    const ones = <u32>load<u8>(at, 10) - ZERO
    if (hundreds > 9 || tens > 9 || ones > 9) break
    if (<u32>load<u8>(at, 11) !== COMMA || <u32>load<u8>(at, 12) !== QUOTE) break
    const value = at + 13
    const stop = valueEnd(value)
    if (stop === NO_VALUE) {
      if (wrongAt === end) outcome = BYTES_END
      break
    }
    const separator = <u32>load<u8>(stop, 2)
    if (load<u16>(stop) !== QUOTE_BRACKET || (separator !== COMMA && separator !== CLOSE_BRACKET)) {
      if (isCut(stop, end)) outcome = BYTES_END
      break
    }
    store<f64>(TIMES + ((<usize>samples) << 3), <f64>(thousands + hundreds * 100 + tens * 10 + ones) * 1000)
    store<u32>(STARTS + ((<usize>samples) << 2), <u32>(value - BYTES) + base)
    store<u32>(ENDS + ((<usize>samples) << 2), <u32>(stop - BYTES) + base)
    samples++
    at = stop + 3
    if (separator === CLOSE_BRACKET) {
      outcome = LIST_ENDS
      break
    }
  }
  stoppedAt = <i32>(at - BYTES)
  found = samples
  return outcome
}

/** Whether more bytes are needed to decide if a value that ends at `stop` is the end of a sample. */
function isCut(stop: usize, end: usize): bool {
  if (stop === end) return true
  if (<u32>load<u8>(stop) !== QUOTE) return false
  if (stop + 1 === end) return true
  return <u32>load<u8>(stop, 1) === CLOSE_BRACKET && stop + 2 === end
}

/** The number of the seven digits after a bracket, or -1. A leading zero is not valid in a number. */
function sevenDigits(at: usize): i64 {
  if (<u32>load<u8>(at) !== OPEN_BRACKET || <u32>load<u8>(at, 1) === ZERO) return -1
  let number: i64 = 0
  for (let i: usize = 1; i < 8; i++) {
    const digit = <u32>load<u8>(at + i) - ZERO
    if (digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

const NO_VALUE: usize = 0

function noValue(at: usize): usize {
  wrongAt = at
  return NO_VALUE
}

/** The end of the value at `from`, or NO_VALUE. */
function valueEnd(from: usize): usize {
  let at = from
  let byte = <u32>load<u8>(at)
  if (byte === MINUS) byte = <u32>load<u8>(++at)
  if (byte - ZERO > 9) return specialEnd(from, at)
  if (byte === ZERO) byte = <u32>load<u8>(++at)
  else {
    do byte = <u32>load<u8>(++at)
    while (byte - ZERO <= 9)
  }
  if (byte === DOT) {
    const dot = at
    do byte = <u32>load<u8>(++at)
    while (byte - ZERO <= 9)
    if (at === dot + 1) return noValue(at)
  }
  return (byte & ~LOWER) === UPPER_E ? exponentEnd(at) : at
}

/** The end of the exponent whose letter is at `letter`, or NO_VALUE. */
function exponentEnd(letter: usize): usize {
  let at = letter + 1
  let byte = <u32>load<u8>(at)
  if (byte === PLUS || byte === MINUS) byte = <u32>load<u8>(++at)
  if (byte - ZERO > 9) return noValue(at)
  while (byte - ZERO <= 9) byte = <u32>load<u8>(++at)
  return at
}

/** The end of `NaN` or an infinity at `from`, or NO_VALUE; at least four bytes are there. */
function specialEnd(from: usize, wrong: usize): usize {
  const word = load<u32>(from)
  if (word === NAN) return from + 3
  return word === PLUS_INF || word === MINUS_INF ? from + 4 : noValue(wrong)
}
