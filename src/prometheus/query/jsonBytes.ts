/** JSON in bytes: finds the end of a value without parsing it, and recognises numbers. */

export const TAB = 0x09
export const NEWLINE = 0x0a
export const RETURN = 0x0d
export const SPACE = 0x20
export const QUOTE = 0x22
export const COMMA = 0x2c
export const COLON = 0x3a
export const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
export const CLOSE_BRACKET = 0x5d
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d

/** The bytes end inside the token; more may follow. */
export const INCOMPLETE = -1

export const isNumber = (text: string): boolean =>
  /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(text)

/** The value exceeds its limits. */
export const EXCESSIVE = -2

/** The limits of a JSON value, checked before it is parsed: nested lists take a hundred times as much memory as text. */
export interface ValueLimits {
  /** Levels of objects and lists. */
  readonly depth: number
  /** Objects and lists in all. */
  readonly containers: number
}

/** Follows one JSON value through any number of chunks, to find where it ends. */
export class ValueScanner {
  private readonly limits: ValueLimits
  private containers = 0
  private depth = 0
  private inString = false
  private escaped = false
  private inScalar = false

  constructor(limits: ValueLimits = { depth: Infinity, containers: Infinity }) {
    this.limits = limits
  }

  /** Returns the index after the value, or EXCESSIVE, or INCOMPLETE: then call it again with the bytes that follow. */
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
          if (++this.depth > this.limits.depth || ++this.containers > this.limits.containers) return EXCESSIVE
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
