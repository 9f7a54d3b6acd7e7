/** A template for the lines of one series, which differ only in time and value. */
const DAY = 86_400_000

/** The first moment whose year has more than four digits. */
const YEAR_10000 = Date.UTC(10_000, 0, 1)

/** A time up to its seconds. Milliseconds may follow, and then the letter of the zone. */
const TIME = Buffer.from("2026-01-01T00:00:00")
const ZONE = Buffer.from("Z")
/** The index of the end of the date. */
const TIME_OF_DAY = TIME.indexOf("T") + 1

export class LineTemplate {
  /** The part of a line up to the seconds of its time, with the date of `midnight` and any time of day. */
  readonly before: Uint8Array
  /** The part of a line between the digits of its time and its value. */
  readonly between: Uint8Array
  /** The part of a line after its value. */
  readonly after: Uint8Array
  /** The index of the time of day in `before`. */
  readonly timeOfDayAt: number
  /** The current day, in milliseconds since the epoch. */
  midnight = Number.NaN

  /** The text before the time, between the time and the value (both without quotes), and after the value, with a line feed. */
  constructor(beforeTime: ReadonlyArray<Uint8Array>, beforeValue: Uint8Array, after: Uint8Array) {
    this.before = Buffer.concat([...beforeTime, TIME])
    this.between = Buffer.concat([ZONE, beforeValue])
    this.after = after
    this.timeOfDayAt = this.before.length - TIME.length + TIME_OF_DAY
  }

  /** Writes the date of a time into the line. Returns false if the time is outside the years 1970 to 9999. */
  turnTo(time: number): boolean {
    if (!(time >= 0 && time < YEAR_10000)) return false
    const midnight = Math.floor(time / DAY) * DAY
    if (midnight !== this.midnight) {
      this.midnight = midnight
      this.before.set(dateOf(midnight), this.timeOfDayAt - TIME_OF_DAY)
    }
    return true
  }
}

let lastMidnight = Number.NaN
let lastDate = TIME.subarray(0, TIME_OF_DAY)

/** The text `2026-01-01T` for a midnight. Lines of many series share a date. */
const dateOf = (midnight: number): Uint8Array => {
  if (midnight !== lastMidnight) {
    lastMidnight = midnight
    lastDate = Buffer.from(new Date(midnight).toISOString().slice(0, TIME_OF_DAY))
  }
  return lastDate
}
