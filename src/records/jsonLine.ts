/**
 * JSON for a line. Beside what JSON requires, it escapes the characters that some readers (such as Python's `splitlines`) take for the
 * end of a line, and those that a terminal obeys instead of showing them: DEL, the controls of C1, and the marks that turn the
 * direction of a text. Readers of JSON get exactly the same text.
 */
export const jsonLine = (value: unknown, replacer?: (key: string, value: unknown) => unknown): string =>
  JSON.stringify(value, replacer).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** The same for a text. Most texts need no escapes, which is quick to test. */
export const jsonText = (text: string): string => (/^[ !#-[\]-~]*$/.test(text) ? `"${text}"` : jsonLine(text))
