/** Drives a destination as a run does: blocks, states, and complete or stopped syncs. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Logger, Option } from "effect"
import { Destination, isRefresh, type SyncMode } from "../../src/destinations/Destination.ts"
import type {
  Histogram,
  HistogramBlock,
  Labels,
  SampleBlock,
  Series,
  TextBlock
} from "../../src/samples/Sample.ts"
import { canonicalLabels, seriesId } from "../../src/samples/Series.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import { formatTime } from "../../src/text/formatTime.ts"

export const start = Date.UTC(2026, 0, 1)

/** The time of the state that a read in a mode would resume. */
export const loadedTime = (mode: SyncMode = "incremental_append", stream = "up") =>
  Destination.pipe(
    Effect.flatMap(({ states }) => states(mode).load(stream)),
    Effect.map((state) => Option.getOrUndefined(state)?.time)
  )

/** Opens a stream for a read that resumes the state of its mode, if there is one. */
export const openToResume = Effect.fnUntraced(function* (stream: string, mode: SyncMode) {
  const { open, states } = yield* Destination
  const loaded = yield* Effect.option(states(mode).load(stream))
  return yield* open(stream, mode, Option.isSome(Option.flatten(loaded)))
})

/** A folder that is removed when the scope closes. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "files-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const seriesOf = (name: string, labels: Readonly<Record<string, string>>): Series => {
  const all: Labels = canonicalLabels(Object.entries({ __name__: name, ...labels }))
  return { labels: all, id: seriesId(all) }
}

/** A block of values as texts, by their times. */
export const floats = (series: Series, samples: ReadonlyArray<readonly [number, string]>): TextBlock => {
  const starts: Array<number> = []
  const ends: Array<number> = []
  let text = ""
  for (const [, value] of samples) {
    starts.push(text.length)
    text += value
    ends.push(text.length)
  }
  return {
    _tag: "TextBlock",
    series,
    length: samples.length,
    times: Float64Array.from(samples, ([time]) => time),
    bytes: Buffer.from(text),
    starts: Uint32Array.from(starts),
    ends: Uint32Array.from(ends)
  }
}

export const histogramOf = (series: Series, time: number, count: string): HistogramBlock => ({
  _tag: "HistogramBlock",
  series,
  length: 1,
  times: Float64Array.of(time),
  histograms: [{ count, sum: "1.5", buckets: [{ boundaries: 0, lower: "0", upper: "+Inf", count }] }]
})

/** A block of histograms, one per minute. */
export const histogramsOf = (
  series: Series,
  first: number,
  histograms: ReadonlyArray<Histogram>
): HistogramBlock => ({
  _tag: "HistogramBlock",
  series,
  length: histograms.length,
  times: Float64Array.from(histograms, (_, index) => first + index * 60_000),
  histograms
})

/** The state after a point: the points of tests are minutes. */
export const stateAt = (point: number, isOfRefresh = false) =>
  new StreamState({
    time: formatTime(start + point * 60_000),
    step: 60,
    version: 1,
    ...(isOfRefresh ? { full_refresh: true as const } : {})
  })

/** Points of a series `job="a"` of a stream, each with its number as its value. */
export const pointsOf = (stream: string, points: ReadonlyArray<number>): SampleBlock =>
  floats(
    seriesOf(stream, { job: "a" }),
    points.map((point) => [start + point * 60_000, `${point}`] as const)
  )

/** Writes blocks of a stream and commits a point. The sync resumes its mode's state, and is complete unless it is stopped. */
export const putBlocks = (
  stream: string,
  mode: SyncMode,
  blocks: ReadonlyArray<SampleBlock>,
  point: number,
  isComplete = true
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* openToResume(stream, mode)
      yield* writer.write(blocks)
      yield* writer.commit(stateAt(point, isRefresh(mode)))
      if (isComplete) yield* writer.complete
    })
  )

/** Writes points in a sync that is complete. */
export const put = (stream: string, mode: SyncMode, ...points: ReadonlyArray<number>) =>
  putBlocks(stream, mode, [pointsOf(stream, points)], points.at(-1)!)

/** Writes points in a sync that is stopped before its end. */
export const putStopped = (stream: string, mode: SyncMode, ...points: ReadonlyArray<number>) =>
  putBlocks(stream, mode, [pointsOf(stream, points)], points.at(-1)!, false)

/** Collects the logs of an effect instead of printing them. */
export const logsOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<ReadonlyArray<string>, E, R> =>
  Effect.suspend(() => {
    const logs: Array<string> = []
    const logger = Logger.make(({ message }) => void logs.push(String(message)))
    return effect.pipe(Effect.provide(Logger.layer([logger])), Effect.as(logs))
  })
