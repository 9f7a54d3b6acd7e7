/**
 * A regular expression that matches about half of a label's values, to tell series apart by.
 *
 * Values are distinguished by how they start, so that the expression stays short however many values there are.
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

/** Splits at least two values, which are different and not empty. */
export const halveValues = (values: ReadonlyArray<string>): Halves => {
  const terms = beginnings(values.toSorted(), Math.floor(values.length / 2))
  const matched = new Set(terms.flatMap((term) => term.values))
  return {
    // With the flag a dot matches line feeds in all versions.
    pattern: `(?s)${terms.map(render).join("|")}`,
    matched: [...matched],
    others: values.filter((value) => !matched.has(value))
  }
}

/**
 * Terms for at least one and at most `wanted` of the values. What values have in common is looked at once, however many
 * beginnings of each other there are.
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
        // Only part of this group, unless what is missing is too little to be worth it.
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

/** Groups the values of a term, which are sorted, by the first character in which they differ. */
const byNextCharacter = ({ text, values }: Term): ReadonlyArray<Term> => {
  const common = commonLength(values, text.length)
  const groups = new Map<number | undefined, Array<string>>()
  for (const value of values) {
    const next = value.codePointAt(common)
    const group = groups.get(next)
    if (group === undefined) groups.set(next, [value])
    else group.push(value)
  }
  return Array.from(groups, ([next, group]) => ({
    text: next === undefined ? group[0]! : group[0]!.slice(0, common + (next > 0xffff ? 2 : 1)),
    isWhole: next === undefined,
    values: group
  }))
}

/**
 * How long the longest text is, in complete characters, that all of the sorted values begin with: what the first and the last
 * have in common, those between them have too. That is `from` characters at least.
 */
const commonLength = (values: ReadonlyArray<string>, from: number): number => {
  const [first, last] = [values[0]!, values.at(-1)!]
  let length = from
  while (length < first.length && first.charCodeAt(length) === last.charCodeAt(length)) length++
  // Not between the two halves of a character beyond the first 65,536.
  const isCut = length > 0 && (first.codePointAt(length - 1) ?? 0) > 0xffff
  return isCut ? length - 1 : length
}

const render = ({ isWhole, text }: Term): string =>
  text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&") + (isWhole ? "" : ".*")
