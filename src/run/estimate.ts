/** Estimates what a run would read by a small query per metric, for `--dry-run`. */
import { Effect } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { type SyncMode, syncKindOf } from "../destinations/Destination.ts"
import { makePlan } from "../sync/makePlan.ts"
import type { StreamPlan } from "../sync/plan.ts"
import { type GridRange, pointCount } from "../sync/TimeGrid.ts"
import { afterResponse, initial } from "../sync/WindowSize.ts"
import { largest } from "../text/largest.ts"
import { seriesCounts } from "./seriesCounts.ts"

/** The estimate of one stream. Only samples and bytes are estimated. */
export interface DryRunStream {
  readonly name: string
  readonly series: number
  /** The number of grid points to read. */
  readonly points: number
  /** The number of queries for these points, if none has to be split. */
  readonly windows: number
  readonly samples: number
  /** The size of the responses, uncompressed. */
  readonly bytes: number
}

export interface DryRun {
  readonly source: string
  readonly destination: string
  readonly stepSeconds: number
  /** The times of the first and the last grid point, in milliseconds; undefined if there is none. */
  readonly span: readonly [first: number, last: number] | undefined
  readonly streams: ReadonlyArray<DryRunStream>
}

/** The number of points, spread over the range, at which the series of a metric are counted. */
const PROBES = 48

/** The bytes of a sample in a response, for example `[1735689600,"90.808853"],`. */
const SAMPLE_BYTES = 25

/** Estimates each stream, resuming from the states of the `StateReader`. */
export const estimate = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  about: { readonly mode: SyncMode; readonly source: string; readonly destination: string }
) {
  const settings = yield* ConnectorConfig
  const mode = syncKindOf(about.mode)
  const { grid, streams: plans } = yield* makePlan(
    names.map((name) => ({ name, mode })),
    { detailedStates: true }
  )
  const estimateStream = Effect.fnUntraced(function* ({ parts: planned, stream: name }: StreamPlan) {
    const parts = yield* Effect.forEach(planned, ({ range }) => estimateRange(name, range))
    const sum = (of: (part: Omit<DryRunStream, "name">) => number) =>
      parts.reduce((total, part) => total + of(part), 0)
    const stream: DryRunStream = {
      name,
      series: largest(parts.map(({ series }) => series)),
      points: sum(({ points }) => points),
      windows: sum(({ windows }) => windows),
      samples: sum(({ samples }) => samples),
      bytes: sum(({ bytes }) => bytes)
    }
    return stream
  })

  const streams = yield* Effect.forEach(plans, estimateStream, { concurrency: settings.concurrency })
  // From the start of the stream that has to catch up most.
  const starts = plans.flatMap(({ parts }) => parts.slice(0, 1).map(({ range }) => range.firstMillis))
  const firstMillis = starts.reduce((a, b) => Math.min(a, b), Infinity)
  const span =
    pointCount(grid) === 0
      ? undefined
      : ([firstMillis === Infinity ? grid.firstMillis : firstMillis, grid.lastMillis] as const)
  const dryRun: DryRun = {
    source: about.source,
    destination: about.destination,
    stepSeconds: settings.stepSeconds,
    span,
    streams
  }
  return dryRun
})

/** The estimate of one range of a metric. */
const estimateRange = Effect.fnUntraced(function* (name: string, range: GridRange) {
  const points = pointCount(range)
  const counts = yield* probe(name, range)
  // The server omits points without series.
  const perPoint = counts.values.reduce((sum, count) => sum + count, 0) / counts.probes
  const samples = Math.round(perPoint * points)
  return {
    series: largest(counts.values),
    points,
    windows: windowsOf(points, perPoint),
    samples,
    bytes: samples * SAMPLE_BYTES
  }
})

/** The number of series of a metric at some points of a range. */
const probe = Effect.fnUntraced(function* (name: string, range: GridRange) {
  const every = Math.ceil(pointCount(range) / PROBES)
  const stepMillis = range.stepMillis * every
  const probes = Math.ceil(pointCount(range) / every)
  const lastMillis = range.firstMillis + (probes - 1) * stepMillis
  const { counts } = yield* seriesCounts(name, { ...range, lastMillis, stepMillis })
  return { probes, values: counts }
})

/** The number of windows of a stream with `samplesPerPoint` samples at each point, if no request is refused. */
export const windowsOf = (points: number, samplesPerPoint: number): number => {
  let size = initial
  let left = points
  let largestResponse = 0
  for (let windows = 0; ; windows++) {
    if (left <= 0) return windows
    const taken = Math.min(left, size.points)
    const samples = Math.round(taken * samplesPerPoint)
    largestResponse = Math.max(largestResponse, samples)
    left -= taken
    const next = afterResponse(size, taken, samples, largestResponse)
    if (!next.isGrowing && next.points === size.points) return windows + 1 + Math.ceil(left / size.points)
    size = next
  }
}
