/** What the summaries of all kinds of runs have in common. */
import { Clock, Effect } from "effect"
import type { Destination } from "../destinations/Destination.ts"
import type { LoadFigures } from "../prometheus/load/LoadMeter.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import type { RunSummary } from "./Progress.ts"
import { beginCost, noCost, sumOfCosts } from "./RunCost.ts"
import { streamToPreview } from "./readInto.ts"

/** A run that has read its streams. */
interface Finished extends Omit<RunSummary, "startedAt" | "seconds" | "bytes" | "previewCommand" | "cost"> {
  /** What other processes have read for the run. */
  readonly costElsewhere?: LoadFigures
  readonly place: Pick<Destination["Service"], "bytes" | "previewCommand">
}

/** Begins a run. Returns the function that sums it up at its end. */
export const beginRun = Effect.gen(function* () {
  const startedAt = yield* Clock.currentTimeMillis
  const begunAt = yield* steadyMillis
  const endCost = yield* beginCost
  return Effect.fnUntraced(function* ({ costElsewhere = noCost, place, ...finished }: Finished) {
    const { streams } = finished
    // Before the end time is taken, because this moves the last files into place.
    const bytes = yield* place.bytes
    const seconds = ((yield* steadyMillis) - begunAt) / 1000
    const cost = yield* endCost
    return {
      ...finished,
      startedAt,
      seconds,
      bytes,
      cost: { ...cost, ...sumOfCosts([cost, costElsewhere]) },
      previewCommand: place.previewCommand((streamToPreview(streams) ?? streams[0]!).name)
    } satisfies RunSummary as RunSummary
  })
})
