/** Stored samples, each with its own time: by remote read, and by instant queries where that is not possible. */
import { Effect, Result, type Scope, Stream } from "effect"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { ResponseForm, StoredQuery } from "../prometheus/RangeQuery.ts"
import { selectorText } from "../promql/Matcher.ts"
import { SeriesCache } from "../samples/Series.ts"
import type { Response } from "./BlockSource.ts"
import { makeLabelCheck } from "./externalLabels.ts"
import type { Reading } from "./metricSources.ts"
import { rawBounds } from "./WindowSize.ts"

type Requested = Effect.Effect<Response, PrometheusError, Scope.Scope>

/** Makes the readings of one server, which share what it has shown to offer. */
export const makeStoredSamples = Effect.gen(function* () {
  const client = yield* PrometheusClient
  const { droppable } = makeLabelCheck(client)
  /** The forms to ask for: samples once the server has sent chunks in an unknown encoding. */
  let accepted: ReadonlyArray<ResponseForm> = ["chunks"]
  let hasRemoteRead = true

  /** Fails so that the request is repeated, now in the other form. The samples that arrived before are not emitted twice. */
  const asSamples = (error: PrometheusError): PrometheusError => {
    if (error.reason !== "UnknownEncoding" || accepted[0] === "samples") return error
    accepted = ["samples"]
    return new PrometheusError({ reason: "BrokenResponse", summary: error.summary })
  }

  /** Ends with undefined if the server does not offer it, or if it would not give the labels of the query API. */
  const remoteRead = Effect.fnUntraced(function* (query: StoredQuery) {
    const externalLabels = yield* droppable(query.matchers, query)
    if (externalLabels === undefined) {
      yield* Effect.logDebug(
        `Reading ${selectorText(query.matchers)} with instant queries: remote read may add labels that queries do not have.`
      )
      return undefined
    }
    const requested: Requested = client.remoteRead({ ...query, externalLabels, accepted })
    const response = yield* Effect.result(requested)
    if (Result.isSuccess(response)) return Stream.mapError(response.success, asSamples)
    if (response.failure.reason !== "NoRemoteRead") return yield* asSamples(response.failure)
    if (hasRemoteRead) {
      hasRemoteRead = false
      yield* Effect.logInfo(
        `Reading stored samples with instant queries, since the server does not offer remote read: ${response.failure.summary}`
      )
    }
    return undefined
  })

  const request = Effect.fnUntraced(function* (
    query: StoredQuery
  ): Effect.fn.Return<Response, PrometheusError, Scope.Scope> {
    const response = hasRemoteRead ? yield* remoteRead(query) : undefined
    return response ?? (yield* client.instantRange(query))
  })

  return (): Reading => {
    const series = new SeriesCache()
    return {
      bounds: rawBounds,
      expect: (range) => range,
      request: ({ firstMillis, lastMillis }, matchers) =>
        request({ startMillis: firstMillis, endMillis: lastMillis, matchers, series }),
      // Neither chooses among samples, so none is found where it is refused.
      closeTo: () => Effect.succeed([]),
      mayMoveStart: Effect.succeed(false)
    }
  }
})
