/** Escapes untrusted text for a page. */
import { printable, printableName, visibleLines } from "../../text/printable.ts"

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

/** Characters to escape: they would end an element or an attribute, change the text direction, or are invisible. */
export const escaped = (text: string): string =>
  visibleLines(text).replace(/[&<>"']/g, (character) => entities[character]!)

/** A name, truncated to fit a table. */
export const nameText = (name: string): string => escaped(printableName(name))

/** A sentence that may contain a server's text. */
export const sentenceText = (text: string): string => escaped(printable(text))

/** JSON for a `script` element. Nothing in it can end the element. */
export const scriptJson = (value: unknown): string =>
  JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029")
