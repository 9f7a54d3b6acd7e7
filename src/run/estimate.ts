/** Estimates what a run would read by a small query per metric, for `--dry-run`. */
import { Effect, Record } from "effect"
import { ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import { type SyncMode, syncKindOf } from "../destinations/Destination.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { type BeginningHints, firstPoint } from "../sync/beginning.ts"
import { MIN_SAMPLES, maxStoredPerPoint } from "../sync/gridApi.ts"
import { makePlan } from "../sync/makePlan.ts"
import { ownerOf, type SyncPart } from "../sync/parts.ts"
import type { StreamPlan } from "../sync/plan.ts"
import { warnOfFailure } from "../sync/queryProbe.ts"
import { remoteReadRule } from "../sync/remoteReadRule.ts"
import { definitionOf, generalStepOf } from "../sync/StreamDefinition.ts"
import { type GridRange, isRawRange, pointCount } from "../sync/TimeGrid.ts"
import {
  afterResponse,
  boundsOf,
  gridBounds,
  initialSize,
  searchedPoints,
  targetWithin,
  type WindowBounds
} from "../sync/WindowSize.ts"
import { largest } from "../text/largest.ts"
import { partsOf, proposeLengths } from "./planParts.ts"
import { remoteDensity } from "./remoteDensity.ts"
import { probe, withGroupsOnce } from "./seriesCounts.ts"

/** The estimate of one stream, or of a part of it. Only samples and bytes are estimated. */
export interface ReadEstimate {
  readonly series: number
  /** The number of grid points to read. */
  readonly points: number
  /** The number of queries for these points, if none has to be split. */
  readonly windows: number
  readonly samples: number
  /** The size of the responses, uncompressed. */
  readonly bytes: number
}

export interface DryRunStream extends ReadEstimate {
  readonly name: string
  /** The rows of a table cannot be counted before it is read. */
  readonly isTable?: true
  /** Its stored samples are read, so that it has no points. */
  readonly isRaw?: true
}

export interface DryRun {
  readonly source: string
  readonly destination: string
  /** Undefined for all stored samples. */
  readonly stepSeconds: number | undefined
  /** The times of the first and the last grid point, in milliseconds; undefined if there is none. */
  readonly span: readonly [first: number, last: number] | undefined
  readonly streams: ReadonlyArray<DryRunStream>
  /** What the points would be computed from by remote read. Undefined if the server does not offer that, or it is not configured. */
  readonly remoteRead?: RemoteReadEstimate
  /** The parts that several processes can read, if the destination supports them. */
  readonly parts?: ReadonlyArray<DryRunPart>
}

export interface RemoteReadEstimate extends Pick<ReadEstimate, "samples" | "bytes"> {
  /** Whether a run would probably take it. */
  readonly isLikely: boolean
}

export interface DryRunPart {
  readonly part: SyncPart
  /** The estimated number of its samples. */
  readonly samples: number
  /** The process that reads it, from 0 on, if their number is known. */
  readonly owner?: number
}

/** The bytes of a sample in a response, for example `[1735689600,"90.808853"],`. */
const SAMPLE_BYTES = 25

/** The bytes of a stored sample in a compressed chunk. */
const STORED_SAMPLE_BYTES = 4

/** The sum of estimates that have no series in common. */
export const sumOfEstimates = (estimates: ReadonlyArray<ReadEstimate>): ReadEstimate =>
  estimates.reduce<ReadEstimate>(
    (sum, estimate) => Record.map(sum, (total, figure) => total + estimate[figure]),
    { series: 0, points: 0, windows: 0, samples: 0, bytes: 0 }
  )

/** How parts are estimated. */
export interface PartsToEstimate {
  /** The lengths of the parts of streams in the destination. */
  readonly known: ReadonlyMap<string, number>
  /** The length of those of the other streams; undefined to derive it from the number of their series. */
  readonly lengthMillis?: number | undefined
  /** The number of processes, if it is known. */
  readonly processes?: number | undefined
}

/** Estimates each stream, resuming from the states of the `StateReader`. */
export const estimate = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  { destination, mode, source }: Record<"source" | "destination", string> & { readonly mode: SyncMode },
  toEstimate?: PartsToEstimate
) {
  const settings = yield* ConnectorConfig
  const { concurrency } = settings
  const isTable = (name: string) => definitionOf(settings, name)._tag === "Table"
  const plans = yield* makePlan(
    names.map((name) => ({ name, mode: syncKindOf(mode) })),
    { detailedStates: true }
  )
  const hints: BeginningHints = {}
  const found = yield* Effect.forEach(
    plans,
    ({ grid, parts, stream: name }) =>
      Effect.map(
        isTable(name)
          ? Effect.succeed(parts.length === 0 ? [] : [tableRange(parts[0]!.range)])
          : Effect.forEach(parts, ({ range }) => estimateRange(name, range, hints)),
        (ranges) => {
          const estimates = ranges.map(({ estimate }) => estimate)
          return {
            ranges,
            stream: {
              ...sumOfEstimates(estimates),
              name,
              ...(isTable(name) ? { isTable: true as const } : {}),
              ...(isRawRange(grid) ? { isRaw: true as const } : {}),
              series: largest(estimates.map(({ series }) => series))
            }
          }
        }
      ),
    { concurrency }
  ).pipe(withGroupsOnce)
  const dryRun: DryRun = {
    source,
    destination,
    stepSeconds: generalStepOf(settings),
    span: spanOf(plans.filter(({ stream }) => !isTable(stream))),
    streams: found.map(({ stream }) => stream),
    ...(yield* estimateRemoteRead(found))
  }
  if (toEstimate === undefined) return dryRun
  return {
    ...dryRun,
    parts: yield* estimateParts(
      plans.filter(({ stream }) => !isTable(stream)),
      new Map(found.map(({ ranges, stream }) => [stream.name, ranges])),
      toEstimate
    )
  }
})

