/**
 * Writes times as records have them, `2026-01-01T00:00:00Z` or with milliseconds where they are not zero.
 *
 * A read writes the same hours over and over, once per series: their text is kept, the rest is arithmetic.
 */
const HOUR = 3_600_000

/** The length of the longest text, which has a year beyond 9999: `+012026-01-01T00:00:00.000Z`. */
export const MAX_TIME_BYTES = 27

/** More hours than this are not kept: they would be a year and more. */
const MAX_HOURS = 10_000

const ZERO = 0x30

export class TimeText {
  /** `2026-01-01T00:` by hour since the epoch. */
  private readonly hours = new Map<number, Uint8Array>()

  /** Writes the text of `millis` at `at`, where MAX_TIME_BYTES must be free, and answers where it ends. */
  write(out: Uint8Array, at: number, millis: number): number {
    const hour = Math.floor(millis / HOUR)
    const text = this.hourText(hour)
    out.set(text, at)
    let i = at + text.length
    const rest = millis - hour * HOUR
    const minute = (rest / 60_000) | 0
    const second = ((rest - minute * 60_000) / 1000) | 0
    const milli = rest % 1000
    const tensOfMinutes = (minute / 10) | 0
    const tensOfSeconds = (second / 10) | 0
    out[i++] = ZERO + tensOfMinutes
    out[i++] = ZERO + minute - tensOfMinutes * 10
    out[i++] = 0x3a // :
    out[i++] = ZERO + tensOfSeconds
    out[i++] = ZERO + second - tensOfSeconds * 10
    if (milli !== 0) {
      out[i++] = 0x2e // .
      out[i++] = ZERO + ((milli / 100) | 0)
      out[i++] = ZERO + (((milli / 10) | 0) % 10)
      out[i++] = ZERO + (milli % 10)
    }
    out[i++] = 0x5a // Z
    return i
  }

  private hourText(hour: number): Uint8Array {
    const known = this.hours.get(hour)
    if (known !== undefined) return known
    if (this.hours.size === MAX_HOURS) this.hours.clear()
    // Years beyond 9999 have a sign and six digits, so the colon is found and not counted.
    const iso = new Date(hour * HOUR).toISOString()
    const text = Buffer.from(iso.slice(0, iso.indexOf(":") + 1), "latin1")
    this.hours.set(hour, text)
    return text
  }
}
