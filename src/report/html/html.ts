/** Texts of others as parts of a page. */
import { printable, printableName, visibleLines } from "../../text/printable.ts"

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

/** What a page cannot have as it is: it would end an element or an attribute, turn the direction, or cannot be seen. */
export const escaped = (text: string): string =>
  visibleLines(text).replace(/[&<>"']/g, (character) => entities[character]!)

/** A name, of a length that a table can have. */
export const nameText = (name: string): string => escaped(printableName(name))

/** A sentence; any part of it may come from a server. */
export const sentenceText = (text: string): string => escaped(printable(text))

/** JSON for a `script` element: nothing in it can be the end of that. */
export const scriptJson = (value: unknown): string =>
  JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029")
