/**
 * Where metrics have samples, whatever their times: asked in equal parts of a range, by a query that returns one number per part
 * and costs the server nothing where there is no sample.
 *
 * Lists of names and labels come from an index, which may be cut, and which knows series by blocks. Points of a grid miss the
 * samples between them. This sees every sample.
 */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { retryPolicy } from "../prometheus/http/retryPolicy.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import { type Matcher, render } from "../promql/Matcher.ts"
import { METRIC_NAME } from "../samples/Series.ts"

/** The parts of a range that have samples, by metric, in the order of time. */
export type Presence = ReadonlyMap<string, ReadonlyArray<TimeRange>>

/** How often a range that the server refuses is halved. */
const MAX_HALVINGS = 3

/** Everything here can be done without, so no response is waited for longer than this. */
const MAX_WAIT_MILLIS = 30_000

/** The most parts with samples that are kept: a server may return anything. */
const MAX_FOUND = 1_000_000

/**
 * Finds which of `parts` equal parts of a closed range have samples of the series that satisfy the matchers and the selector, by
 * default the configured one.
 */
export const samplePresence = (
  matchers: ReadonlyArray<Matcher>,
  range: TimeRange,
  parts: number,
  selector?: ReadonlyArray<Matcher>
): Effect.Effect<Presence, PrometheusError, ConnectorConfig | PrometheusClient> =>
  Effect.flatMap(ConnectorConfig, (settings) =>
    inHalves([...matchers, ...(selector ?? settings.matchers)], range, parts, MAX_HALVINGS)
  )

const inHalves = (
  matchers: ReadonlyArray<Matcher>,
  range: TimeRange,
  parts: number,
  halvings: number
): Effect.Effect<Presence, PrometheusError, ConnectorConfig | PrometheusClient> =>
  Effect.catchIf(
    inOne(matchers, range, parts),
    ({ policy }) => policy.splitBy !== undefined && halvings > 0 && range.endMillis > range.startMillis,
    () => {
      const middle = Math.floor((range.startMillis + range.endMillis) / 2)
      const half = Math.ceil(parts / 2)
      const ask = (startMillis: number, endMillis: number) =>
        inHalves(matchers, { startMillis, endMillis }, half, halvings - 1)
      return Effect.zipWith(ask(range.startMillis, middle), ask(middle + 1, range.endMillis), join)
    }
  )

const join = (earlier: Presence, later: Presence): Presence => {
  const all = new Map(earlier)
  for (const [name, parts] of later) all.set(name, [...(all.get(name) ?? []), ...parts])
  return all
}

const inOne = Effect.fnUntraced(function* (
  matchers: ReadonlyArray<Matcher>,
  { endMillis, startMillis }: TimeRange,
  parts: number
) {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const length = endMillis - startMillis + 1
  const count = Math.min(parts, length)
  const stepMillis = Math.floor(length / count)
  // Parts overlap by a few milliseconds, so that together they are exactly the range. A part ends at its point. Version 2 includes
  // both ends of it, version 3 only the later one.
  const partMillis = length - (count - 1) * stepMillis
  const firstPoint = startMillis - 1 + partMillis
  const selector = render(matchers)
  const waitMillis = Math.min(MAX_WAIT_MILLIS, settings.requestTimeoutMillis)
  return yield* client
    .queryRange({
      query: `count by (${METRIC_NAME}) (last_over_time(${selector}[${partMillis}ms]))`,
      startMillis: firstPoint,
      endMillis,
      stepMillis
    })
    .pipe(
      Effect.flatMap(
        Stream.runFoldEffect(
          () => ({ presence: new Map<string, Array<TimeRange>>(), size: 0 }),
          (found, { length, series, times }) => {
            const name = series.labels.find(([label]) => label === METRIC_NAME)?.[1] ?? ""
            const ranges = found.presence.get(name) ?? []
            found.presence.set(name, ranges)
            found.size += length
            if (found.size > MAX_FOUND) return Effect.fail(tooMuch)
            for (let i = 0; i < length; i++) {
              const end = Math.min(endMillis, times[i]!)
              const start = Math.max(startMillis, end - partMillis + 1)
              if (start <= end) ranges.push({ startMillis: start, endMillis: end })
            }
            return Effect.succeed(found)
          }
        )
      ),
      Effect.map(({ presence }) => presence),
      serverTimeout(waitMillis, () => Effect.fail(tooSlow)),
      Effect.scoped,
      Effect.retry(retryPolicy(Math.min(1, settings.maxRetries)))
    )
})

const tooMuch = new PrometheusError({
  reason: "UnexpectedSample",
  summary: "The server returned more parts of the range with samples than were requested."
})

const tooSlow = new PrometheusError({
  reason: "Timeout",
  summary: "The server did not find out in time which parts of the range have samples."
})
