/**
 * Builds a regular expression that matches about half of a label's values, to split series by.
 *
 * Values are grouped by their first characters, so that the expression stays short for any number of values.
 */

/** Two groups of values, both not empty. */
export interface Halves {
  /** In RE2's syntax. Like the operators `=~` and `!~`, it matches complete values. It never matches an empty value. */
  readonly pattern: string
  /** The values that it matches. */
  readonly matched: ReadonlyArray<string>
  readonly others: ReadonlyArray<string>
}

/** With more prefixes, the pattern is too long for the benefit. */
const MAX_BEGINNINGS = 20

/** A term of the pattern: all values with a prefix, or a single value. */
interface Term {
  readonly text: string
  readonly isWhole: boolean
  readonly values: ReadonlyArray<string>
}

/** Splits two or more values, which must be distinct and not empty. */
export const halveValues = (values: ReadonlyArray<string>): Halves => {
  const terms = beginnings(values.toSorted(), Math.floor(values.length / 2))
  const matched = new Set(terms.flatMap((term) => term.values))
  return {
    // With this flag a dot matches line feeds in all versions.
    pattern: `(?s)${terms.map(render).join("|")}`,
    matched: [...matched],
    others: values.filter((value) => !matched.has(value))
  }
}

/**
 * Terms for at least one and at most `wanted` of the values. A common prefix is found in one step, even if many values are
 * prefixes of each other.
 */
const beginnings = (values: ReadonlyArray<string>, wanted: number): ReadonlyArray<Term> => {
  const terms: Array<Term> = []
  let inside: Term | undefined = { text: "", isWhole: false, values }
  let missing = wanted
  while (inside !== undefined) {
    const groups: ReadonlyArray<Term> = byNextCharacter(inside)
    const [termsBefore, wantedHere] = [terms.length, missing]
    inside = undefined
    for (const term of groups) {
      if (term.values.length > missing) {
        // Split this group, unless the remainder is too small to matter.
        if (terms.length === termsBefore || missing * 4 > wantedHere) inside = term
        break
      }
      terms.push(term)
      missing -= term.values.length
      if (missing === 0 || terms.length === MAX_BEGINNINGS) return terms
    }
  }
  return terms
}

/** Groups the sorted values of a term by the first character in which they differ. */
const byNextCharacter = ({ text, values }: Term): ReadonlyArray<Term> => {
  const common = commonLength(values, text.length)
  const groups = Map.groupBy(values, (value) => value.codePointAt(common))
  return Array.from(groups, ([next, group]) => ({
    text: next === undefined ? group[0]! : group[0]!.slice(0, common + (next > 0xffff ? 2 : 1)),
    isWhole: next === undefined,
    values: group
  }))
}

/**
 * The length of the longest common prefix of the sorted values, in complete characters. The first and the last value decide it,
 * because all others are between them. It is at least `from`.
 */
const commonLength = (values: ReadonlyArray<string>, from: number): number => {
  const [first, last] = [values[0]!, values.at(-1)!]
  let length = from
  while (length < first.length && first.charCodeAt(length) === last.charCodeAt(length)) length++
  // Not between the two halves of a surrogate pair.
  const isCut = length > 0 && (first.codePointAt(length - 1) ?? 0) > 0xffff
  return isCut ? length - 1 : length
}

const render = ({ isWhole, text }: Term): string =>
  text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&") + (isWhole ? "" : ".*")

/** An expression that matches exactly the values. */
export const exactPattern = (values: ReadonlyArray<string>): string =>
  values.map((text) => render({ isWhole: true, text, values: [] })).join("|")
