/**
 * Parts of a stream's series, for servers that refuse to return all of them in one response.
 *
 * A part is split by a label into the series that match a regular expression and those that do not: every series is in exactly one
 * of the two. The server lists the values to split by; if its list is wrong, halves are uneven, never incomplete.
 */
import { Effect } from "effect"
import { hasLabel, type Matcher } from "../promql/Matcher.ts"
import { halveValues } from "../promql/valuePattern.ts"
import { METRIC_NAME } from "../samples/Series.ts"

/** A label, and the values of it that series of a part may have. */
interface LabelValues {
  readonly label: string
  readonly values: ReadonlyArray<string>
}

/** Two parts without a common series, which together have all series of a part. */
export type Halves = readonly [SeriesPart, SeriesPart]

/** The series of a stream that satisfy some matchers, and how they have been split. */
export class SeriesPart {
  readonly matchers: ReadonlyArray<Matcher>
  /** Set once the part has been split; from then on its halves are requested instead. */
  halves: Halves | undefined
  /** What the part can be split by without another request; the halves inherit it. */
  known: LabelValues | undefined
  /** Labels that can no longer split it. */
  readonly spent: ReadonlySet<string>

  constructor(
    matchers: ReadonlyArray<Matcher> = [],
    known?: LabelValues,
    spent: ReadonlySet<string> = new Set()
  ) {
    this.matchers = matchers
    this.known = known
    this.spent = spent
  }

  /** The part that is requested first: the first one of the splits. */
  get first(): SeriesPart {
    return this.halves === undefined ? this : this.halves[0].first
  }
}

/**
 * The names of labels and the values of a label in a part, as the server lists them. A name too many costs empty responses, a name
 * too few makes parts that cannot be split.
 */
export interface PartIndex<E> {
  readonly labelNames: (matchers: ReadonlyArray<Matcher>) => Effect.Effect<ReadonlyArray<string>, E>
  readonly labelValues: (
    label: string,
    matchers: ReadonlyArray<Matcher>
  ) => Effect.Effect<ReadonlyArray<string>, E>
}

/**
 * The most splits of parts of parts. Even splits of a million series have twenty levels, and the most uneven ones a few hundred; a
 * server that refuses parts of that depth refuses everything.
 */
export const MAX_SPLIT_DEPTH = 256

/** The most labels that are tried. Metrics have a few dozen; a server that returns others each time must not cause endless requests. */
const MAX_LABELS = 200

/** Longer values than this are not used: the pattern that matches them is a part of each query. */
const MAX_VALUE_CHARACTERS = 1000

/** Splits a part, which stays split. Undefined if it cannot be split, since it is a single series. */
export const split = Effect.fnUntraced(function* <E>(part: SeriesPart, index: PartIndex<E>) {
  const label = isSplittable(part.known) ? part.known : yield* mostValues(part, index)
  part.halves = isSplittable(label) ? byPattern(part, label) : yield* byPresence(part, index)
  if (part.halves !== undefined) part.known = undefined
  return part.halves
})

const isSplittable = (label: LabelValues | undefined): label is LabelValues =>
  label !== undefined && label.values.length > 1

/** Splits by a label's values. Series without the label are among those that do not match. */
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

/** The label with the most values, of those that are left. */
const mostValues = Effect.fnUntraced(function* <E>({ matchers, spent }: SeriesPart, index: PartIndex<E>) {
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

/** Splits by a label that some series have and others do not, where no label has two values. */
const byPresence = Effect.fnUntraced(function* <E>(
  { matchers, spent }: SeriesPart,
  index: PartIndex<E>
): Effect.fn.Return<Halves | undefined, E> {
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
