/**
 * Parts of a stream's series, for servers that refuse to return all of them in one response.
 *
 * A part is split by a label into the series that match a regular expression and those that do not, so every series is in
 * exactly one of the two. The server lists the values to split by. If its list is wrong, the halves are uneven, never
 * incomplete.
 */
import { Effect } from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { hasLabel, type Matcher, ofMetric } from "../promql/Matcher.ts"
import { exactPattern, halveValues } from "../promql/valuePattern.ts"
import { METRIC_NAME } from "../samples/Series.ts"

/** A label, and the values that the series of a part may have. */
interface LabelValues {
  readonly label: string
  readonly values: ReadonlyArray<string>
}

/** Two disjoint parts that together have all series of a part. */
export type Halves = readonly [SeriesPart, SeriesPart]

/** The series of a stream that satisfy some matchers, and how they have been split. */
export class SeriesPart {
  readonly matchers: ReadonlyArray<Matcher>
  /** Set once the part is split. From then on its halves are requested instead. */
  halves: Halves | undefined
  /** The label values by which the part can be split without another request. The halves inherit it. */
  known: LabelValues | undefined
  /** Labels that can no longer split it. */
  readonly spent: ReadonlySet<string>
  /** The names of its metrics, if it has several: it is then split by them, without another request. */
  metrics: ReadonlyArray<string> | undefined

  constructor(
    matchers: ReadonlyArray<Matcher> = [],
    known?: LabelValues,
    spent: ReadonlySet<string> = new Set()
  ) {
    this.matchers = matchers
    this.known = known
    this.spent = spent
  }

  /** The part to request first: the leftmost leaf of the splits. */
  get first(): SeriesPart {
    return this.halves === undefined ? this : this.halves[0].first
  }
}

/** The parts that are not split, in the order of requests. */
export const leavesOf = (part: SeriesPart): ReadonlyArray<SeriesPart> =>
  part.halves === undefined ? [part] : part.halves.flatMap(leavesOf)

/**
 * The label names and label values of a part, as the server lists them. A superfluous name causes empty responses, and a
 * missing name causes parts that cannot be split.
 */
export interface PartIndex {
  readonly labelNames: (
    matchers: ReadonlyArray<Matcher>
  ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
  readonly labelValues: (
    label: string,
    matchers: ReadonlyArray<Matcher>
  ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
}

/**
 * The maximum depth of splits. Even splits of a million series have twenty levels, and the most uneven ones a few hundred. A
 * server that refuses parts of that depth refuses everything.
 */
export const MAX_SPLIT_DEPTH = 256

/** The most labels to try. Metrics have a few dozen. A server that returns new ones each time must not cause endless requests. */
const MAX_LABELS = 200

/** Longer values are not used, because every query contains the pattern that matches them. */
const MAX_VALUE_CHARACTERS = 1000

/** Splits a part permanently. Returns undefined if it cannot be split, because it is a single series. */
export const split = Effect.fnUntraced(function* (part: SeriesPart, index: PartIndex) {
  if (hasSeveralMetrics(part)) {
    part.halves = byMetric(part.metrics)
    return part.halves
  }
  const label = isSplittable(part.known) ? part.known : yield* mostValues(part, index)
  part.halves = isSplittable(label) ? byPattern(part, label) : yield* byPresence(part, index)
  if (part.halves !== undefined) part.known = undefined
  return part.halves
})

/** Whether a part has the series of several metrics. */
export const hasSeveralMetrics = (
  part: SeriesPart
): part is SeriesPart & { readonly metrics: ReadonlyArray<string> } => (part.metrics?.length ?? 0) > 1

/** Matches the series of exactly these metrics. */
export const ofMetrics = (metrics: ReadonlyArray<string>): Matcher =>
  metrics.length === 1
    ? ofMetric(metrics[0]!)
    : { label: METRIC_NAME, operator: "=~", value: exactPattern(metrics) }

/** The series of exactly these metrics. */
export const partOfMetrics = (metrics: ReadonlyArray<string>): SeriesPart => {
  const part = new SeriesPart([ofMetrics(metrics)])
  part.metrics = metrics
  return part
}

const byMetric = (metrics: ReadonlyArray<string>): Halves => {
  const middle = Math.ceil(metrics.length / 2)
  return [partOfMetrics(metrics.slice(0, middle)), partOfMetrics(metrics.slice(middle))]
}

const isSplittable = (label: LabelValues | undefined): label is LabelValues =>
  label !== undefined && label.values.length > 1

/** Splits by a label's values. Series without the label are in the half that does not match. */
const byPattern = ({ matchers, spent }: SeriesPart, { label, values }: LabelValues): Halves => {
  const { matched, others, pattern } = halveValues(values)
  const half = (operator: "=~" | "!~", values: ReadonlyArray<string>) =>
    new SeriesPart(
      [...matchers, { label, operator, value: pattern }],
      { label, values },
      values.length > 1 ? spent : new Set([...spent, label])
    )
  return [half("=~", matched), half("!~", others)]
}

/** The remaining label with the most values. */
const mostValues = Effect.fnUntraced(function* ({ matchers, spent }: SeriesPart, index: PartIndex) {
  const names = yield* index.labelNames(matchers)
  let most: LabelValues | undefined
  for (const label of names.filter((label) => !spent.has(label)).slice(0, MAX_LABELS)) {
    const values = (yield* index.labelValues(label, matchers)).filter(
      ({ length }) => length <= MAX_VALUE_CHARACTERS
    )
    if (values.length > (most?.values.length ?? 0)) most = { label, values }
  }
  return most
})

/** Splits by a label that only some series have, if no label has two values. */
const byPresence = Effect.fnUntraced(function* (
  { matchers, spent }: SeriesPart,
  index: PartIndex
): Effect.fn.Return<Halves | undefined, PrometheusError> {
  for (const label of (yield* index.labelNames(matchers)).slice(0, MAX_LABELS)) {
    if (matchers.some((matcher) => matcher.label === label && matcher.value === "")) continue
    const without = [...matchers, { label, operator: "=", value: "" } as const]
    // Every series has a name, even one without labels.
    if ((yield* index.labelValues(METRIC_NAME, without)).length > 0) {
      return [
        new SeriesPart([...matchers, hasLabel(label)], undefined, spent),
        new SeriesPart(without, undefined, spent)
      ]
    }
  }
  return undefined
})
