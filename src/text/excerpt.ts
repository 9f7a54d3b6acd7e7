/** Excerpts of untrusted texts: short enough for a message, and for memory. */

/** A text is cut to this length before anything searches it. */
const MAX_CHARACTERS = 4000

/** The beginning of a text. It is a copy, because a slice would keep the complete text in memory. */
export const beginning = (text: string, characters = MAX_CHARACTERS): string =>
  text.length <= characters ? text : Buffer.from(text.slice(0, characters)).toString()

/** Truncates a text to at most `most` UTF-16 units, with an ellipsis if something was cut. Surrogate pairs stay complete. */
export const truncateText = (text: string, most: number): string => {
  if (text.length <= most) return text
  const end = most - 1
  return `${text.slice(0, /[\ud800-\udbff]/.test(text.charAt(end - 1)) ? end - 1 : end)}…`
}

/** A text with a full stop, unless it ends like a sentence already. */
export const endSentence = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`)

/** A server's text on one line, short enough for a message. */
export const excerptLine = (text: string): string => {
  const line = beginning(text).replace(/\s+/g, " ").trim()
  return truncateText(text.length > MAX_CHARACTERS ? `${line}…` : line, 301)
}
