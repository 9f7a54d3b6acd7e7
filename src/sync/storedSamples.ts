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

const UNKNOWN_LABELS =
  "The server does not show its external labels, which it may add to the series of remote reads."

const OWN_LABELS =
  "Read by queries: series may have external labels of the server as their own, which a remote read does not show."

/** Makes the readings of one server, which share what it has shown to offer. */
export const makeStoredSamples = Effect.gen(function* () {
  const client = yield* PrometheusClient
  const { droppable } = makeLabelCheck(client)
  let hasRemoteRead = true

  /** From now on, samples of all streams are asked for by queries. */
  const useQueries = (why: string) =>
    Effect.suspend(() => {
      if (!hasRemoteRead) return Effect.void
      hasRemoteRead = false
      return Effect.logInfo(
        `Stored samples are read by queries, which is more work for the server than remote read. ${why}`
      )
    })

  /**
   * If a chunk has an unknown encoding, fails so that the request is repeated, now as a query. What arrived before is not emitted
   * twice. A remote read could also return samples instead of chunks, but without the sign of a zero, and in version 2 without
   * native histograms. It is as much work for the server.
   */
  const repeated = (error: PrometheusError) =>
    error.reason === "UnknownEncoding"
      ? Effect.andThen(
          useQueries(error.summary),
          Effect.fail(new PrometheusError({ reason: "BrokenResponse", summary: error.summary }))
        )
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
          if ((yield* client.externalLabels) === undefined) yield* useQueries(UNKNOWN_LABELS)
          else yield* Effect.logDebug(OWN_LABELS)
          return yield* query(range, matchers)
        }
        const response = yield* client.remoteRead({ ...range, matchers, externalLabels, series })
        return Stream.catch(response, (error) => Stream.fromEffect(repeated(error)))
      }).pipe(
        Effect.catchIf(
          ({ reason }) => reason === "NoRemoteRead",
          ({ summary }) => Effect.andThen(useQueries(summary), query(range, matchers))
        )
      )

    return {
      bounds: rawBounds,
      expect: (range) => range,
      request: ({ firstMillis, lastMillis }, matchers) =>
        Effect.suspend(() =>
          (hasRemoteRead ? remoteRead : query)({ startMillis: firstMillis, endMillis: lastMillis }, matchers)
        ),
      // A window has all of its samples, so none is found where it is refused.
      closeTo: () => Effect.succeed([]),
      mayMoveStart: Effect.succeed(false)
    }
  }
})
