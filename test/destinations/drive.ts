/**
 * Drives a destination as a run does, beside a slow and obvious model of what must be in it.
 *
 * The world is a grid of points and some series; every value that is read is a new number, so that it shows whether a row
 * is there once, twice, or in an earlier version.
 */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import { Effect, FileSystem, Layer, Option, PlatformError, Result } from "effect"
import { TestClock } from "effect/testing"
import type { ConfigError } from "../../src/config/ConnectorConfig.ts"
import {
  type Contents,
  Destination,
  type DestinationError,
  type SyncMode,
  syncKindOf,
  syncModes
} from "../../src/destinations/Destination.ts"
import type { HistogramBlock, Labels, SampleBlock, Series, TextBlock } from "../../src/samples/Sample.ts"
import { canonicalLabels, seriesId } from "../../src/samples/Series.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import { formatTime } from "../../src/text/formatTime.ts"
import type { Choices } from "../choices.ts"

export const start = Date.UTC(2026, 0, 1)

/** The time of the state that a read in a mode would resume from. */
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

/** A folder that goes with the scope. */
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

/** A row: whose, when, and what. */
export interface Row {
  readonly key: string
  readonly value: string
}

export const textOf = ({ key, value }: Row): string => `${key} ${value}`

/** How a format is opened, and how its rows are read without it. */
export interface Format {
  readonly layer: (
    folder: string
  ) => Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem>
  readonly rows: (folder: string, stream: string) => Promise<ReadonlyArray<Row>>
  /** Rows are only appended: a sync that may repeat some is refused in deduped mode. */
  readonly onlyAppends?: boolean
  /** Commits are made in steps, which show in a stream that is made unique. */
  readonly hasSteps?: boolean
  /** How a kill is made where it is not by `watched`. Whatever is done after it fails with `killed`. */
  readonly watch?: Watch
  /** What a run that is stopped fails with, where it is told. */
  readonly isStopped?: (error: ConfigError | DestinationError) => boolean
}

/** Thrown away with whatever it interrupts: the process is gone. */
export const killed = "killed"

/** What becomes of a change to files. Only some need more space on the disk. */
type Counted = <A>(
  change: Effect.Effect<A, PlatformError.PlatformError>,
  needsSpace: boolean
) => Effect.Effect<A, PlatformError.PlatformError>

/** Files of which every change passes through `counted`. */
const countedFiles = (files: FileSystem.FileSystem, counted: Counted): FileSystem.FileSystem =>
  FileSystem.FileSystem.of({
    ...files,
    makeDirectory: (...args) => counted(files.makeDirectory(...args), true),
    remove: (...args) => counted(files.remove(...args), false),
    rename: (...args) => counted(files.rename(...args), false),
    truncate: (...args) => counted(files.truncate(...args), false),
    writeFileString: (...args) => counted(files.writeFileString(...args), true),
    open: (path, options) =>
      Effect.map(files.open(path, options), (file) => {
        if (options?.flag === "r") return file
        return new Proxy(file, {
          get: (target, name) => {
            const member: unknown = Reflect.get(target, name, target)
            if (name === "writeAll") {
              return (bytes: Uint8Array) =>
                Effect.andThen(
                  counted(target.writeAll(bytes.subarray(0, bytes.length >> 1)), true),
                  counted(target.writeAll(bytes.subarray(bytes.length >> 1)), true)
                )
            }
            if (name === "truncate") return (length: number) => counted(target.truncate(length), false)
            if (name === "sync") return counted(target.sync, true)
            return typeof member === "function" ? member.bind(target) : member
          }
        })
      })
  })

/** How a run is stopped at change number `at`; `onStop` is given the folder that it leaves behind. */
type Watch = (
  folder: string,
  at: number,
  onStop: (left: string) => void
) => Layer.Layer<FileSystem.FileSystem, never, FileSystem.FileSystem>

