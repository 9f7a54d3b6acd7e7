/** Stored samples, each with its own time: read as the server's chunks by remote read. */
import { Effect, type Scope, Stream } from "effect"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { ResponseForm, TimeRange } from "../prometheus/RangeQuery.ts"
import type { Matcher } from "../promql/Matcher.ts"
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

  /** Fails so that the request is repeated, now in the other form. The samples that arrived before are not emitted twice. */
  const asSamples = (error: PrometheusError): PrometheusError => {
    if (error.reason !== "UnknownEncoding" || accepted[0] === "samples") return error
    accepted = ["samples"]
    return new PrometheusError({ reason: "BrokenResponse", summary: error.summary })
  }

  return (): Reading => {
    const series = new SeriesCache()
    const remoteRead = (range: TimeRange, matchers: ReadonlyArray<Matcher>): Requested =>
      Effect.flatMap(droppable(matchers, range), (externalLabels = new Map()) =>
        client.remoteRead({ ...range, matchers, externalLabels, series, accepted })
      ).pipe(Effect.map(Stream.mapError(asSamples)), Effect.mapError(asSamples))
    return {
      bounds: rawBounds,
      expect: (range) => range,
      request: ({ firstMillis, lastMillis }, matchers) =>
        remoteRead({ startMillis: firstMillis, endMillis: lastMillis }, matchers),
      // A remote read does not choose among samples, so none is found where it is refused.
      closeTo: () => Effect.succeed([]),
      mayMoveStart: Effect.succeed(false)
    }
  }
})
