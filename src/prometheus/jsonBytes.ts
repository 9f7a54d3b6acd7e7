/** JSON in bytes: where a number or a value ends, without making anything of it. */

export const TAB = 0x09
export const NEWLINE = 0x0a
export const RETURN = 0x0d
export const SPACE = 0x20
export const QUOTE = 0x22
const PLUS = 0x2b
export const COMMA = 0x2c
const MINUS = 0x2d
export const DOT = 0x2e
export const ZERO = 0x30
export const COLON = 0x3a
const UPPER_E = 0x45
const UPPER_N = 0x4e
export const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
export const CLOSE_BRACKET = 0x5d
const LOWER_E = 0x65
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d

/** The bytes end inside the token; more may follow. */
export const INCOMPLETE = -1
/** Not the plain form that the fast loop knows. */
export const UNUSUAL = -2

/** Whether a byte is a digit: one comparison, since what is less than zero becomes very large. */
export const isDigit = (byte: number): boolean => (byte - ZERO) >>> 0 < 10

/** The end of the digits from `from` on. */
const digitsEnd = (bytes: Uint8Array, from: number, end: number): number => {
  let i = from
  while (i < end && isDigit(bytes[i]!)) i++
  return i
}

/** The end of the sample's value at `from`, or INCOMPLETE, or UNUSUAL where there is none. */
export const valueEnd = (bytes: Uint8Array, from: number, end: number): number => {
  const stop = numberEnd(bytes, from, end)
  return stop === UNUSUAL ? specialEnd(bytes, from, end) : stop
}

/**
 * The same of a number without exponent before a quotation mark, which nearly all values are, or UNUSUAL. `lastQuote` is
 * the last one there is: digits end there at the latest, so that each byte is looked at once and no end is watched for.
 */
export const plainValueEnd = (bytes: Uint8Array, from: number, lastQuote: number): number => {
  if (from > lastQuote) return UNUSUAL
  let i = from
  let byte = bytes[i]!
  if (byte === MINUS) byte = bytes[++i]!
  if (!isDigit(byte)) return UNUSUAL
  if (byte === ZERO) byte = bytes[++i]!
  else {
    do byte = bytes[++i]!
    while (isDigit(byte))
  }
  if (byte === DOT) {
    const dot = i
    do byte = bytes[++i]!
    while (isDigit(byte))
    if (i === dot + 1) return UNUSUAL
  }
  return byte === QUOTE ? i : UNUSUAL
}

/** The same of `NaN`, `+Inf` or `-Inf`. */
const specialEnd = (bytes: Uint8Array, from: number, end: number): number => {
  const length = bytes[from] === UPPER_N ? 3 : 4
  if (end - from < length) return INCOMPLETE
  return isSpecial(String.fromCharCode(...bytes.subarray(from, from + length))) ? from + length : UNUSUAL
}

/** The same of a JSON number. */
const numberEnd = (bytes: Uint8Array, from: number, end: number): number => {
  const integer = from < end && bytes[from] === MINUS ? from + 1 : from
  let i = digitsEnd(bytes, integer, end)
  if (i === end) return INCOMPLETE
  if (i === integer || (bytes[integer] === ZERO && i > integer + 1)) return UNUSUAL
  if (bytes[i] === DOT) {
    const fraction = i + 1
    i = digitsEnd(bytes, fraction, end)
    if (i === end) return INCOMPLETE
    if (i === fraction) return UNUSUAL
  }
  if (bytes[i] === QUOTE) return i
  if (bytes[i] === LOWER_E || bytes[i] === UPPER_E) {
    i++
    if (i < end && (bytes[i] === PLUS || bytes[i] === MINUS)) i++
    const exponent = i
    i = digitsEnd(bytes, exponent, end)
    if (i === end) return INCOMPLETE
    if (i === exponent) return UNUSUAL
  }
  return i
}

/**
 * The number of ten digits at `from`, which must be there, or -1 where they are none. Times in seconds have ten digits
 * from 2001 to 2286. Two halves, since together they do not fit into the integers that are fast.
 */
export const tenDigits = (bytes: Uint8Array, from: number): number => {
  const a = bytes[from]! - ZERO
  const b = bytes[from + 1]! - ZERO
  const c = bytes[from + 2]! - ZERO
  const d = bytes[from + 3]! - ZERO
  const e = bytes[from + 4]! - ZERO
  const f = bytes[from + 5]! - ZERO
  const g = bytes[from + 6]! - ZERO
  const h = bytes[from + 7]! - ZERO
  const i = bytes[from + 8]! - ZERO
  const j = bytes[from + 9]! - ZERO
  // Less than zero has high bits by itself, more than nine once six is added.
  const low = a | b | c | d | e | f | g | h | i | j
  const high =
    (a + 6) | (b + 6) | (c + 6) | (d + 6) | (e + 6) | (f + 6) | (g + 6) | (h + 6) | (i + 6) | (j + 6)
  if (((low | high) & ~15) !== 0 || a === 0) return -1
  return (
    (a * 10_000 + b * 1000 + c * 100 + d * 10 + e) * 100_000 + (f * 10_000 + g * 1000 + h * 100 + i * 10 + j)
  )
}

export const isSpecial = (text: string): boolean => text === "NaN" || text === "+Inf" || text === "-Inf"

export const isNumber = (text: string): boolean =>
  /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(text)

/** Follows one JSON value through any number of chunks, to find where it ends. */
export class ValueScanner {
  private depth = 0
  private inString = false
  private escaped = false
  private inScalar = false

  /** The index after the value, or INCOMPLETE; then call again with the bytes that follow. */
  scan(bytes: Uint8Array, from: number, end: number): number {
    for (let i = from; i < end; i++) {
      const c = bytes[i]
      if (this.inString) {
        if (this.escaped) this.escaped = false
        else if (c === BACKSLASH) this.escaped = true
        else if (c === QUOTE) {
          this.inString = false
          if (this.depth === 0) return i + 1
        }
        continue
      }
      switch (c) {
        case QUOTE:
          this.inString = true
          break
        case OPEN_BRACE:
        case OPEN_BRACKET:
          this.depth++
          break
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          if (this.depth === 0) return i
          if (--this.depth === 0) return i + 1
          break
        case COMMA:
        case SPACE:
        case TAB:
        case NEWLINE:
        case RETURN:
          if (this.depth === 0 && this.inScalar) return i
          break
        default:
          this.inScalar = true
      }
    }
    return INCOMPLETE
  }
}