/** By a kill: before that change, the folder is copied as it is then. */
const watched: Watch = (folder, at, onStop) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (files) => {
      let count = 0
      return countedFiles(files, (change) =>
        Effect.suspend(() => {
          if (count++ === at) {
            const copy = `${folder}.killed`
            if (existsSync(folder)) cpSync(folder, copy, { recursive: true })
            onStop(copy)
            return Effect.die(killed)
          }
          return count > at ? Effect.die(killed) : change
        })
      )
    })
  )

/** By a disk that is full from that change on, also to whatever is tried afterwards. */
const fullDisk: Watch = (folder, at, onStop) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (files) => {
      let count = 0
      return countedFiles(files, (change, needsSpace) =>
        Effect.suspend(() => {
          if (count++ < at || !needsSpace) return change
          onStop(folder)
          return Effect.fail(
            PlatformError.systemError({
              _tag: "Unknown",
              module: "FileSystem",
              method: "write",
              pathOrDescriptor: folder,
              cause: Object.assign(new Error("no space left on device"), { code: "ENOSPC" })
            })
          )
        })
      )
    })
  )

/** A format whose runs are stopped by a full disk, and say so. */
export const onFullDisk = (format: Format): Format => ({
  ...format,
  watch: fullDisk,
  isStopped: (error) => {
    assert.match(error.message, /the disk is full\. Make room and run again/)
    assert.strictEqual(error._tag, "DestinationError")
    assert.isTrue(error._tag === "DestinationError" && error.isFatal)
    return true
  }
})

/** Makes the locks of a folder those of a process that is gone. */
export const buryOwner = (folder: string): void => {
  const inside = join(folder, "_state")
  for (const name of existsSync(inside) ? readdirSync(inside) : []) {
    const path = join(inside, name)
    if (!name.startsWith("_lock.")) continue
    const text = readFileSync(path, "utf8")
    if (text.trim().endsWith("}")) {
      writeFileSync(path, `${JSON.stringify({ ...JSON.parse(text), process: 4_194_305 })}\n`)
    }
    // One that was cut off does not say whose it is.
    else utimesSync(path, 0, 0)
  }
}

/** What is to be there after a commit. */
interface Snapshot {
  readonly state: StreamState | undefined
  readonly refreshState: StreamState | undefined
  /** The mode of a refresh that is under way. */
  readonly refreshMode?: SyncMode
  readonly visible: ReadonlyArray<Row>
  /** The rows of a refresh that is under way. */
  readonly refresh: ReadonlyArray<Row>
  /** Of a commit that was stopped between its steps: rows later than this, or all, go when the stream is opened. */
  readonly ahead?: number | null
}

type States = Pick<Snapshot, "state" | "refreshState">

const nothing: Snapshot = { state: undefined, refreshState: undefined, visible: [], refresh: [] }

const unique = (rows: ReadonlyArray<Row>): ReadonlyArray<Row> =>
  Array.from(new Map(rows.map((row) => [row.key, row])).values())

const timeOf = ({ key }: Row): number => Date.parse(key.split(" ")[1]!)

const keysOf = (rows: ReadonlyArray<Row>): ReadonlySet<string> => new Set(rows.map(({ key }) => key))

/** What there is if the steps from the one snapshot to the other were stopped, if it can be that. */
const between = (
  from: Snapshot,
  to: Snapshot,
  states: States,
  rows: ReadonlyArray<Row>
): Snapshot | undefined => {
  const isState =
    stateText(states.state) === stateText(from.state) &&
    (states.refreshState === undefined || stateText(states.refreshState) === stateText(from.refreshState))
  const known = new Set([...from.visible, ...to.visible].map(textOf))
  const keys = keysOf(rows)
  const isBetween =
    keys.size === rows.length &&
    rows.every((row) => known.has(textOf(row))) &&
    from.visible.every(({ key }) => keys.has(key))
  if (!isState || !isBetween) return undefined
  const times = from.visible.map(timeOf)
  return { ...states, visible: rows, refresh: [], ahead: times.length === 0 ? null : Math.max(...times) }
}

