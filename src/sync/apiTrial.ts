/** A trial of remote read: some points of a stream, requested in both ways. */
import { Effect, type Scope } from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { Response } from "./BlockSource.ts"
import { storedPerPoint } from "./gridApi.ts"
import { recordsDigest } from "./recordsDigest.ts"
import type { StoredCounts } from "./storedGrid.ts"
import type { GridRange } from "./TimeGrid.ts"

type Requested = Effect.Effect<Response, PrometheusError, Scope.Scope>

export interface TrialOptions {
  /** The range to request if remote read is taken. */
  readonly range: GridRange
  /** The points of the trial. */
  readonly tried: GridRange
  readonly lookbackMillis: number
  /** The most stored samples per point. */
  readonly most: number
  readonly byQuery: Requested
  readonly byRemoteRead: (onEnd: (counts: StoredCounts) => void) => Requested
}

/** What a trial shows. Nothing if there are no samples at its points. */
export type TrialResult =
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Same"; readonly storedPerPoint: number }
  | { readonly _tag: "TooMany"; readonly storedPerPoint: number }
  | { readonly _tag: "Different" }

/** Requests the points by remote read, and with a query if that is not too many samples. */
export const tryRemoteRead = Effect.fnUntraced(function* ({
  byQuery,
  byRemoteRead,
  lookbackMillis,
  most,
  range,
  tried
}: TrialOptions): Effect.fn.Return<TrialResult, PrometheusError> {
  const digestOf = (request: Requested) => Effect.scoped(Effect.flatMap(request, recordsDigest))
  let counts: StoredCounts = { stored: 0, points: 0 }
  const ours = yield* digestOf(
    byRemoteRead(({ points, stored }) => {
      counts = { points, stored }
    })
  )
  if (counts.points === 0) return { _tag: "Nothing" }
  const ratio = storedPerPoint(range, { range: tried, ...counts }, lookbackMillis)
  if (ratio > most) return { _tag: "TooMany", storedPerPoint: ratio }
  return ours === (yield* digestOf(byQuery)) ? { _tag: "Same", storedPerPoint: ratio } : { _tag: "Different" }
})
