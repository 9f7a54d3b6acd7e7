/**
 * Stored samples, each with its own time: read as the server's chunks by remote read, or where that is not possible, by instant
 * queries. Both give the same samples.
 */
import { Effect, type Scope, Stream } from "effect"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import type { Matcher } from "../promql/Matcher.ts"
import { SeriesCache } from "../samples/Series.ts"
import type { Response } from "./BlockSource.ts"
import { makeLabelCheck } from "./externalLabels.ts"
import type { Reading } from "./metricSources.ts"
import { rawBounds } from "./WindowSize.ts"

type Requested = Effect.Effect<Response, PrometheusError, Scope.Scope>

/** How samples are asked for: by remote read, as chunks or in one message, or by queries. */
type Way = "chunks" | "samples" | "query"

const UNKNOWN_LABELS =
  "The server does not show its external labels, which it may add to the series of remote reads."

const OWN_LABELS =
  "Read by queries: series may have external labels of the server as their own, which a remote read does not show."

/** Makes the readings of one server, which share what it has shown to offer. */
export const makeStoredSamples = Effect.gen(function* () {
  const client = yield* PrometheusClient
  const { droppable } = makeLabelCheck(client)
  let way: Way = "chunks"

  /** From now on, samples are asked for in another way. */
  const change = (next: Way, why: string) =>
    Effect.suspend(() => {
      if (way === next) return Effect.void
      way = next
      const how = next === "query" ? "by queries, which is more work for the server" : "in its other form"
      return Effect.logInfo(`Stored samples are read ${how}. ${why}`)
    })

  /** Version 2 leaves native histograms out of the other form. Queries have them on all servers. */
  const withoutChunks = Effect.map(
    client.backend,
    ({ kind }): Way => (kind === "prometheus3" ? "samples" : "query")
  )

  /** Fails so that the request is repeated, in another way. The samples that arrived before are not emitted twice. */
  const inOtherForm = (error: PrometheusError) =>
    error.reason === "UnknownEncoding"
      ? Effect.gen(function* () {
          yield* change(way === "chunks" ? yield* withoutChunks : "query", error.summary)
          return yield* new PrometheusError({ reason: "BrokenResponse", summary: error.summary })
        })
      : Effect.fail(error)

  return (): Reading => {
    const series = new SeriesCache()
    const queried = new SeriesCache()
    const query = (range: TimeRange, matchers: ReadonlyArray<Matcher>): Requested =>
      client.instantRange({ ...range, matchers, series: queried })

    const remoteRead = (range: TimeRange, matchers: ReadonlyArray<Matcher>): Requested =>
      Effect.gen(function* () {
        const externalLabels = yield* droppable(matchers, range)
        if (externalLabels === undefined) {
          if ((yield* client.externalLabels) === undefined) yield* change("query", UNKNOWN_LABELS)
          else yield* Effect.logDebug(OWN_LABELS)
          return yield* query(range, matchers)
        }
        const accepted = [way === "samples" ? "samples" : "chunks"] as const
        const response = yield* client.remoteRead({ ...range, matchers, externalLabels, series, accepted })
        return Stream.catch(response, (error) => Stream.fromEffect(inOtherForm(error)))
      }).pipe(
        Effect.catchIf(
          ({ reason }) => reason === "NoRemoteRead",
          ({ summary }) => Effect.andThen(change("query", summary), query(range, matchers))
        )
      )

    return {
      bounds: rawBounds,
      expect: (range) => range,
      request: ({ firstMillis, lastMillis }, matchers) =>
        Effect.suspend(() =>
          (way === "query" ? query : remoteRead)(
            { startMillis: firstMillis, endMillis: lastMillis },
            matchers
          )
        ),
      // A window has all of its samples, so none is found where it is refused.
      closeTo: () => Effect.succeed([]),
      mayMoveStart: Effect.succeed(false)
    }
  }
})
