/**
 * Stored samples, each with its own time: read as the server's chunks by remote read, or where that is not possible or not
 * exact, by instant queries. Both give the same samples.
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

const READS_FROM_OTHERS =
  "The server also reads from other servers, and a remote read does not report when one of them is unavailable."

const OWN_LABELS =
  "Reading with queries: some series may have a label of their own that equals an external label, and a remote read does not show which."

/** Makes the readings of one server, which share what it has shown to offer. */
export const makeStoredSamples = Effect.gen(function* () {
  const client = yield* PrometheusClient
  const { droppable } = makeLabelCheck(client)
  /** Whether a remote read has had a response. Later refusals concern one stream only. */
  let isOffered = false
  /** Whether all streams are read by queries. */
  let isRefused = false

  const refuse = (why: string) =>
    Effect.suspend(() => {
      if (isRefused) return Effect.void
      isRefused = true
      return Effect.logInfo(`Stored samples are read by queries, which is more work for the server. ${why}`)
    })

  /** Why remote reads of this server may lack samples, or have other labels. */
  const doubt = Effect.gen(function* () {
    if ((yield* client.externalLabels) === undefined) return UNKNOWN_LABELS
    return (yield* client.configuration)?.readsFromOthers === true ? READS_FROM_OTHERS : undefined
  })

  /**
   * Fails so that the request is repeated, by a query. The samples that arrived before are not emitted twice. A remote read could
   * also return samples instead of chunks, but without the sign of a zero, and in version 2 without native histograms.
   */
  const byQueries = (error: PrometheusError) =>
    error.reason === "UnknownEncoding"
      ? Effect.andThen(
          refuse(error.summary),
          new PrometheusError({ reason: "BrokenResponse", summary: error.summary })
        )
      : Effect.fail(error)

  return (): Reading => {
    const series = new SeriesCache()
    const queried = new SeriesCache()
    let usesQueries = false

    const query = (range: TimeRange, matchers: ReadonlyArray<Matcher>): Requested =>
      client.instantRange({ ...range, matchers, series: queried })

    const remoteRead = (range: TimeRange, matchers: ReadonlyArray<Matcher>): Requested =>
      Effect.gen(function* () {
        const why = yield* doubt
        if (why !== undefined) {
          yield* refuse(why)
          return yield* query(range, matchers)
        }
        const externalLabels = yield* droppable(matchers, range)
        if (externalLabels === undefined) {
          yield* Effect.logDebug(OWN_LABELS)
          return yield* query(range, matchers)
        }
        const response = yield* client.remoteRead({ ...range, matchers, externalLabels, series })
        isOffered = true
        return Stream.catch(response, (error) => Stream.fromEffect(byQueries(error)))
      }).pipe(
        Effect.catchIf(
          ({ reason }) => reason === "NoRemoteRead",
          ({ summary }) => {
            usesQueries = true
            const said = isOffered
              ? Effect.logInfo(`${summary} Reading this stream with queries.`)
              : refuse(summary)
            return Effect.andThen(said, query(range, matchers))
          }
        )
      )

    return {
      bounds: rawBounds,
      expect: (range) => range,
      request: ({ firstMillis, lastMillis }, matchers) =>
        Effect.suspend(() =>
          (usesQueries || isRefused ? query : remoteRead)(
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
