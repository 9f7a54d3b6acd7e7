/** Secrets never show: a server or a proxy may repeat them in what it says, and errors tell what it said. */
import { Effect, Layer } from "effect"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { Progress, type RunSummary, type StreamSummary } from "../run/Progress.ts"

type Mask = (text: string) => string

const maskedStream = (stream: StreamSummary, mask: Mask): StreamSummary =>
  stream.error === undefined ? stream : { ...stream, error: mask(stream.error) }

/** A summary that may be shown, kept or sent on. `mask` is what `makeMask` makes. */
export const maskedSummary = (run: RunSummary, mask: Mask): RunSummary => ({
  ...run,
  streams: run.streams.map((stream) => maskedStream(stream, mask))
})

/** A `Progress` to which all is told without secrets. */
export const masked = <E, R>(
  progress: Layer.Layer<Progress, E, R>,
  mask: Mask
): Layer.Layer<Progress, E, R> =>
  Layer.effect(
    Progress,
    Effect.map(Progress, (told) =>
      Progress.of({
        ...told,
        retrying: (stream, error, delay) =>
          told.retrying(
            stream,
            new PrometheusError({ reason: error.reason, summary: mask(error.summary) }),
            delay
          ),
        ended: (stream) => told.ended(maskedStream(stream, mask)),
        finish: (run) => told.finish(maskedSummary(run, mask))
      })
    )
  ).pipe(Layer.provide(progress))
