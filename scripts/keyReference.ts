// Writes the reference of configuration keys into README.md and docs/prometheus.md, from the table of keys:
//   node scripts/keyReference.ts
import { readFileSync, writeFileSync } from "node:fs"
import { type Key, type Keys, type KeyWithPath, keysWithPaths } from "../src/config/Key.ts"
import { keys } from "../src/config/keys.ts"

const HEADER = "| Option | Key | Default | Accepts | Description |"

/** The pages with the reference. */
export const pages = ["README.md", "docs/prometheus.md"] as const

/** A Markdown table with a row for each key. */
export const keyReference = (table: Keys): string =>
  [HEADER, "| --- | --- | --- | --- | --- |", ...keysWithPaths(table).map(row)].join("\n")

const row = ({ key, path }: KeyWithPath): string =>
  `| ${key.title} | \`${path}\` | ${defaultText(key)} | ${withCode(acceptedText(key))} | ${withCode(key.description)} |`

const defaultText = (key: Key): string =>
  key.default !== undefined ? `\`${key.default}\`` : key.isRequired ? "required" : ""

const acceptedText = ({ accepted, children, isList, isSecret }: Key): string => {
  if (Object.keys(children).length > 0) return isList ? "a list of objects" : "an object"
  return isSecret ? `${accepted}, secret` : accepted
}

/** Escapes a text for Markdown: text with special characters becomes code. */
const withCode = (text: string): string =>
  text.replace(
    /[[{].*[\]}]|[^\s(]*[*_"~|][^\s,.;:)]*|(?<= )\?(?= )/g,
    (code) => `\`${code.replaceAll("|", "\\|")}\``
  )

/** Replaces the reference in a page with the current one. */
export const withReference = (page: string): string => {
  const start = page.indexOf(HEADER)
  if (start < 0) throw new Error(`The page has no table that begins with ${HEADER}`)
  const end = page.indexOf("\n\n", start)
  return page.slice(0, start) + keyReference(keys) + page.slice(end)
}

if (import.meta.main) {
  for (const page of pages) writeFileSync(page, withReference(readFileSync(page, "utf8")))
}
