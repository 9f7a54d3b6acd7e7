/** Times and durations in a configuration. */

/** A point in time: a day (midnight) or a second, both in UTC. */
export const DATE_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$"

/** Milliseconds since the epoch; NaN for a day that does not exist. */
export const parseMoment = (text: string): number => {
  if (!new RegExp(DATE_PATTERN).test(text)) return Number.NaN
  const milliseconds = Date.parse(text)
  // Date.parse turns 31 February into 3 March.
  return Number.isFinite(milliseconds) && new Date(milliseconds).toISOString().startsWith(text.slice(0, 10))
    ? milliseconds
    : Number.NaN
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** Seconds from `"3600"`, `"1h"` or `"1h30m"`; NaN for anything else. */
export const parseSeconds = (text: string): number => {
  if (/^\d+$/.test(text)) return Number(text)
  if (!/^(\d+[smhdw])+$/.test(text)) return Number.NaN
  return Array.from(text.matchAll(/(\d+)([smhdw])/g)).reduce(
    (total, [, count, unit]) => total + Number(count) * unitSeconds[unit!]!,
    0
  )
}
