/**
 * Writes a float in Prometheus' format, as `samples/formatFloat64.ts` does: the shortest digits that are read as the same float.
 *
 * Most values are integers, or decimals of a few places. A decimal of at most 15 digits is the only one of so many digits for its
 * float, and so the shortest. It is found by a product and confirmed by a quotient, both rounded only once. Other
 * floats have 16 or 17 digits, which `shortestDigits` finds.
 */
import { digitsExponent, shortestDigits } from "./shortestDigits"

/** The size of the longest text, `-0.0000012345678901234567`. Up to 32 bytes after a text may be overwritten. */
export const TEXT_CAPACITY: i32 = 25

/** The powers of ten that are exact floats. */
const POWERS: usize = memory.data<f64>([
  1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
  1e20, 1e21, 1e22
])

/** The digits of a number, after zeros. What comes after them is read, but not used. */
const DIGITS: usize = memory.data(24 + 32, 16)
const DIGITS_END: usize = DIGITS + 24
/** Eight zeros. */
const ZEROS: u64 = 0x30303030 | (0x30303030 << 32)

const SIGN_BIT: u64 = 1 << 63
const EXPONENT_BITS: u64 = 0x7ff << 52

const MINUS: u32 = 0x2d
const PLUS: u32 = 0x2b
const DOT: u32 = 0x2e
const ZERO: u32 = 0x30
const LETTER_E: u32 = 0x65

/** Decimals of more digits than 15 may be the same float. */
const MOST_EXACT: f64 = 1e15
/** 2^53: the integers up to it are floats, and the shortest digits of these. */
const MOST_INTEGER: f64 = 9007199254740992
/** Below the first and from the second on, numbers have an exponent. */
const LEAST_PLAIN: f64 = 1e-6
const LEAST_LARGE: f64 = 1e21

/** The decimal places of a value before. Values of a series usually have the same number. */
let places: i32 = 0

/** Writes a finite float. Returns the end of its text. */
export function writeFloat(at: usize, value: f64): usize {
  const bits = reinterpret<u64>(value)
  if (bits & SIGN_BIT) {
    store<u8>(at, MINUS)
    at++
  }
  const size = abs(value)
  if (size <= MOST_INTEGER) {
    const integer = <u64>size
    if (<f64>integer === size) return writeInteger(at, integer)
    if (size >= LEAST_PLAIN) {
      const scaled = nearest(size * power(places))
      if (scaled < MOST_EXACT && scaled / power(places) === size) {
        setDigits(<u64>scaled)
        return writeDecimals(at, places)
      }
      const most = mostPlaces(size)
      const longest = nearest(size * power(most))
      if (longest < MOST_EXACT && longest / power(most) === size) {
        setDigits(<u64>longest)
        places = withoutZeros(most)
        return writeDecimals(at, most)
      }
    }
  }
  return writeLong(at, size)
}

export function isFinite(value: f64): bool {
  return (reinterpret<u64>(value) & EXPONENT_BITS) !== EXPONENT_BITS
}

function power(exponent: i32): f64 {
  return load<f64>(POWERS + ((<usize>exponent) << 3))
}

/** The most decimal places with which a number that is not an integer has at most 15 digits. */
function mostPlaces(size: f64): i32 {
  const exponent = <i32>(reinterpret<u64>(size) >>> 52) - 1023
  // The factor is log10(2), so this is the exponent of ten, or one less.
  const most = 14 - ((exponent * 315652) >> 20)
  if (most <= 0) return 0
  return size * power(most) >= MOST_EXACT ? most - 1 : most
}

/** Sets the digits, with zeros before them. */
function setDigits(number: u64): void {
  const upper = number / 100000000
  const lower = <u32>(number - upper * 100000000)
  const top = <u32>(upper / 100000000)
  setEight(DIGITS, top)
  setEight(DIGITS + 8, <u32>(upper - <u64>top * 100000000))
  setEight(DIGITS + 16, lower)
}

/** Writes the eight digits of a number, by dividing all halves, quarters and eighths at once. */
function setEight(at: usize, number: u32): void {
  const high = number / 10000
  const halves = <u64>high | ((<u64>(number - high * 10000)) << 32)
  // n / 100 is n * 10486 >> 20 up to 9999, and n / 10 is n * 103 >> 10 up to 99.
  const hundreds = ((halves * 10486) >>> 20) & 0x7f0000007f
  const quarters = hundreds | ((halves - hundreds * 100) << 16)
  const tens = ((quarters * 103) >>> 10) & 0xf000f000f000f
  store<u64>(at, tens | ((quarters - tens * 10) << 8) | ZEROS)
}

function writeInteger(at: usize, integer: u64): usize {
  if (integer < 10) {
    store<u8>(at, ZERO + <u32>integer)
    return at + 1
  }
  setDigits(integer)
  const start = firstDigit(DIGITS_END - 1)
  copyDigits(at, start)
  return at + (DIGITS_END - start)
}

/** The place of the first digit that is not zero, at most `last`. */
function firstDigit(last: usize): usize {
  let at = DIGITS
  let word = load<u64>(at) ^ ZEROS
  while (word === 0 && at < last) {
    at += 8
    word = load<u64>(at) ^ ZEROS
  }
  return min(at + <usize>(ctz(word) >>> 3), last)
}

/** The number of decimal places without trailing zeros. */
function withoutZeros(decimals: i32): i32 {
  let at = DIGITS_END - 8
  let word = load<u64>(at) ^ ZEROS
  while (word === 0 && decimals > 8) {
    at -= 8
    decimals -= 8
    word = load<u64>(at) ^ ZEROS
  }
  return max(decimals - <i32>(clz(word) >>> 3), 0)
}

/** Writes the digits with a point before the last `decimals`, without trailing zeros. */
function writeDecimals(at: usize, decimals: i32): usize {
  const point = DIGITS_END - decimals
  const start = firstDigit(point - 1)
  copyDigits(at, start)
  at += point - start
  const left = withoutZeros(decimals)
  if (left === 0) return at
  store<u8>(at, DOT)
  copyDigits(at + 1, point)
  return at + 1 + left
}

/** Copies the digits from a place on, and some bytes more. */
function copyDigits(to: usize, from: usize): void {
  v128.store(to, v128.load(from))
  v128.store(to + 16, v128.load(from + 16))
}

/** Writes a positive float of any digits. */
function writeLong(at: usize, size: f64): usize {
  setDigits(shortestDigits(size))
  const exponent = digitsExponent()
  if (size >= LEAST_PLAIN && size < LEAST_LARGE) {
    if (exponent < 0) return writeDecimals(at, -exponent)
    const start = firstDigit(DIGITS_END - 1)
    copyDigits(at, start)
    at += DIGITS_END - start
    for (let i = 0; i < exponent; i++) store<u8>(at + i, ZERO)
    return at + exponent
  }
  const start = firstDigit(DIGITS_END - 1)
  const decimals = <i32>(DIGITS_END - 1 - start)
  return writeExponent(writeDecimals(at, decimals), exponent + decimals)
}

/** Writes an exponent with its sign and at least two digits. */
function writeExponent(at: usize, exponent: i32): usize {
  store<u8>(at, LETTER_E)
  store<u8>(at, exponent < 0 ? MINUS : PLUS, 1)
  at += 2
  let rest = abs(exponent)
  if (rest >= 100) {
    store<u8>(at, ZERO + rest / 100)
    rest %= 100
    at++
  }
  store<u8>(at, ZERO + rest / 10)
  store<u8>(at, ZERO + (rest % 10), 1)
  return at + 2
}
