/** Checks of the key `parameters`. */
import { Redacted } from "effect"
import type { Check } from "./Check.ts"
import { MAX_HEADER_CHARACTERS } from "./headerText.ts"

const byQueries = "is set by every query itself"
const forParts = "would make the server omit data"

/**
 * Parameters that are refused, and why: those that say what is read. Those that only say how a backend reads it are allowed, such
 * as `dedup`, `partial_response` or `extra_filters[]`, and replace those of the program.
 */
const refusedParameters: ReadonlyMap<string, string> = new Map([
  ["end", byQueries],
  ["limit", forParts],
  ["lookback_delta", byQueries],
  ["match[]", `${byQueries}: use the keys metrics and selector`],
  ["query", byQueries],
  ["start", `${byQueries}: use the key start_date`],
  ["step", `${byQueries}: use the key step`],
  ["time", byQueries]
])

/** A name may be there several times, as `extra_filters[]` of VictoriaMetrics. */
export const parameterProblems: Check = ({ parameters = [] }) => {
  const problems = parameters.flatMap(({ name }, index) => {
    const path = `parameters[${index}].name`
    if (name === "") return [`${path} must not be empty.`]
    const refused = refusedParameters.get(name)
    return refused === undefined ? [] : [`${path} is ${name}, which ${refused}. Remove it.`]
  })
  const total = parameters.reduce(
    (sum, { name, value }) => sum + name.length + Redacted.value(value).length,
    0
  )
  return total > MAX_HEADER_CHARACTERS
    ? [
        ...problems,
        `parameters have ${total} characters together, but must have at most ${MAX_HEADER_CHARACTERS}, because they are sent in the address of every request.`
      ]
    : problems
}