const same = (a: ReadonlyArray<Row>, b: ReadonlyArray<Row>): boolean =>
  JSON.stringify(a.map(textOf).sort()) === JSON.stringify(b.map(textOf).sort())

const stateText = (state: StreamState | undefined): string => JSON.stringify(state ?? null)

/** What a destination says that it has of each stream. */
const allContents = ({ contents }: Destination["Service"], streams: ReadonlyArray<string>) =>
  Effect.forEach(streams, (stream) =>
    Effect.all({ current: contents(stream, "current"), refresh: contents(stream, "refresh") })
  )

const contentsOf = (rows: ReadonlyArray<Row>): Contents => {
  const times = rows.map(timeOf)
  return times.length === 0
    ? { rows: 0, firstMillis: null, lastMillis: null }
    : { rows: times.length, firstMillis: Math.min(...times), lastMillis: Math.max(...times) }
}

/** Throws where what a destination says of a stream is not what it has of it. */
const checkContents = (
  stream: string,
  found: { readonly current: Contents; readonly refresh: Contents },
  { ahead, refresh: rows, refreshState, visible }: Snapshot
) => {
  // What was made unique may not know any more which rows are those of a refresh.
  const refresh = refreshState === undefined ? [] : rows
  const isCurrent = (row: Row) => ahead === undefined || (ahead !== null && timeOf(row) <= ahead)
  const expected = { current: contentsOf(visible.filter(isCurrent)), refresh: contentsOf(refresh) }
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${stream} is said to have ${JSON.stringify(found)}, and has ${JSON.stringify(expected)}`)
  }
}

/** What random runs are like, where that is not as varied as it can be. */
export interface Emphasis {
  /** How many streams there are at most, of three. */
  readonly streams?: number
  /** How many points there are to be read at first, at most; 6 unless told. */
  readonly points?: number
  /** The modes to choose from, all of them unless told. */
  readonly modes?: ReadonlyArray<SyncMode>
  /** One run in so many is left alone, one in two unless told. */
  readonly survivors?: number
  /** A kill is before one of the first so many changes, 60 unless told. */
  readonly changes?: number
}

/** Runs after each other into one folder, some of them killed; throws where the folder is not what the model says. */
export const randomRuns = Effect.fnUntraced(
  function* (format: Format, choices: Choices, stepSeconds: number, emphasis: Emphasis = {}) {
    let folder = join(yield* temporaryFolder, "data")
    const streams = ["plain", "Http:Requests", "a b/c"].slice(0, choices.between(1, emphasis.streams ?? 3))
    const truth = new Map(streams.map((stream) => [stream, nothing]))
    /** The streams that may have rows twice. */
    const repeated = new Set<string>()
    let value = 0
    let points = choices.between(1, emphasis.points ?? 6)

    /** The folder against the snapshots that it may be at: all since the last that had to last. */
    const check = Effect.fnUntraced(function* (possible: ReadonlyMap<string, ReadonlyArray<Snapshot>>) {
      const [states, contents] = yield* Effect.gen(function* () {
        const destination = yield* Destination
        const load = (mode: SyncMode, stream: string) =>
          Effect.map(destination.states(mode).load(stream), Option.getOrUndefined)
        const states = yield* Effect.forEach(
          streams,
          Effect.fnUntraced(function* (stream) {
            const state = yield* load("incremental_append", stream)
            const overwritten = yield* load("full_refresh_overwrite", stream)
            const appended = yield* load("full_refresh_append", stream)
            const refreshMode: SyncMode =
              overwritten === undefined ? "full_refresh_append" : "full_refresh_overwrite"
            const refreshState = overwritten ?? appended
            return { state, refreshState, ...(refreshState === undefined ? {} : { refreshMode }) }
          })
        )
        return [states, yield* allContents(destination, streams)] as const
      }).pipe(Effect.provide(format.layer(folder)))
      for (const [index, stream] of streams.entries()) {
        const rows = yield* Effect.promise(() => format.rows(folder, stream))
        const all = possible.get(stream)!
        const found = states[index]!
        const exact = all.findLast(
          ({ refresh, refreshMode, refreshState, state, visible }) =>
            stateText(state) === stateText(found.state) &&
            stateText(refreshState) === stateText(found.refreshState) &&
            (refreshState === undefined || refreshMode === found.refreshMode) &&
            same(visible, rows) &&
            JSON.stringify(contents[index]!.refresh) ===
              JSON.stringify(contentsOf(refreshState === undefined ? [] : refresh))
        )
        const snapshot =
          exact ??
          (format.hasSteps === true
            ? all
                .flatMap((from, at) => all.slice(at + 1).map((to) => between(from, to, found, rows)))
                .findLast((snapshot) => snapshot !== undefined)
            : undefined)
        if (snapshot === undefined) {
          throw new Error(
            `${stream} has the states ${stateText(found.state)} and ${stateText(found.refreshState)} , ${rows.length} rows and of a refresh ${JSON.stringify(contents[index]!.refresh)}:\n${rows.map(textOf).sort().join("\n")}\nwhich is none of\n${possible
              .get(stream)!
              .map(
                ({ refresh, refreshState, state, visible }) =>
                  `${stateText(state)} ${stateText(refreshState)} ${JSON.stringify(contentsOf(refresh))}\n${visible.map(textOf).sort().join("\n")}`
              )
              .join("\n")}`
          )
        }
        truth.set(stream, snapshot)
        checkContents(stream, contents[index]!, snapshot)
      }
    })

    const runOnce = Effect.fnUntraced(function* (
      possible: Map<string, Array<Snapshot>>,
      isKilled: () => boolean
    ) {
      const destination = yield* Destination
      const mode: SyncMode = choices.pick(emphasis.modes ?? syncModes)
      const isRefresh = syncKindOf(mode) === "full_refresh"
      const store = destination.states(mode)
      const step = choices.oneIn(5) ? stepSeconds * 2 : stepSeconds
      const isAppended = format.onlyAppends === true && mode === "incremental_append_deduped"
      const lookback = choices.oneIn(2) && !isAppended ? choices.below(5) : 0
      for (const stream of streams) {
        if (choices.oneIn(6)) continue
        const { ahead, ...whole } = truth.get(stream)!
        const before =
          ahead === undefined
            ? whole
            : { ...whole, visible: whole.visible.filter((row) => ahead !== null && timeOf(row) <= ahead) }
        possible.get(stream)!.push(before)
        const found = yield* Effect.result(store.load(stream))
        if (Result.isFailure(found)) {
          assert.match(found.failure.message, /JSON lines are only appended/)
          assert.isTrue(isAppended && repeated.has(stream))
          continue
        }
        if (mode === "full_refresh_append" || lookback > 0) repeated.add(stream)
        const loaded = Option.getOrUndefined(found.success)
        const isResumed = isRefresh ? loaded?.step === step : loaded !== undefined
        let now = before
        let next =
          isResumed && loaded !== undefined
            ? loaded.timeMillis + step * 1000 * (isRefresh ? 1 : 1 - lookback)
            : start
        // The rows of another refresh are not part of this one. In append mode they were seen, and stay.
        let refresh = isRefresh && isResumed ? before.refresh : []
        let isFirst = true
        let opened: Array<Snapshot> | undefined
        yield* Effect.scoped(
          Effect.gen(function* () {
            // What was appended twice is made unique at once, or with the first commit.
            if (mode === "incremental_append_deduped") {
              now = { ...before, visible: unique(before.visible) }
              opened = [before, now]
              // A stopped refresh that appended is lost where its rows cannot be told any more.
              if (before.refreshState !== undefined) opened.push({ ...now, refreshState: undefined })
              possible.get(stream)!.push(...opened)
            }
            const writer = yield* destination.open(stream, mode, isResumed)
            while (next <= start + points * stepSeconds * 1000) {
              const last = next + step * 1000 * choices.below(4)
              const blocks: Array<SampleBlock> = []
              const rows: Array<Row> = []
              for (let n = 0; n < choices.between(1, 3); n++) {
                const series = seriesOf(stream, { n: `${n}`, [`only${n}`]: "x", time: 'a","time":"b' })
                const samples: Array<readonly [number, string]> = []
                for (let time = next; time <= last; time += step * 1000) {
                  if (!choices.oneIn(5)) samples.push([time, `${value++}`])
                }
                for (const [time, value] of samples)
                  rows.push({ key: `${series.id} ${formatTime(time)}`, value })
                if (samples.length > 0) blocks.push(floats(series, samples))
              }
              yield* writer.write(choices.shuffle(blocks))
              if (choices.oneIn(12)) return
              if (choices.oneIn(3)) yield* TestClock.adjust("1 minute")
              isFirst = false
              refresh = isRefresh ? [...refresh, ...rows] : []
              const state = new StreamState({
                time: formatTime(isResumed && !isRefresh ? Math.max(last, loaded?.timeMillis ?? 0) : last),
                step,
                version: 1,
                ...(isRefresh ? { full_refresh: true as const } : {})
              })
              const visible =
                mode === "full_refresh_overwrite"
                  ? now.visible
                  : mode === "incremental_append_deduped"
                    ? unique([...now.visible, ...rows])
                    : [...now.visible, ...rows]
              now = isRefresh
                ? { state: before.state, refreshState: state, refreshMode: mode, visible, refresh }
                : { state, refreshState: undefined, visible, refresh }
              possible.get(stream)!.push(now)
              yield* writer.commit(state)
              next = last + step * 1000
            }
            if (choices.oneIn(6)) return
            if (isFirst && isRefresh && !isResumed) return
            now = {
              // An incremental sync goes on from there.
              state:
                isRefresh && now.refreshState !== undefined
                  ? new StreamState({ time: now.refreshState.time, step, version: 1 })
                  : now.state,
              refreshState: undefined,
              visible:
                mode === "full_refresh_overwrite"
                  ? refresh
                  : mode === "incremental_append_deduped"
                    ? unique(now.visible)
                    : now.visible,
              refresh: []
            }
            possible.get(stream)!.push(now)
            yield* writer.complete
            if (!isKilled()) {
              const contents = yield* destination.contents(stream, "current")
              assert.deepStrictEqual(contents, contentsOf(now.visible))
            }
            // Nothing that comes now undoes it.
            possible.set(stream, [now])
          })
        )
        // A destination may have survived as far as it can tell.
        if (isKilled()) return yield* Effect.die(killed)
        possible.set(stream, opened?.includes(now) === true ? opened : [now])
      }
    })

    for (let run = choices.between(1, 5); run > 0; run--) {
      let left: string | undefined
      const possible = new Map(streams.map((stream) => [stream, [truth.get(stream)!]]))
      const killAt = choices.oneIn(emphasis.survivors ?? 2)
        ? Number.POSITIVE_INFINITY
        : choices.below(emphasis.changes ?? 60)
      const watch = (format.watch ?? watched)(folder, killAt, (path) => {
        left = path
      })
      yield* runOnce(possible, () => left !== undefined).pipe(
        Effect.provide(Layer.provide(format.layer(folder), watch)),
        Effect.catchDefect((defect) => (defect === killed ? Effect.void : Effect.die(defect))),
        Effect.catchIf(
          (error) =>
            left !== undefined && (error.message.includes(killed) || (format.isStopped?.(error) ?? false)),
          () => Effect.void
        )
      )
      if (left !== undefined) {
        if (left !== folder) rmSync(folder, { recursive: true, force: true })
        folder = left
        buryOwner(folder)
      }
      yield* check(possible)
      points += choices.below(5)
    }
  },
  Effect.scoped,
  Effect.provide(NodeServices.layer)
)