/** A stream with the estimates of its ranges. */
interface EstimatedStream {
  readonly stream: DryRunStream
  readonly ranges: ReadonlyArray<EstimatedRange>
}

/** What remote read would send for the points of metrics and groups: all series are taken to be as dense as the smallest metric. */
const estimateRemoteRead = Effect.fnUntraced(function* (
  found: ReadonlyArray<EstimatedStream>
): Effect.fn.Return<Pick<DryRun, "remoteRead">, never, ConnectorConfig | PrometheusClient> {
  const settings = yield* ConnectorConfig
  const { api, compression } = settings
  if (api === "query_range") return {}
  const onGrid = found.filter(({ stream }) => {
    const tag = definitionOf(settings, stream.name)._tag
    return stream.samples > 0 && stream.isRaw !== true && (tag === "Metric" || tag === "Group")
  })
  const [smallest] = onGrid
    .filter(({ stream }) => definitionOf(settings, stream.name)._tag === "Metric")
    .toSorted((a, b) => a.stream.series - b.stream.series)
  const atMillis = largest(smallest?.ranges.flatMap(({ counts }) => [...counts.keys()]) ?? [])
  if (smallest === undefined || atMillis === 0) return {}
  const density = yield* remoteDensity(smallest.stream.name, atMillis)
  if (density === undefined) return {}
  const samples = onGrid.reduce(
    (sum, { ranges, stream }) => sum + stream.samples * (ranges[0]?.range.stepMillis ?? 0) * density,
    0
  )
  const points = onGrid.reduce((sum, { stream }) => sum + stream.samples, 0)
  // Each stream is tried with one of its windows.
  const most = targetWithin(gridBounds, settings)
  const isLarge = onGrid.some(({ stream }) => Math.min(stream.samples, most) >= MIN_SAMPLES)
  const isCertain = typeof (yield* remoteReadRule(yield* PrometheusClient)) !== "string"
  return {
    remoteRead: {
      samples: Math.round(samples),
      bytes: Math.round(samples * STORED_SAMPLE_BYTES),
      isLikely:
        api === "remote_read" || (isLarge && isCertain && samples <= maxStoredPerPoint(compression) * points)
    }
  }
})

/** The first and the last point, from the start of the stream that has to catch up most. */
const spanOf = (plans: ReadonlyArray<StreamPlan>): DryRun["span"] => {
  const grids = plans.map(({ grid }) => grid).filter((grid) => pointCount(grid) > 0)
  if (grids.length === 0) return undefined
  const least = (times: ReadonlyArray<number>) => times.reduce((a, b) => Math.min(a, b), Infinity)
  const lastMillis = largest(grids.map(({ lastMillis }) => lastMillis))
  const firstMillis = least(plans.map(({ range }) => range.firstMillis))
  return [firstMillis > lastMillis ? least(grids.map((grid) => grid.firstMillis)) : firstMillis, lastMillis]
}

/** The parts that several processes would read. */
const estimateParts = Effect.fnUntraced(function* (
  plans: ReadonlyArray<StreamPlan>,
  estimates: ReadonlyMap<string, ReadonlyArray<EstimatedRange>>,
  { known, lengthMillis, processes }: PartsToEstimate
) {
  const { lookbackMillis } = yield* ConnectorConfig
  const unknown = plans.filter(({ points, stream }) => points > 0 && !known.has(stream))
  const lengths = new Map([...known, ...(yield* proposeLengths(unknown, lengthMillis))])
  return partsOf(plans, lengths, lookbackMillis).flatMap(({ parts, stream }) =>
    parts.map((part): DryRunPart => {
      const ranges = estimates.get(stream) ?? []
      const samples = ranges.reduce((sum, range) => sum + samplesWithin(range, part.range), 0)
      return {
        part,
        samples: Math.round(samples),
        ...(processes === undefined ? {} : { owner: ownerOf(part, processes) })
      }
    })
  )
})

