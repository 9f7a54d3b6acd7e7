/**
 * A regular expression that matches about half of a label's values, to tell series apart by.
 *
 * Values are told apart by how they begin, so that the expression stays short however many values there are.
 */

/** Two groups of values, neither of them empty. */
export interface Halves {
  /** In RE2's syntax; anchored at both ends, as the operators `=~` and `!~` have it. Never matches an empty value. */
  readonly pattern: string
  /** The values that it matches. */
  readonly matched: ReadonlyArray<string>
  readonly others: ReadonlyArray<string>
}

/** More beginnings than this make a pattern longer than the half is worth. */
const MAX_BEGINNINGS = 20

/** What a pattern is made of: all values that begin with a text, or one value. */
interface Term {
  readonly text: string
  readonly isWhole: boolean
  readonly values: ReadonlyArray<string>
}

/**
 * So many beginnings within one another are looked at. Values that a server makes up for it can have thousands, each of
 * which costs a look at all values.
 */
const MAX_DEPTH = 64

/** Splits at least two values, which are different and not empty. */
export const halveValues = (values: ReadonlyArray<string>): Halves => {
  const terms = beginnings(values.toSorted(), Math.floor(values.length / 2)).slice(0, MAX_BEGINNINGS)
  const matched = new Set(terms.flatMap((term) => term.values))
  return {
    // With the flag a dot matches line feeds in all versions.
    pattern: `(?s)${terms.map(render).join("|")}`,
    matched: [...matched],
    others: values.filter((value) => !matched.has(value))
  }
}

/** Terms for at least one and at most `wanted` of the values, which are sorted. */
const beginnings = (values: ReadonlyArray<string>, wanted: number, depth = 0): ReadonlyArray<Term> => {
  if (depth === MAX_DEPTH) return [{ text: values[0]!, isWhole: true, values: values.slice(0, 1) }]
  const terms: Array<Term> = []
  let missing = wanted
  for (const term of byNextCharacter(values)) {
    if (terms.length === MAX_BEGINNINGS) break
    if (term.values.length > missing) {
      // Only part of this group, unless what is missing is too little to be worth it.
      if (terms.length === 0 || missing * 4 > wanted) {
        terms.push(...beginnings(term.values, missing, depth + 1))
      }
      break
    }
    terms.push(term)
    missing -= term.values.length
    if (missing === 0) break
  }
  return terms
}

/** Groups sorted values by the first character in which they differ. */
const byNextCharacter = (values: ReadonlyArray<string>): ReadonlyArray<Term> => {
  const common = commonPrefix(values)
  const groups = new Map<string, Array<string>>()
  for (const value of values) {
    const next = value.codePointAt(common.length)
    const text = next === undefined ? value : common + String.fromCodePoint(next)
    const group = groups.get(text)
    if (group === undefined) groups.set(text, [value])
    else group.push(value)
  }
  return Array.from(groups, ([text, group]) => ({ text, isWhole: text === common, values: group }))
}

/** The longest text, in whole characters, that all of some sorted values begin with: the first and the last have it, too. */
const commonPrefix = (values: ReadonlyArray<string>): string => {
  const first = values[0]!
  const last = values.at(-1)!
  let length = 0
  while (length < first.length && first.charCodeAt(length) === last.charCodeAt(length)) length++
  // Not between the two halves of a character beyond the first 65,536.
  const isCut = length > 0 && (first.codePointAt(length - 1) ?? 0) > 0xffff
  return first.slice(0, isCut ? length - 1 : length)
}

const render = ({ isWhole, text }: Term): string =>
  text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&") + (isWhole ? "" : ".*")
