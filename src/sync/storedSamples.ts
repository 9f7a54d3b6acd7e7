/** Stored samples, each with its own time: read as the server's chunks by remote read. */
import { Effect, Stream } from "effect"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { ResponseForm } from "../prometheus/RangeQuery.ts"
import { SeriesCache } from "../samples/Series.ts"
import type { Reading } from "./metricSources.ts"
import { rawBounds } from "./WindowSize.ts"

/** Makes the readings of one server, which share what it has shown to offer. */
export const makeStoredSamples = Effect.gen(function* () {
  const client = yield* PrometheusClient
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
    return {
      bounds: rawBounds,
      expect: (range) => range,
      request: ({ firstMillis, lastMillis }, matchers) =>
        Effect.suspend(() =>
          client.remoteRead({ matchers, startMillis: firstMillis, endMillis: lastMillis, series, accepted })
        ).pipe(Effect.map(Stream.mapError(asSamples)), Effect.mapError(asSamples)),
      // A remote read does not choose among samples, so none is found where it is refused.
      closeTo: () => Effect.succeed([]),
      mayMoveStart: Effect.succeed(false)
    }
  }
})
