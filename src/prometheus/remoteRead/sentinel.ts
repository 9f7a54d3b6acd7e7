/**
 * Sentinels: what shows that a streamed response is complete. The frames of a response have no end marker, and a proxy may pass a
 * connection that broke off on as a normal end. So a request has a second query, for a sample that is known to exist: its result
 * comes after all frames of the first one.
 */
import { Effect, Schema, Semaphore, Stream } from "effect"
import type { Matcher } from "../../promql/Matcher.ts"
import { ofMetric, render } from "../../promql/Matcher.ts"
import type { Labels, SampleBlock } from "../../samples/Sample.ts"
import { METRIC_NAME } from "../../samples/Series.ts"
import { apiRequest, type Endpoint, endpoint } from "../api.ts"
import type { PrometheusError } from "../PrometheusError.ts"
import type { StoredQuery } from "../RangeQuery.ts"
import type { ExternalLabels } from "./externalLabels.ts"

/** A series that had a sample at a time. */
export interface Seen {
  /** What selected the series. Its labels may lack some. */
  readonly matchers: ReadonlyArray<Matcher>
  readonly labels: Labels
  readonly timeMillis: number
}

/**
 * How far the sentinel's range extends before the sample: at least so far, and longer than the look-back. The servers behind a load balancer do
 * not have the same samples, but the same series.
 */
const SENTINEL_MILLIS = 600_000

/** The query for a series and its sample. Fewer matchers only select more. */
export const sentinelOf = (
  { labels, matchers, timeMillis }: Seen,
  external: ExternalLabels | undefined,
  lookbackMillis: number
): StoredQuery => {
  const equal = labels
    // For an external label with its own value, a server looks for series without it.
    .filter(([label]) => external?.has(label) !== true)
    .map(([label, value]): Matcher => ({ label, operator: "=", value }))
  const isNamed = equal.some(({ label }) => label === METRIC_NAME)
  return {
    matchers: isNamed ? equal : [...matchers, ...equal],
    startMillis: timeMillis - Math.max(SENTINEL_MILLIS, 2 * lookbackMillis),
    endMillis: timeMillis
  }
}

const InstantVector = Schema.Struct({
  result: Schema.Array(
    Schema.Struct({
      metric: Schema.Record(Schema.String, Schema.String),
      value: Schema.Tuple([Schema.Finite, Schema.String])
    })
  )
})

/** One of the series that satisfy the matchers, if any has a sample in the look-back before a time: by default, the present. */
export const seenAt = (matchers: ReadonlyArray<Matcher>, timeMillis?: number): Endpoint<Seen | undefined> => {
  // Times of native histograms can be compared, but not those of metrics with different names.
  const isNamed = matchers.some(({ label, operator }) => label === METRIC_NAME && operator === "=")
  const selector = render(matchers)
  return endpoint(
    apiRequest("/api/v1/query", {
      query: `topk(1, ${isNamed ? `timestamp(${selector})` : selector})`,
      ...(timeMillis === undefined ? {} : { time: String(timeMillis / 1000) })
    }),
    { bytes: 4 * 1024 * 1024, depth: 16, containers: 1000 },
    InstantVector,
    ({ result: [first] }) => {
      if (first === undefined) return undefined
      const [evaluated, value] = first.value
      const time = Math.round((isNamed ? Number(value) : evaluated) * 1000)
      return Number.isSafeInteger(time)
        ? { matchers, labels: Object.entries(first.metric), timeMillis: time }
        : undefined
    }
  )
}

/** What sentinels need of a client. */
interface Asking {
  /** Asks once. */
  readonly ask: (endpoint: Endpoint<Seen | undefined>) => Effect.Effect<Seen | undefined, PrometheusError>
  readonly externalLabels: Effect.Effect<ExternalLabels | undefined>
  /** How old the sample of a point may be. */
  readonly lookbackMillis: Effect.Effect<number>
  /** Whether the series of blocks have all of their labels. A sentinel with fewer would select other series too. */
  readonly hasAllLabels: boolean
}

/** The sentinels of one client. */
export interface Sentinels {
  /**
   * A sentinel for a remote read. Undefined if no sample is known or found: a response that a proxy cut between two frames is then
   * taken for complete, unless the connection shows that. The first samples of a server that had none are read so.
   */
  readonly choose: (query: StoredQuery) => Effect.Effect<StoredQuery | undefined, PrometheusError>
  /** Learns from the samples of a response. */
  readonly watch: (
    query: StoredQuery,
    blocks: Stream.Stream<SampleBlock, PrometheusError>
  ) => Stream.Stream<SampleBlock, PrometheusError>
  /** A remote read failed. Its sentinel may be the cause, if it was deleted or is damaged: it is not used again. */
  readonly onFailure: (error: PrometheusError) => Effect.Effect<void>
}

export const makeSentinels = ({ ask, externalLabels, hasAllLabels, lookbackMillis }: Asking): Sentinels => {
  const turns = Semaphore.makeUnsafe(1)
  /** The latest sample that was seen: it stays stored the longest. */
  let latest: Seen | undefined
  /** For which selectors there was no series at present. */
  let missing = new Set<string>()

  const find = Effect.fnUntraced(function* (matchers: ReadonlyArray<Matcher>, timeMillis?: number) {
    if (latest !== undefined) return
    const key = timeMillis === undefined ? render(matchers) : undefined
    if (key !== undefined && missing.has(key)) return
    latest = yield* Effect.catchIf(ask(seenAt(matchers, timeMillis)), isFinal, () =>
      Effect.succeed(undefined)
    )
    if (latest === undefined && key !== undefined) missing.add(key)
  })

  /** Asks for a series of the query, or else for one that nearly every server has. */
  const findAny = ({ endMillis, matchers }: StoredQuery) =>
    find(matchers).pipe(
      Effect.andThen(find(matchers, Math.floor(endMillis))),
      Effect.andThen(find([ofMetric("up")])),
      turns.withPermit
    )

  const onFailure = ({ policy, reason }: PrometheusError) =>
    Effect.sync(() => {
      if (reason !== "BrokenResponse" && policy.mayBeDamage !== true) return
      latest = undefined
      missing = new Set()
    })

  return {
    choose: Effect.fnUntraced(function* (query) {
      if (latest === undefined) yield* findAny(query)
      return latest && sentinelOf(latest, yield* externalLabels, yield* lookbackMillis)
    }),
    watch: ({ matchers }, blocks) =>
      blocks.pipe(
        Stream.mapArray((blocks) => {
          if (!hasAllLabels) return blocks
          for (const { length, series, times } of blocks) {
            const timeMillis = times[length - 1]!
            if (latest === undefined || timeMillis > latest.timeMillis) {
              latest = { matchers, labels: series.labels, timeMillis }
            }
          }
          return blocks
        }),
        Stream.tapError(onFailure)
      ),
    onFailure
  }
}

/** Whether asking again would not help. A server that is slow to find a series still has its samples. */
const isFinal = ({ policy, reason }: PrometheusError): boolean =>
  policy.action !== "retry" || reason === "Timeout"
