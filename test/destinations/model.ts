/**
 * Random runs into a destination, compared with a slow and obvious model of its rows and states.
 *
 * The world is a grid of points and some series. Every value that is read is a new number, so it shows whether a row is there
 * once, twice, or in an earlier version.
 */
import { rmSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import { Effect, Layer, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import {
  type Contents,
  Destination,
  type SyncMode,
  syncKindOf,
  syncModes
} from "../../src/destinations/Destination.ts"
import type { SampleBlock } from "../../src/samples/Sample.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import { formatTime } from "../../src/text/formatTime.ts"
import type { Choices } from "../choices.ts"
import { type Row, type TestBackend, textOf, timeOf } from "./backends.ts"
import { floats, seriesOf, start, temporaryFolder } from "./drive.ts"
import { buryOwner, killed, type Stop } from "./stops.ts"

/** The expected rows and states after a commit. */
interface Snapshot {
  readonly state: StreamState | undefined
  readonly refreshState: StreamState | undefined
  /** The mode of a refresh in progress. */
  readonly refreshMode?: SyncMode
  readonly visible: ReadonlyArray<Row>
  /** The rows of a refresh in progress. */
  readonly refresh: ReadonlyArray<Row>
}

const nothing: Snapshot = { state: undefined, refreshState: undefined, visible: [], refresh: [] }

const unique = (rows: ReadonlyArray<Row>): ReadonlyArray<Row> =>
  Array.from(new Map(rows.map((row) => [row.key, row])).values())

const same = (a: ReadonlyArray<Row>, b: ReadonlyArray<Row>): boolean =>
  JSON.stringify(a.map(textOf).sort()) === JSON.stringify(b.map(textOf).sort())

const stateText = (state: StreamState | undefined): string => JSON.stringify(state ?? null)

/** The contents that a destination reports of each stream. */
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

/** Throws if a destination reports other contents of a stream than it has. */
const checkContents = (
  stream: string,
  found: { readonly current: Contents; readonly refresh: Contents },
  { refresh: rows, refreshState, visible }: Snapshot
) => {
  // Making a stream unique may lose a refresh.
  const refresh = refreshState === undefined ? [] : rows
  const expected = { current: contentsOf(visible), refresh: contentsOf(refresh) }
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${stream} reports ${JSON.stringify(found)}, and has ${JSON.stringify(expected)}`)
  }
}

/** How random runs are made. */
export interface RunOptions {
  readonly backend: TestBackend
  readonly labelColumns: boolean
  /** How runs are stopped. */
  readonly stop: Stop
  /** Whether a run reports an error because it was stopped. A killed run reports nothing. */
  readonly isStopped?: (error: { readonly message: string }) => boolean
  /** The number of streams, at most three. */
  readonly streams?: number
  /** The number of points to read at first, at most; 6 by default. */
  readonly points?: number
  /** The modes to choose from, all by default. */
  readonly modes?: ReadonlyArray<SyncMode>
  /** One run in so many is not stopped, one in two by default. */
  readonly survivors?: number
  /** A stop is at one of the first so many changes, 60 by default. */
  readonly changes?: number
}

/** The step of the grid. A day has four points. */
const stepSeconds = 21_600

/** Runs after each other into one folder, some of them stopped. Throws if the folder differs from the model. */
export const randomRuns = Effect.fnUntraced(
  function* (choices: Choices, options: RunOptions) {
    const { backend, labelColumns } = options
    const layer = (folder: string) => backend.layer(folder, { labelColumns })
    let folder = join(yield* temporaryFolder, "data")
    const streams = ["plain", "Http:Requests", "a b/c"].slice(0, choices.between(1, options.streams ?? 3))
    const truth = new Map(streams.map((stream) => [stream, nothing]))
    /** The streams that may have repeated rows. */
    const repeated = new Set<string>()
    let value = 0
    let points = choices.between(1, options.points ?? 6)

    /** Compares the folder with all possible snapshots: those since the last one that had to persist. */
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
      }).pipe(Effect.provide(layer(folder)))
      for (const [index, stream] of streams.entries()) {
        const rows = yield* Effect.promise(() => backend.rows(folder, stream))
        const all = possible.get(stream)!
        const found = states[index]!
        const snapshot = all.findLast(
          ({ refresh, refreshMode, refreshState, state, visible }) =>
            stateText(state) === stateText(found.state) &&
            stateText(refreshState) === stateText(found.refreshState) &&
            (refreshState === undefined || refreshMode === found.refreshMode) &&
            same(visible, rows) &&
            JSON.stringify(contents[index]!.refresh) ===
              JSON.stringify(contentsOf(refreshState === undefined ? [] : refresh))
        )
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
      const mode: SyncMode = choices.pick(options.modes ?? syncModes)
      const isRefresh = syncKindOf(mode) === "full_refresh"
      const store = destination.states(mode)
      const step = choices.oneIn(5) ? stepSeconds * 2 : stepSeconds
      const isAppended = !backend.replacesRows && mode === "incremental_append_deduped"
      const lookback = choices.oneIn(2) && !isAppended ? choices.below(5) : 0
      for (const stream of streams) {
        if (choices.oneIn(6)) continue
        const before = truth.get(stream)!
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
        // The rows of another refresh are not part of this one. In append mode they stay visible.
        let refresh = isRefresh && isResumed ? before.refresh : []
        let isFirst = true
        let opened: Array<Snapshot> | undefined
        yield* Effect.scoped(
          Effect.gen(function* () {
            // Repeated rows are removed at once, or with the first commit.
            if (mode === "incremental_append_deduped") {
              now = { ...before, visible: unique(before.visible) }
              opened = [before, now]
              // Which rows a stopped refresh has appended is unknown afterwards.
              if (before.refreshMode === "full_refresh_append")
                opened.push({ ...now, refreshState: undefined })
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
              // An incremental sync resumes there.
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
            // Nothing undoes this commit.
            possible.set(stream, [now])
          })
        )
        // The destination may not have noticed the kill.
        if (isKilled()) return yield* Effect.die(killed)
        possible.set(stream, opened?.includes(now) === true ? opened : [now])
      }
    })

    for (let run = choices.between(1, 5); run > 0; run--) {
      let left: string | undefined
      const possible = new Map(streams.map((stream) => [stream, [truth.get(stream)!]]))
      const killAt = choices.oneIn(options.survivors ?? 2)
        ? Number.POSITIVE_INFINITY
        : choices.below(options.changes ?? 60)
      const watch = options.stop(folder, killAt, (path) => {
        left = path
      })
      yield* runOnce(possible, () => left !== undefined).pipe(
        Effect.provide(Layer.provide(layer(folder), watch)),
        Effect.catchDefect((defect) => (defect === killed ? Effect.void : Effect.die(defect))),
        Effect.catchIf(
          (error) =>
            left !== undefined && (error.message.includes(killed) || (options.isStopped?.(error) ?? false)),
          () => Effect.void
        )
      )
      if (left !== undefined) {
        if (left !== folder) rmSync(folder, { recursive: true, force: true })
        folder = left
        buryOwner(backend.filesOf?.(folder) ?? folder)
      }
      yield* check(possible)
      points += choices.below(5)
    }
  },
  Effect.scoped,
  Effect.provide(NodeServices.layer)
)
