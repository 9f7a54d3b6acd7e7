/** Texts of others as parts of a page. */

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

/** What a page cannot have as it is: it would end an element or an attribute, turn the direction, or is no character of HTML. */
export const escaped = (text: string): string =>
  text
    .replace(
      /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\p{Cs}/gu,
      "\ufffd"
    )
    .replace(/[&<>"']/g, (character) => entities[character]!)

/** JSON for a `script` element: nothing in it can be the end of that. */
export const scriptJson = (value: unknown): string =>
  JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029")
