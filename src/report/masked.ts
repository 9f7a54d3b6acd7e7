/** Masks secrets in everything that is shown. A server or a proxy may repeat them in a response, and errors quote it. */
import { Effect, Layer } from "effect"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { Progress, type RunSummary, type StreamSummary } from "../run/Progress.ts"

type Mask = (text: string) => string

const maskedStream = (stream: StreamSummary, mask: Mask): StreamSummary =>
  stream.error === undefined ? stream : { ...stream, error: mask(stream.error) }

/** A summary without secrets. `mask` comes from `makeMask`. */
export const maskedSummary = (run: RunSummary, mask: Mask): RunSummary => ({
  ...run,
  streams: run.streams.map((stream) => maskedStream(stream, mask))
})

/** A `Progress` that receives everything with secrets masked. */
export const masked = <E, R>(
  progress: Layer.Layer<Progress, E, R>,
  mask: Mask
): Layer.Layer<Progress, E, R> =>
  Layer.effect(
    Progress,
    Effect.map(Progress, (inner) =>
      Progress.of({
        ...inner,
        retrying: (stream, error, delay) =>
          inner.retrying(
            stream,
            new PrometheusError({ reason: error.reason, summary: mask(error.summary) }),
            delay
          ),
        ended: (stream) => inner.ended(maskedStream(stream, mask)),
        finish: (run) => inner.finish(maskedSummary(run, mask))
      })
    )
  ).pipe(Layer.provide(progress))
