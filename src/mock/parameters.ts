/** Times and durations in requests, read as Prometheus reads them. */

const float = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const rfc3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/
const duration = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/
/** No time is longer, and regular expressions would take long to refuse a long text. */
const MAX_CHARACTERS = 100
/** The limits of JavaScript's dates; those of Prometheus are further away. */
const MAX_MILLIS = 8_640_000_000_000_000
/** Go counts nanoseconds in 64 bits. */
const MAX_DURATION_MILLIS = 2 ** 63 / 1e6
const unitsMillis = [31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1]

/** A time in milliseconds since the Unix epoch from epoch seconds or RFC 3339, or undefined. */
export const parseTime = (text: string): number | undefined => {
  if (text.length > MAX_CHARACTERS) return undefined
  if (float.test(text)) {
    const seconds = Math.max(-MAX_MILLIS / 1000, Math.min(MAX_MILLIS / 1000, Number(text)))
    const integer = Math.trunc(seconds)
    // In Go's steps, so that the millisecond is the same: round the fraction to ms, then cut nanoseconds.
    const nanos = Math.trunc((Math.round((seconds - integer) * 1000) / 1000) * 1e9)
    return integer * 1000 + Math.floor(nanos / 1e6)
  }
  const match = rfc3339.exec(text)
  if (match === null) return undefined
  const [, utc, fraction = "", sign, zoneHour = "0", zoneMinute = "0"] = match
  const date = new Date(`${utc}.${fraction.slice(0, 3).padEnd(3, "0")}Z`)
  // `Date` turns 31 February into 3 March.
  if (!Number.isFinite(date.getTime()) || !date.toISOString().startsWith(utc!)) return undefined
  if (Number(zoneHour) > 24 || Number(zoneMinute) > 59) return undefined
  const zone = (Number(zoneHour) * 60 + Number(zoneMinute)) * 60_000
  return date.getTime() - (sign === "-" ? -zone : zone)
}

/** A duration in milliseconds from seconds or from text such as `1h30m`, or undefined. */
export const parseDuration = (text: string): number | undefined => {
  if (text.length > MAX_CHARACTERS) return undefined
  const milliseconds = float.test(text) ? Math.trunc(Number(text) * 1e9) / 1e6 : unitsDuration(text)
  return milliseconds !== undefined && Math.abs(milliseconds) < MAX_DURATION_MILLIS ? milliseconds : undefined
}

const unitsDuration = (text: string): number | undefined => {
  const match = duration.exec(text)
  if (match === null || text === "") return undefined
  return unitsMillis.reduce((total, unit, i) => total + Number(match[i + 1] ?? 0) * unit, 0)
}

/** A duration as Prometheus prints it: `5m`, `1h30m`. */
export const formatDuration = (milliseconds: number): string => {
  if (milliseconds === 0) return "0s"
  const names = ["y", "w", "d", "h", "m", "s", "ms"]
  let rest = milliseconds
  let text = ""
  unitsMillis.forEach((unit, i) => {
    // Years and weeks are only used for exact multiples, since they read badly otherwise.
    if (i < 2 && rest % unit !== 0) return
    const count = Math.floor(rest / unit)
    if (count > 0) text += `${count}${names[i]}`
    rest -= count * unit
  })
  return text
}
