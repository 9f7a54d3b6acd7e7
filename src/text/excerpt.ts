/** Excerpts of foreign texts: short enough for a message, and for memory. */

/** What a message is made of is cut to this before anything is searched in it. */
const MAX_CHARACTERS = 4000

/**
 * The beginning of a foreign text, for a message. It is copied: V8 keeps the whole of a text for as long as a part of it.
 */
export const beginning = (text: string, characters = MAX_CHARACTERS): string =>
  text.length <= characters ? text : Buffer.from(text.slice(0, characters)).toString()

/** A server's words on one line, of a length that a message can have. */
export const shorten = (text: string): string => {
  const line = beginning(text).replace(/\s+/g, " ").trim()
  return line.length > 300 || text.length > MAX_CHARACTERS ? `${beginning(line, 300)}…` : line
}
