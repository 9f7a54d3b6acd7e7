/** Excerpts of untrusted texts: short enough for a message, and for memory. */

/** A text is cut to this length before anything searches it. */
const MAX_CHARACTERS = 4000

/**
 * The beginning of an untrusted text, for a message. It is a copy, because a slice would keep the complete text in memory.
 */
export const beginning = (text: string, characters = MAX_CHARACTERS): string =>
  text.length <= characters ? text : Buffer.from(text.slice(0, characters)).toString()

/** A server's text on one line, short enough for a message. */
export const shorten = (text: string): string => {
  const line = beginning(text).replace(/\s+/g, " ").trim()
  return line.length > 300 || text.length > MAX_CHARACTERS ? `${beginning(line, 300)}…` : line
}
