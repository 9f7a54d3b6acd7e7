/** Metrics that a server has but does not list, and patterns that select none of those that it lists. */
import { Effect } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import type { Matcher } from "../promql/Matcher.ts"
import { ofMetric } from "../promql/Matcher.ts"
import { isIncluded, type MetricFilter, type NamePattern } from "../promql/MetricFilter.ts"
import { exactPattern } from "../promql/valuePattern.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import { truncateText } from "../text/excerpt.ts"
import { nearest } from "../text/nearest.ts"
import { type ListOptions, mayBeListedLater } from "./listNames.ts"
import { samplePresence } from "./samplePresence.ts"

/** In how many parts of the range a metric is looked for. Fewer would load more samples at once. */
const PARTS = 64

/** How many names one query looks for, and in all. */
const NAMES_PER_QUERY = 200
const MAX_NAMES = 20_000

const presentNames = (
  matchers: ReadonlyArray<Matcher>,
  range: TimeRange,
  selector?: ReadonlyArray<Matcher>
) => Effect.map(samplePresence(matchers, range, PARTS, selector), (presence) => [...presence.keys()])

/** The names that have samples in the range, or may have some because the server does not say. */
export const unlistedNames = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  range: TimeRange,
  selector?: ReadonlyArray<Matcher>
) {
  const { concurrency } = yield* ConnectorConfig
  const found = yield* Effect.forEach(
    names,
    (name) =>
      Effect.catchIf(
        presentNames([ofMetric(name)], range, selector),
        ({ policy }) => policy.onExhausted === "stream",
        // Reading it will show it.
        () => Effect.succeed([name])
      ),
    { concurrency }
  )
  return found.flat().filter((name) => names.includes(name))
})

/**
 * The selected metrics that are listed only in a range without end, and have samples in the range. Prometheus 3 does not list
 * out-of-order samples that are not in a block yet, if the range has an end. `selector` defaults to the configured one.
 */
export const youngNames = Effect.fnUntraced(function* (
  listed: ReadonlySet<string>,
  range: TimeRange,
  { isStrict }: ListOptions,
  selector?: ReadonlyArray<Matcher>
) {
  const { concurrency, metrics } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const later = yield* Effect.catchIf(
    client.metricNames({ ...range, endMillis: Number.POSITIVE_INFINITY }, [], selector),
    (error) => !(isStrict && mayBeListedLater(error)),
    () => Effect.succeed<ReadonlyArray<string>>([])
  )
  const names = later.filter((name) => !listed.has(name) && isIncluded(metrics, name))
  const queries = Math.ceil(Math.min(names.length, MAX_NAMES) / NAMES_PER_QUERY)
  const batches = Array.from({ length: queries }, (_, i) =>
    names.slice(i * NAMES_PER_QUERY, (i + 1) * NAMES_PER_QUERY)
  )
  const found = yield* Effect.forEach(
    batches,
    (batch) => {
      const matcher = { label: METRIC_NAME, operator: "=~", value: exactPattern(batch) } as const
      // Most of them are younger than the range. Without a response, none is assumed to have samples in it, unless they would never
      // be read.
      return Effect.orElseSucceed(presentNames([matcher], range, selector), () => (isStrict ? batch : []))
    },
    { concurrency }
  )
  const all = new Set(names)
  return found.flat().filter((name) => all.has(name))
})

/** The most similar names in a message, and the most characters of a pattern. */
const MAX_NEAR = 3
const MAX_SHOWN_CHARACTERS = 200

/** The most patterns with a sentence of their own. */
const MAX_SENTENCES = 20

/** For each pattern of `include` that matches none of the names, a sentence that names it and similar names. */
export const unmatchedPatterns = (
  filter: MetricFilter,
  names: ReadonlyArray<string>
): ReadonlyArray<string> =>
  filter.include
    .filter((pattern) => !names.some((name) => pattern.test(name)))
    .slice(0, MAX_SENTENCES)
    .map((pattern) => {
      const near = nearNames(pattern, names)
      const said = truncateText(pattern.text, MAX_SHOWN_CHARACTERS)
      const nothing = pattern.isExact
        ? `No metric is named ${said}.`
        : `No metric matches the pattern ${said}.`
      return near.length === 0 ? nothing : `${nothing} Did you mean ${orList(near)}?`
    })

/** Metrics whose names are like the pattern, or like its longest part without special characters. */
const nearNames = ({ isExact, text }: NamePattern, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (isExact) return nearest(text, names, MAX_NEAR)
  const literals = text.match(/[\w:]+/g) ?? []
  const longest = literals.reduce((best, part) => (part.length > best.length ? part : best), "")
  return nearest(longest, names, MAX_NEAR, true)
}

const orList = (names: ReadonlyArray<string>): string =>
  names.length === 1 ? names[0]! : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`
