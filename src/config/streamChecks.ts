/** Checks of the settings of individual streams. */
import type { Check } from "./Check.ts"
import { tableStreamName } from "./StreamSettings.ts"

/**
 * Destinations ignore the case of names, so two names that differ only in case are the same. The key itself already refuses names
 * that are not plain.
 */
export const streamNameProblems: Check = ({ groups = [], queries = [], tables = [] }) => {
  const all: ReadonlyArray<readonly [name: string, key: string]> = [
    ...queries.map(({ name }, index) => [name, `queries[${index}].name`] as const),
    ...groups.map(({ name }, index) => [name, `groups[${index}].name`] as const),
    ...Array.from(
      new Set(tables),
      (table) => [tableStreamName(table), `the stream of ${table} in tables`] as const
    )
  ]
  const taken = new Map<string, readonly [name: string, key: string]>()
  const problems: Array<string> = []
  for (const [name, key] of all) {
    const before = taken.get(name.toLowerCase())
    if (before === undefined) taken.set(name.toLowerCase(), [name, key])
    else {
      const [other, otherKey] = before
      const difference = name === other ? "" : ", which differ only in upper and lower case"
      problems.push(
        `${otherKey} is ${JSON.stringify(other)} and ${key} is ${JSON.stringify(name)}${difference}: give each stream a name of its own.`
      )
    }
  }
  return problems
}

/** An override without effect is a mistake, such as a misspelled key. */
export const overrideProblems: Check = ({ overrides = [] }) =>
  overrides.flatMap(({ sampling, selector, step }, index) =>
    selector === undefined && step === undefined && sampling === undefined
      ? [`overrides[${index}] must have step, selector or sampling: without any of them, it changes nothing.`]
      : []
  )
