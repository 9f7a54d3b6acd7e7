/** Figures for people. */

/** A count with thousands separators: `12,000`. */
export const grouped = (count: number): string => String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",")

const sizes = ["", "k", "M", "G", "T", "P"] as const

/** A number with about three digits: `950`, `1.23 M`, `45.6 k`. */
export const rounded = (count: number): string => {
  let value = count
  let size = 0
  // A number that rounds to 1000 belongs to the next unit.
  while (value >= 999.5 && size < sizes.length - 1) {
    value /= 1000
    size++
  }
  if (size === 0) return String(Math.round(value))
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${sizes[size]}`
}

/** Bytes in decimal units: `1.23 MB`. */
export const byteText = (bytes: number): string => {
  const text = rounded(bytes)
  return text.includes(" ") ? `${text}B` : `${text} ${text === "1" ? "byte" : "bytes"}`
}

/** A duration: `0.4 s`, `45 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export const durationText = (seconds: number): string => {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`
  const rest = Math.round(seconds)
  if (rest < 60) return `${rest} s`
  const two = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`
  if (rest < 3600) return two(Math.floor(rest / 60), "min", rest % 60, "s")
  const minutes = Math.round(seconds / 60)
  if (minutes < 1440) return two(Math.floor(minutes / 60), "h", minutes % 60, "min")
  const hours = Math.round(seconds / 3600)
  return two(Math.floor(hours / 24), "d", hours % 24, "h")
}

/** An estimated duration without tenths of seconds, at least `1 s`. */
export const aboutText = (seconds: number): string =>
  seconds < 59.5 ? `${Math.max(1, Math.round(seconds))} s` : durationText(seconds)

/** A step of the grid, exactly: `15 s`, `5 min`, `1 h`. */
export const stepText = (seconds: number): string =>
  seconds % 3600 === 0 ? `${seconds / 3600} h` : seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`

/** A time in UTC, with seconds only if they are not zero. */
export const timeText = (millis: number): string => {
  const text = new Date(millis).toISOString().slice(0, 19).replace("T", " ")
  return text.endsWith(":00") ? text.slice(0, 16) : text
}
