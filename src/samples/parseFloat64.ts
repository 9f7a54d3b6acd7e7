/** Parses a value's digits to the nearest float, as `Number` does, but several times as fast. */

/** The powers of ten that are exact floats. */
const powers = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))

const NINE = 0x39
const ZERO = 0x30

/** Parses `bytes[start … end)`: a JSON number, or `NaN`, `+Inf`, `-Inf`. */
export const parseFloat64 = (bytes: Uint8Array, start: number, end: number): number => {
  const isNegative = bytes[start] === 0x2d
  // Up to 15 digits are an exact float, and so is the power of ten, so the quotient is rounded only once. Without sign and
  // point there may be 16 digits; nothing is divided then, and only adding the last digit rounds.
  if (end - start <= 16) {
    let digits = 0
    let decimals = -1
    let i = isNegative ? start + 1 : start
    for (; i < end; i++) {
      const byte = bytes[i]!
      if (byte >= ZERO && byte <= NINE) {
        // Subtract first: adding the byte to the largest exact integers would round.
        digits = digits * 10 + (byte - ZERO)
        if (decimals >= 0) decimals++
      } else if (byte === 0x2e) decimals = 0
      else break
    }
    if (i === end) {
      const value = decimals > 0 ? digits / powers[decimals]! : digits
      return isNegative ? -value : value
    }
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1")
  return text.endsWith("Inf") ? (isNegative ? -Infinity : Infinity) : Number(text)
}

/**
 * The same to at least 14 digits, for charts: further digits are dropped. Most values have as many digits as a float can have,
 * which `parseFloat64` leaves to `Number`.
 */
export const parseFloatApproximately = (bytes: Uint8Array, start: number, end: number): number => {
  const isNegative = bytes[start] === 0x2d
  let digits = 0
  let significant = 0
  let decimals = -1
  for (let i = isNegative ? start + 1 : start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0x2e) decimals = 0
    else if (byte < ZERO || byte > NINE) return parseFloat64(bytes, start, end)
    else if (significant < 15) {
      digits = digits * 10 + byte - ZERO
      if (digits > 0) significant++
      if (decimals >= 0) decimals++
    } else if (decimals < 0) return parseFloat64(bytes, start, end)
  }
  if (decimals >= powers.length) return parseFloat64(bytes, start, end)
  const value = decimals > 0 ? digits / powers[decimals]! : digits
  return isNegative ? -value : value
}
