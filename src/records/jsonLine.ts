/**
 * JSON for a line. In addition to what JSON requires, it escapes characters that some readers (such as Python's `splitlines`)
 * treat as the end of a line, and characters that a terminal interprets: DEL, C1 controls, and direction marks. JSON parsers
 * return exactly the same text.
 */
export const jsonLine = (value: unknown, replacer?: (key: string, value: unknown) => unknown): string =>
  JSON.stringify(value, replacer).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** The same for a string. Most strings need no escapes, and the test for that is fast. */
export const jsonText = (text: string): string => (/^[ !#-[\]-~]*$/.test(text) ? `"${text}"` : jsonLine(text))