/** An estimate with the numbers of series that it is from. */
interface EstimatedRange {
  readonly estimate: ReadEstimate
  /** What is read. */
  readonly range: GridRange
  /** The points at which series were counted. */
  readonly probed: GridRange
  /** The numbers of samples for each point of the range, at those probed points that have some. */
  readonly counts: ReadonlyMap<number, number>
}

/** The estimated number of samples in a part of a range, from the nearest points at which series were counted. */
const samplesWithin = ({ counts, probed }: EstimatedRange, range: GridRange): number => {
  const { firstMillis, lastMillis, stepMillis } = probed
  const first = Math.max(range.firstMillis, firstMillis)
  const last = Math.min(range.lastMillis, lastMillis + stepMillis - range.stepMillis)
  const points = pointCount({ ...range, firstMillis: first, lastMillis: last })
  if (points === 0) return 0
  let sum = 0
  let probes = 0
  const before = firstMillis + Math.floor((first - firstMillis) / stepMillis) * stepMillis
  for (let time = before; time <= last; time += stepMillis) {
    if (time < first && time + stepMillis <= last) continue
    sum += counts.get(time) ?? 0
    probes++
  }
  return (sum / probes) * points
}

/**
 * The estimate of one range of a metric, from the number of its series at some of the points. If it begins late, at more points
 * of the time from then on, since a read leaves out the time before.
 */
const estimateRange = Effect.fnUntraced(function* (name: string, range: GridRange, hints: BeginningHints) {
  const all = yield* estimateAll(name, range)
  if (definitionOf(yield* ConnectorConfig, name)._tag !== "Metric") return all
  const before = { ...range, lastMillis: all.firstMillis ?? range.lastMillis }
  if (pointCount(before) <= searchedPoints(boundsOf(range))) return all
  const firstMillis = yield* firstPoint(name, range, hints)
  if (firstMillis === range.firstMillis) return all
  const later = yield* estimateAll(name, { ...range, firstMillis })
  const { estimate } = later
  return {
    ...later,
    estimate: { ...estimate, points: pointCount(range), windows: estimate.windows + 1 }
  }
})

/** A table needs one query. */
const tableRange = (range: GridRange): EstimatedRange => ({
  estimate: { series: 0, points: 0, windows: 1, samples: 0, bytes: 0 },
  range,
  probed: range,
  counts: new Map()
})

const estimateAll = Effect.fnUntraced(function* (name: string, range: GridRange) {
  const settings = yield* ConnectorConfig
  const points = pointCount(range)
  const { counts, failure, perPoint, probed, samplesPerSeries, times } = yield* probe(name, range)
  if (failure !== undefined) yield* warnOfFailure(failure)
  const samples = Math.round(perPoint * points)
  return {
    estimate: {
      series: largest(counts),
      points,
      windows: windowsOf(points, perPoint, boundsOf(range), settings),
      samples,
      bytes: samples * (isRawRange(range) ? STORED_SAMPLE_BYTES : SAMPLE_BYTES)
    },
    range,
    probed,
    counts: new Map(times.map((time, i) => [time, counts[i]! * samplesPerSeries])),
    /** The first point that was found to have samples. */
    firstMillis: times[0]
  }
})

const noLimits = { maxRequestsPerSecond: undefined, maxSamplesPerSecond: undefined }

/** The number of windows of a stream with `samplesPerPoint` samples at each point, if no request is refused. */
export const windowsOf = (
  points: number,
  samplesPerPoint: number,
  bounds: WindowBounds = gridBounds,
  load: Pick<Settings, "maxRequestsPerSecond" | "maxSamplesPerSecond"> = noLimits
): number => {
  const targetSamples = targetWithin(bounds, load)
  let size = initialSize(bounds, { targetSamples })
  let left = points
  let largestResponse = 0
  for (let windows = 0; ; windows++) {
    if (left <= 0) return windows
    const taken = Math.min(left, size.points)
    const samples = Math.round(taken * samplesPerPoint)
    largestResponse = Math.max(largestResponse, samples)
    left -= taken
    const next = afterResponse(size, taken, samples, { largestResponse, targetSamples })
    if (!next.isGrowing && next.points === size.points) return windows + 1 + Math.ceil(left / size.points)
    size = next
  }
}
