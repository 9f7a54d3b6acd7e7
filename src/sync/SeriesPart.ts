/**
 * Parts of a stream's series, for servers that refuse to answer all of them in one query.
 *
 * A part is split by a label into those that match a regular expression and those that do not: whatever series there
 * are, each is in one of the two, and in one only. Where to split is learned from the server; being wrong about it makes
 * halves uneven, never incomplete.
 */
import { Effect } from "effect"
import { hasLabel, type Matcher } from "../promql/Matcher.ts"
import { halveValues } from "../promql/valuePattern.ts"
import { METRIC_NAME } from "../samples/Series.ts"

/** A label, and values of it that series of a part may have. */
interface LabelValues {
  readonly label: string
  readonly values: ReadonlyArray<string>
}

/** Two parts that have no series in common, and all of a part's between them. */
export type Halves = readonly [SeriesPart, SeriesPart]

/** The series of a stream that satisfy some matchers, and how they have been split. */
export class SeriesPart {
  readonly matchers: ReadonlyArray<Matcher>
  /** Set once the part has been split; from then on its halves are asked for instead. */
  halves: Halves | undefined
  /** What the part can be split by without asking the server again; its halves have it, once there are some. */
  known: LabelValues | undefined
  /** Labels that it cannot be split by any more. */
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

  /** The part that is asked for first, once splits are followed. */
  get first(): SeriesPart {
    return this.halves === undefined ? this : this.halves[0].first
  }
}

/**
 * What there may be in a part, by the server's word: names of labels, values of a label. More than there is costs empty
 * answers, less makes parts that cannot be split.
 */
export interface PartIndex<E> {
  readonly labelNames: (matchers: ReadonlyArray<Matcher>) => Effect.Effect<ReadonlyArray<string>, E>
  readonly labelValues: (
    label: string,
    matchers: ReadonlyArray<Matcher>
  ) => Effect.Effect<ReadonlyArray<string>, E>
}

/**
 * Parts of parts are not split more often than that. Even splits of a million series have twenty levels, and the most uneven
 * ones a few hundred; a server that refuses parts of that depth refuses everything.
 */
export const MAX_SPLIT_DEPTH = 256

/** So many labels are looked at. Metrics have a few dozen; a server that returns others each time must not be asked for ever. */
const MAX_LABELS = 200

/** Longer values than this are not split by: the pattern that tells them apart is a part of each query. */
const MAX_VALUE_CHARACTERS = 1000

/** Splits a part, once and for all. Undefined if that cannot be done, since it is a single series. */
export const split = Effect.fnUntraced(function* <E>(part: SeriesPart, index: PartIndex<E>) {
  const label = isSplittable(part.known) ? part.known : yield* mostValues(part, index)
  part.halves = isSplittable(label) ? byPattern(part, label) : yield* byPresence(part, index)
  if (part.halves !== undefined) part.known = undefined
  return part.halves
})

const isSplittable = (label: LabelValues | undefined): label is LabelValues =>
  label !== undefined && label.values.length > 1

/** Split by a label's values. Series without the label are among those that do not match. */
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

/** The label that has the most values, of those that are left. */
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

/** Split by a label that some series have and others have not, where no label has two values. */
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
