// Writes the reference of configuration keys into README.md and docs/prometheus.md, from the table of keys:
//   node scripts/keyReference.ts
import { readFileSync, writeFileSync } from "node:fs"
import { Predicate } from "effect"
import type { Key, Keys } from "../src/config/Key.ts"
import { keys } from "../src/config/keys.ts"

const HEADER = "| Option | Key | Default | Accepts | Description |"

/** The pages with the reference. */
export const pages = ["README.md", "docs/prometheus.md"] as const

/** A Markdown table with a row for each key, and for each form that an object may have. */
export const keyReference = (table: Keys): string =>
  [HEADER, "| --- | --- | --- | --- | --- |", ...rows(table)].join("\n")

/** Inner keys follow their parent. `prefix` is that of their paths. */
const rows = (table: Keys, prefix = ""): ReadonlyArray<string> =>
  Object.entries(table).flatMap(([name, key]) => {
    const path = prefix + name
    const inner = `${path}${key.isList ? "[]" : ""}.`
    const { by = "", forms = {} } = key.variants ?? {}
    return [
      row(key.title, path, defaultText(key), acceptedText(key), key.description),
      ...rows(key.children, inner),
      ...Object.entries(forms).flatMap(([name, { description, keys, title }]) => [
        row(`**${title}**`, inner + by, "", JSON.stringify(name), description),
        ...rows(keys, inner)
      ])
    ]
  })

const row = (option: string, path: string, value: string, accepted: string, description: string): string =>
  `| ${option} | \`${path}\` | ${value} | ${withCode(accepted)} | ${withCode(description)} |`

const defaultText = (key: Key): string =>
  key.default !== undefined && !Predicate.isObject(key.default)
    ? `\`${key.default}\``
    : key.isRequired
      ? "required"
      : ""

const acceptedText = ({ accepted, children, isList, isSecret, variants }: Key): string => {
  if (variants !== undefined) return `an object with ${variants.by} and the keys of its form`
  if (Object.keys(children).length > 0) return isList ? "a list of objects" : "an object"
  return isSecret ? `${accepted}, secret` : accepted
}

/** Escapes a text for Markdown: text with special characters becomes code, and so does an expression at its end. */
const withCode = (text: string): string =>
  text.replace(
    /(?<=such as )\w[\w ]*\(.*\)$|[[{].*[\]}]|[^\s(]*[*_"~|][^\s,.;:)]*|(?<= )\?(?= )/g,
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
