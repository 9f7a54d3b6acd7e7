/** The values of the flag `--group`. */

/** A group of the configuration. */
interface GroupInput {
  readonly name: string
  readonly metrics: { readonly include: ReadonlyArray<string> }
}

/** Patterns separated by commas. A comma within braces or brackets belongs to a regular expression, as in `a{1,2}`. */
const patternsOf = (text: string): ReadonlyArray<string> =>
  (text.match(/(?:\\.|\{[^}]*\}|\[[^\]]*\]|[^,])+/gs) ?? [])
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== "")

/** `NAME=PATTERN` as a group of the configuration. Commas separate several patterns. Undefined for any other text. */
export const parseGroupFlag = (text: string): GroupInput | undefined => {
  const [, name = "", patterns = ""] = /^([^=]+)=(.+)$/s.exec(text) ?? []
  const include = patternsOf(patterns)
  return include.length === 0 ? undefined : { name: name.trim(), metrics: { include } }
}

/** Merges groups with the same name. */
export const joinGroups = (groups: ReadonlyArray<unknown>): ReadonlyArray<GroupInput> =>
  Array.from(
    Map.groupBy(groups as ReadonlyArray<GroupInput>, ({ name }) => name),
    ([name, same]) => ({ name, metrics: { include: same.flatMap(({ metrics }) => metrics.include) } })
  )
