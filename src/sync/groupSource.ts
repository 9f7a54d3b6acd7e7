/** The source of a group: all of its metrics in one request, if the server accepts it. */
import { Effect, Stream } from "effect"
import type { BackendKind } from "../prometheus/Backend.ts"
import { PrometheusError, type Reason } from "../prometheus/PrometheusError.ts"
import type { Matcher } from "../promql/Matcher.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import type { StreamSource } from "./BlockSource.ts"
import { cutNames, nameLimitsOf, partOfLists } from "./metricParts.ts"
import type { GridRange } from "./TimeGrid.ts"

/**
 * Refusals that the names in a query may cause: by their number, by their length, or by being a regular expression. The server may
 * accept fewer names, or a single one.
 */
const mayBeForNames: ReadonlySet<Reason> = new Set(["TooLongRequest", "InvalidQuery", "Refused"])

/** The server does not list metrics. Only groups need the list. */
const isUnlisted: ReadonlySet<Reason> = new Set(["NoLabelApi", "WrongPath"])

/** If a server has accepted this many queries of one name and refused all of several, it is taken to accept only one. */
const ENOUGH_SINGLE_NAMES = 4

/** For how many metrics to find out why they have no samples. */
const MAX_EXPLAINED = 3

interface GroupOptions {
  readonly group: string
  /** Its metrics that the server lists. */
  readonly metrics: Effect.Effect<ReadonlyArray<string>, PrometheusError>
  readonly kind: Effect.Effect<BackendKind>
  /** The first point of a range from which on to read lists of its metrics. */
  readonly beginning: (lists: ReadonlyArray<ReadonlyArray<string>>, range: GridRange) => Effect.Effect<number>
  readonly explain: (metric: string, grid: GridRange) => Effect.Effect<string | undefined>
}

/** Makes the source of a group from one that selects series by the matchers of a part alone. */
export const groupSource = (
  source: StreamSource,
  { beginning, explain, group, kind, metrics }: GroupOptions
): StreamSource => {
  const known = new Set<string>()
  /** Its metrics, in lists that the server accepts in a query. */
  let lists: ReadonlyArray<ReadonlyArray<string>> = []
  /** How many queries of one name the server has accepted. */
  let single = 0
  let acceptsSeveral = false
  /** The latest refusal of several names. */
  let refusal: PrometheusError | undefined
  /** Requests several names. A server may refuse them although it accepts each one alone. */
  const requestSeveral = (range: GridRange, matchers: ReadonlyArray<Matcher>) =>
    refusal !== undefined && !acceptsSeveral && single >= ENOUGH_SINGLE_NAMES
      ? Effect.fail(refusal)
      : source.request(range, matchers).pipe(
          Effect.tap(() => Effect.sync(() => (acceptsSeveral = true))),
          Effect.mapError((error) => {
            if (!mayBeForNames.has(error.reason)) return error
            refusal = new PrometheusError({ reason: "TooManySeries", summary: error.summary })
            return refusal
          })
        )
  return {
    metrics: known,
    bounds: source.bounds,
    series: Effect.gen(function* () {
      const names = yield* Effect.mapError(metrics, (error) =>
        isUnlisted.has(error.reason)
          ? new PrometheusError({ reason: "UnlistedGroup", summary: error.summary })
          : error
      )
      for (const name of names) known.add(name)
      lists = cutNames(names, nameLimitsOf(yield* kind))
      return partOfLists(lists)
    }),
    ...(source.countSeries === undefined ? {} : { countSeries: source.countSeries }),
    expect: source.expect,
    request: (range, matchers) => {
      if (known.size === 0) return Effect.succeed(Stream.empty)
      return namesSeveral(matchers)
        ? requestSeveral(range, matchers)
        : Effect.tap(source.request(range, matchers), () => Effect.sync(() => single++))
    },
    mayMoveStart: source.mayMoveStart,
    closeTo: source.closeTo,
    missing: source.missing,
    index: source.index,
    beginning: (range) => beginning(lists, range),
    explainEmpty: Effect.fnUntraced(function* (range: GridRange) {
      if (known.size === 0) {
        return `The server has no metric of the group ${group} in the configured range. Check the patterns of the group, and metrics, which selects the metrics of all streams.`
      }
      for (const metric of [...known].slice(0, MAX_EXPLAINED)) {
        const notice = yield* explain(metric, range)
        if (notice !== undefined) return `${metric}: ${notice}`
      }
      return undefined
    })
  }
}

/** Whether matchers are those of a part with several metrics. */
const namesSeveral = (matchers: ReadonlyArray<Matcher>): boolean =>
  matchers.some(({ label, operator }) => label === METRIC_NAME && operator === "=~")
