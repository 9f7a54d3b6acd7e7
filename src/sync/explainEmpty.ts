/**
 * Why a stream has no records: its samples lie between the points of the grid, or the server has no samples of it any more. Most
 * streams without records just had nothing new, which needs no words.
 */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import { metricSelector, ofMetric } from "../promql/Matcher.ts"
import { stepText } from "../text/figures.ts"
import { formatSecond, formatTime } from "../text/formatTime.ts"
import { discoveryRange } from "./Discovery.ts"
import { ownMatchersOf, selectorOfMetric } from "./StreamDefinition.ts"
import { samplePresence } from "./samplePresence.ts"
import { type GridRange, isRawRange } from "./TimeGrid.ts"

/** In how many parts a range is searched for samples, and then each part. */
const PARTS = 64
const SMALLER_PARTS = 1000

/** Steps that people use, in seconds. */
const niceSteps = [3600, 1800, 900, 600, 300, 240, 180, 120, 60, 30, 20, 15, 10, 5, 2, 1]

/** How long an explanation may take. It can be done without. */
const LIMIT = "1 minute"

/** Explains the empty streams of one read, which share the lists of names. */
export const makeExplainer = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  /** The configured range. */
  const configured = Effect.zipWith(client.clock, client.backend, ({ nowMillis }, { lookbackMillis }) =>
    discoveryRange(settings, nowMillis, lookbackMillis)
  )
  const listedByRange = new Map<string, Effect.Effect<ReadonlySet<string>>>()
  const listedIn = (range: TimeRange) =>
    Effect.map(
      Effect.orElseSucceed(client.metricNames(range), () => []),
      (names): ReadonlySet<string> => new Set(names)
    )

  /** Requested once for all streams. */
  const everListed = yield* Effect.cached(Effect.flatMap(configured, listedIn))

  const explain = Effect.fnUntraced(function* (metric: string, grid: GridRange) {
    const { kind, lookbackMillis } = yield* client.backend
    const { firstMillis, lastMillis } = grid
    const isRaw = isRawRange(grid)
    const read = {
      startMillis: isRaw ? firstMillis : Math.max(0, firstMillis - lookbackMillis),
      endMillis: lastMillis
    }
    const key = `${firstMillis} ${lastMillis}`
    const listed = listedByRange.get(key) ?? (yield* Effect.cached(listedIn(read)))
    listedByRange.set(key, listed)
    // The lists are those of the general selector.
    if (ownMatchersOf(settings, metric) !== undefined) return undefined
    const isListed = (yield* listed).has(metric)
    // Without samples in this range, but in others: it has nothing new.
    if (!isListed && (yield* everListed).has(metric)) return undefined
    const range = isListed ? read : yield* configured
    const parts =
      (yield* samplePresence([ofMetric(metric)], range, PARTS, selectorOfMetric(settings, metric))).get(
        metric
      ) ?? []
    const inRead = parts.filter(
      ({ endMillis, startMillis }) => endMillis >= read.startMillis && startMillis <= read.endMillis
    )
    // They may have been written since.
    if (inRead.length > 0 && isRaw) return undefined
    if (inRead.length > 0) return yield* betweenPoints(metric, grid, inRead[0]!, inRead.at(-1)!)
    if (parts.length > 0) return undefined
    if (isListed && kind === "thanos") {
      return `Thanos lists it from ${formatTime(firstMillis)} to ${formatTime(lastMillis)}, but has no raw samples of it there. If older data were downsampled, max_source_resolution (5m or 1h) shows them.`
    }
    if (isListed) return undefined
    return `The server has no such metric from ${formatTime(range.startMillis)} on. It was removed or renamed, its data has expired, or selector leaves none of its series.`
  })

  /** Samples exist, and no point has one. */
  const betweenPoints = Effect.fnUntraced(function* (
    metric: string,
    { lastMillis, stepMillis }: GridRange,
    firstPart: TimeRange,
    lastPart: TimeRange
  ) {
    const first = yield* zoom(metric, firstPart, (parts) => parts[0])
    const last = yield* zoom(metric, lastPart, (parts) => parts.at(-1))
    const { lookbackMillis } = yield* client.backend
    const step = yield* visibleStep(metric, first.endMillis, { stepMillis, lastMillis, lookbackMillis })
    const age = stepText(lookbackMillis / 1000)
    const advice =
      step === undefined
        ? "A smaller step may show them."
        : `A step of ${stepText(step)} (${step}) shows them.`
    const [from, to] = [formatSecond(first.endMillis), formatSecond(last.endMillis)]
    const span = from === to ? `a sample at ${from}` : `samples between ${from} and ${to}`
    return `It has ${span}, but no point of the step of ${stepText(stepMillis / 1000)} shows one, because a point shows a sample for ${age} only. ${advice}`
  })

  /** The first or the last of the smallest parts that have samples. */
  const zoom = Effect.fnUntraced(function* (
    metric: string,
    part: TimeRange,
    choose: (parts: ReadonlyArray<TimeRange>) => TimeRange | undefined
  ) {
    let range = part
    for (let length = lengthOf(range); length > 0; length = lengthOf(range)) {
      const parts =
        (yield* samplePresence(
          [ofMetric(metric)],
          range,
          SMALLER_PARTS,
          selectorOfMetric(settings, metric)
        )).get(metric) ?? []
      const chosen = choose(parts)
      if (chosen === undefined || lengthOf(chosen) >= length) return range
      range = chosen
    }
    return range
  })

  /** The largest usual step, in seconds, below the present one that has a point with the sample of that time. */
  const visibleStep = Effect.fnUntraced(function* (
    metric: string,
    timeMillis: number,
    { lastMillis, lookbackMillis, stepMillis }: Record<"stepMillis" | "lastMillis" | "lookbackMillis", number>
  ) {
    const steps = niceSteps.filter((step) => step * 1000 < stepMillis && step * 1000 <= lookbackMillis)
    for (const step of steps) {
      const first = Math.ceil(timeMillis / (step * 1000)) * step * 1000
      if (first <= lastMillis && (yield* hasPoint(metric, first))) return step
    }
    return undefined
  })

  const hasPoint = (metric: string, millis: number) =>
    Effect.flatMap(client.backend, ({ latestSample }) =>
      client.queryRange({
        query: `count(${latestSample(metricSelector(metric, selectorOfMetric(settings, metric)))})`,
        startMillis: millis,
        endMillis: millis,
        stepMillis: 1000
      })
    ).pipe(
      Effect.flatMap(
        Stream.runFold(
          () => 0,
          (points, { length }) => points + length
        )
      ),
      Effect.scoped,
      Effect.map((points) => points > 0)
    )

  /** Why a stream has no records in a range, as a sentence; undefined if there is nothing to say. Never fails. */
  return (metric: string, grid: GridRange): Effect.Effect<string | undefined> =>
    explain(metric, grid).pipe(
      Effect.provideService(ConnectorConfig, settings),
      Effect.provideService(PrometheusClient, client),
      serverTimeout(LIMIT, () => Effect.undefined),
      Effect.catch(({ message }) =>
        Effect.as(Effect.logDebug(`${metric}: why it has no records is not known. ${message}`), undefined)
      )
    )
})

const lengthOf = ({ endMillis, startMillis }: TimeRange): number => endMillis - startMillis
