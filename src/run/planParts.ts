/** Plans the parts of a run, and agrees with other processes on their length. */
import { Effect } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { SharedDestination } from "../destinations/SharedDestination.ts"
import { makePlan } from "../sync/makePlan.ts"
import { cutParts, proposedLength, type SyncPart } from "../sync/parts.ts"
import type { StreamPlan } from "../sync/plan.ts"
import { StateReader } from "../sync/StateStore.ts"
import { type GridRange, pointCount } from "../sync/TimeGrid.ts"
import { probe, withGroupsOnce } from "./seriesCounts.ts"

/** A stream and the parts that it has to read. */
export interface PlannedStream {
  readonly stream: string
  /** All points of the sync. */
  readonly grid: GridRange
  readonly parts: ReadonlyArray<SyncPart>
}

/** If the length of parts can neither be measured nor is given. */
const DEFAULT_LENGTH = 86_400_000

/** The parts of all streams, in the order of their names. `lengthMillis`: of the parts of streams that have no length yet. */
export const planParts = Effect.fnUntraced(function* (names: ReadonlyArray<string>, lengthMillis?: number) {
  const { partLengths, states } = yield* SharedDestination
  const { lookbackMillis } = yield* ConnectorConfig
  const streams = yield* makePlan(
    names.map((name) => ({ name, mode: "incremental" })),
    { detailedStates: true }
  ).pipe(Effect.provideService(StateReader, states))
  const known = yield* partLengths(new Map())
  const proposed = yield* proposeLengths(
    streams.filter(({ points, stream }) => points > 0 && !known.has(stream)),
    lengthMillis
  )
  const agreed = proposed.size === 0 ? known : new Map([...known, ...(yield* partLengths(proposed))])
  return partsOf(streams, agreed, lookbackMillis)
})

/** The parts of planned streams. */
export const partsOf = (
  streams: ReadonlyArray<StreamPlan>,
  lengths: ReadonlyMap<string, number>,
  lookbackMillis: number
): ReadonlyArray<PlannedStream> =>
  streams.map((plan) => ({
    stream: plan.stream,
    grid: plan.grid,
    parts: cutParts(plan, lengths.get(plan.stream) ?? DEFAULT_LENGTH, lookbackMillis)
  }))

/** A length for the parts of each stream: the given one, or otherwise one that fits the number of its series. */
export const proposeLengths = Effect.fnUntraced(function* (
  streams: ReadonlyArray<StreamPlan>,
  lengthMillis: number | undefined
) {
  const { concurrency } = yield* ConnectorConfig
  const lengths = yield* Effect.forEach(
    streams,
    (plan) =>
      Effect.map(
        lengthMillis === undefined ? measuredLength(plan) : Effect.succeed(lengthMillis),
        (length) => [plan.stream, length] as const
      ),
    { concurrency }
  ).pipe(withGroupsOnce)
  return new Map(lengths)
})

/** The read of a stream reports what fails here. */
const measuredLength = ({ range, stream }: StreamPlan) =>
  probe(stream, range).pipe(
    Effect.map(({ counts, samplesPerSeries }) => {
      const found = counts.filter((count) => count > 0)
      const perPoint = (found.reduce((sum, count) => sum + count, 0) / found.length) * samplesPerSeries
      return found.length === 0 || pointCount(range) === 0
        ? DEFAULT_LENGTH
        : proposedLength(perPoint, range.stepMillis)
    }),
    Effect.catchIf(
      ({ policy }) => policy.onExhausted === "stream",
      () => Effect.succeed(DEFAULT_LENGTH)
    )
  )
