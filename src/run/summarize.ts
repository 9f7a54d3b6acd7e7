/** What the summaries of all kinds of runs have in common. */
import { Clock, Effect } from "effect"
import type { Destination } from "../destinations/Destination.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import type { RunSummary } from "./Progress.ts"
import { streamToPreview } from "./readInto.ts"

/** A run that has read its streams. */
interface Finished extends Omit<RunSummary, "startedAt" | "seconds" | "bytes" | "previewCommand"> {
  readonly place: Pick<Destination["Service"], "bytes" | "previewCommand">
}

/** Begins a run. Returns the function that sums it up at its end. */
export const beginRun = Effect.gen(function* () {
  const startedAt = yield* Clock.currentTimeMillis
  const begunAt = yield* steadyMillis
  return Effect.fnUntraced(function* ({ place, ...finished }: Finished) {
    const { streams } = finished
    // Before the end time is taken, because this moves the last files into place.
    const bytes = yield* place.bytes
    return {
      ...finished,
      startedAt,
      seconds: ((yield* steadyMillis) - begunAt) / 1000,
      bytes,
      previewCommand: place.previewCommand((streamToPreview(streams) ?? streams[0]!).name)
    } satisfies RunSummary as RunSummary
  })
})
