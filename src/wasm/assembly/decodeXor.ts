/**
 * The hot loop of decoding chunks of the encoding XOR, in AssemblyScript.
 *
 * JavaScript has no integers of 64 bits and checks the bounds of every byte. `bench/README.md` shows the gain.
 */

/** Zeros that must follow the bytes of a chunk: the loop looks ahead. A sample has at most 145 bits. */
export const PADDING: i32 = 48

/** The start of free memory: the bytes of the chunk, and then the samples that are found. */
export const FREE: usize = memory.data(16, 16)

/** Why the loop ended. */
export const COMPLETE: i32 = 0
export const CUT_SHORT: i32 = 1
export const LATE_TIME: i32 = 2
export const INVALID_WINDOW: i32 = 3
export const FAR_TIME: i32 = 4

const MOST_SAFE: f64 = 9007199254740991
const WORD: f64 = 4294967296

/** The interval that is out of range. */
let farInterval: f64 = 0

export function interval(): f64 {
  return farInterval
}

/**
 * Decodes the samples after the first one, whose time and bits are the first items of the arrays: milliseconds (f64) and bits
 * (u64). `position` and `end` are in bits, the first interval comes after the first sample, and `count` includes that.
 */
export function decode(
  position: i32,
  end: i32,
  count: i32,
  firstInterval: f64,
  times: usize,
  values: usize
): i32 {
  swapWords(end)
  let time = load<f64>(times)
  let value = load<u64>(values)
  let delta = firstInterval
  let trailing: u64 = 0
  let width: u64 = 64
  for (let i = 1; i < count; i++) {
    let word = bitsAt(position)
    if (i > 1) {
      // The difference between this interval and the one before.
      if (<i64>word >= 0) {
        position++
        word <<= 1
      } else {
        const ones = <i32>clz(~word)
        if (ones < 4) {
          const size = ones === 1 ? 14 : ones === 2 ? 17 : 20
          const bits = <i32>((word << (ones + 1)) >>> (64 - size))
          delta += <f64>(bits > 1 << (size - 1) ? bits - (1 << size) : bits)
          position += ones + 1 + size
        } else {
          const bits = bitsAt(position + 4)
          position += 68
          delta = delta + <f64>(<i32>(bits >>> 32)) * WORD + <f64>(<u32>bits)
          if (!(abs(delta) <= MOST_SAFE)) {
            // The bits of a chunk that is cut short are not those of an interval.
            if (position > end) return CUT_SHORT
            farInterval = delta
            return FAR_TIME
          }
        }
        word = bitsAt(position)
      }
    }
    if (delta <= 0) return position > end ? CUT_SHORT : LATE_TIME
    time += delta
    if (<i64>word >= 0) position++
    else {
      if ((word << 1) >>> 63) {
        const leading = (word >>> 57) & 31
        width = (word >>> 51) & 63
        if (width === 0) width = 64
        if (leading + width > 64) return INVALID_WINDOW
        trailing = 64 - leading - width
        position += 13
      } else position += 2
      value ^= (bitsAt(position) >>> (64 - width)) << trailing
      position += <i32>width
    }
    if (position > end) return CUT_SHORT
    store<f64>(times + ((<usize>i) << 3), time)
    store<u64>(values + ((<usize>i) << 3), value)
  }
  return COMPLETE
}

/** The 64 bits from a position on. */
function bitsAt(position: i32): u64 {
  const at = FREE + ((<usize>(position >>> 6)) << 3)
  const shift = <u64>(position & 63)
  return (load<u64>(at) << shift) | ((load<u64>(at, 8) >>> 1) >>> (63 - shift))
}

/** Turns bytes into words. The first byte has the highest bits. */
function swapWords(end: i32): void {
  const last = FREE + <usize>(end >>> 3) + PADDING
  for (let at = FREE; at < last; at += 16) {
    const words = v128.load(at)
    v128.store(at, v128.shuffle<u8>(words, words, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8))
  }
}
