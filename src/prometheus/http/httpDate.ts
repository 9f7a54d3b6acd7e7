/** Times in HTTP headers: dates and `Retry-After`. */

/** Longer than any date. */
const MAX_DATE_CHARACTERS = 64

/** Milliseconds since the epoch. The oldest form names no time zone; JavaScript would read it in the local one. */
export const parseHttpDate = (header = ""): number | undefined => {
  const text = header.trim()
  if (text === "" || text.length > MAX_DATE_CHARACTERS) return undefined
  const millis = Date.parse(/(Z|[A-Z]{3}|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text} GMT`)
  return Number.isNaN(millis) ? undefined : millis
}

/**
 * Parses `Retry-After`, a number of seconds or an HTTP date, into milliseconds to wait. A date is compared with the response's
 * `Date`, which the same clock wrote. The local clock may be hours off, and is used only if that header is missing.
 */
export const parseRetryAfter = (
  header: string | undefined,
  date: string | undefined,
  nowMillis: number
): number | undefined => {
  const wait = header?.trim() ?? ""
  if (/^\d{1,15}$/.test(wait)) return Number(wait) * 1000
  const until = parseHttpDate(wait)
  return until === undefined ? undefined : Math.max(0, until - (parseHttpDate(date) ?? nowMillis))
}
