/**
 * The shortest digits of a float: Raffaello Giulietti's algorithm "Schubfach".
 *
 * The numbers that are read as a float lie around it, up to the middle between it and its neighbours. With a power of ten that is
 * just smaller than the width of that range, at least one multiple of it is inside, and at most one of ten times it. The middles
 * are compared as integers of 64 bits whose last bit says that something was cut off.
 */

const LEAST_POWER: i32 = -292
const POWER_COUNT: i32 = 617

/** The powers of ten from 10^-292 to 10^324, as their 128 highest bits, rounded up: the lower half, then the upper one. */
export const POWERS_OF_TEN: usize = memory.data(POWER_COUNT * 16, 16)

const HIDDEN_BIT: u64 = 1 << 52

/** The decimal exponent of the last digits. */
let exponent: i32 = 0

export function digitsExponent(): i32 {
  return exponent
}

/** The digits of a positive float as an integer, to be multiplied by the power of ten of `digitsExponent`. May end with zeros. */
export function shortestDigits(value: f64): u64 {
  const bits = reinterpret<u64>(value)
  const fraction = bits & (HIDDEN_BIT - 1)
  const biased = <i32>(bits >>> 52)
  const significand = biased === 0 ? fraction : fraction | HIDDEN_BIT
  const binary = max(biased, 1) - 1075
  // The neighbour below a power of two is half as far away as the one above.
  const isNarrow = fraction === 0 && biased > 1
  const decimal = isNarrow ? (binary * 1262611 - 524031) >> 22 : (binary * 1262611) >> 22
  const power = POWERS_OF_TEN + ((<usize>(-decimal - LEAST_POWER)) << 4)
  const low = load<u64>(power)
  const high = load<u64>(power, 8)
  const shift = <u64>(binary + ((-decimal * 1741647) >> 19) + 1)
  const middle = significand << 2
  // The ends of the range are read as the float only if it is even.
  const odd = significand & 1
  const lower = product(low, high, (middle - (isNarrow ? 1 : 2)) << shift) + odd
  const scaled = product(low, high, middle << shift)
  const upper = product(low, high, (middle + 2) << shift) - odd

  const digits = scaled >>> 2
  if (digits >= 10) {
    const tens = digits / 10
    const isBelow = lower <= 40 * tens
    const isAbove = 40 * tens + 40 <= upper
    if (isBelow !== isAbove) {
      exponent = decimal + 1
      return tens + (isAbove ? 1 : 0)
    }
  }
  exponent = decimal
  const isBelow = lower <= 4 * digits
  const isAbove = 4 * digits + 4 <= upper
  if (isBelow !== isAbove) return digits + (isAbove ? 1 : 0)
  // Both are read as the float: the nearer one, or the even one.
  const half = 4 * digits + 2
  return digits + (scaled > half || (scaled === half && digits & 1) ? 1 : 0)
}

/** The highest 64 of the 192 bits of a product. The lowest of them is set too if others are cut off. */
function product(low: u64, high: u64, factor: u64): u64 {
  const carried = upperHalf(low, factor)
  const inner = high * factor + carried
  const outer = upperHalf(high, factor) + (inner < carried ? 1 : 0)
  return outer | (inner > 1 ? 1 : 0)
}

/** The upper 64 of the 128 bits of a product. */
function upperHalf(a: u64, b: u64): u64 {
  const a0 = a & 0xffffffff
  const a1 = a >>> 32
  const b0 = b & 0xffffffff
  const b1 = b >>> 32
  const cross = a1 * b0 + ((a0 * b0) >>> 32)
  const other = a0 * b1 + (cross & 0xffffffff)
  return a1 * b1 + (cross >>> 32) + (other >>> 32)
}
