/** The scenarios of every destination. */
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import type { ConfigError } from "../../src/config/ConnectorConfig.ts"
import {
  Destination,
  type DestinationError,
  emptyContents,
  isRefresh,
  type SyncMode,
  syncModes
} from "../../src/destinations/Destination.ts"
import { tableSchemas } from "../../src/prometheus/tables/schemas.ts"
import type { StreamKind } from "../../src/samples/Layout.ts"
import { Choices, choices } from "../choices.ts"
import { runs } from "../support/runs.ts"
import { backends, type OpenOptions } from "./backends.ts"
import {
  floats,
  loadedTime,
  logsOf,
  pointsOf,
  put,
  putBlocks,
  putStopped,
  seriesOf,
  start,
  stateAt,
  temporaryFolder
} from "./drive.ts"
import { type RunOptions, randomRuns } from "./model.ts"
import { newFolder, putRows, scenariosOf } from "./scenarios.ts"
import { buryOwner } from "./stops.ts"

const refreshModes = syncModes.filter(isRefresh)

/** In CI, all combinations are tested. */
const isThorough = runs(1, 5) > 1

/** Both contents of a stream. */
const contentsOf = (stream = "up") =>
  Effect.flatMap(Destination, ({ contents }) =>
    Effect.all({ current: contents(stream, "current"), refresh: contents(stream, "refresh") })
  )

/** Contents of so many rows, between two points. */
const between = (rows: number, first: number, last: number) => ({
  rows,
  firstMillis: start + first * 60_000,
  lastMillis: start + last * 60_000
})

/** Writes a point in a sync that does not resume, and completes it or not. */
const restart = (mode: SyncMode, point: number, isComplete: boolean) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", mode))
      yield* writer.write([pointsOf("up", [point])])
      yield* writer.commit(stateAt(point, isRefresh(mode)))
      if (isComplete) yield* writer.complete
    })
  )

/** Runs that a full disk stops, and that report it. */
const isDiskFull = (error: { readonly message: string }): boolean => {
  assert.match(error.message, /(the disk is full|its quota is used up)\. Make room and run again/)
  assert.propertyVal(error, "_tag", "DestinationError")
  assert.propertyVal(error, "isFatal", true)
  return true
}

/** Tests all scenarios with some of the destinations. Several files do so, so that they run at the same time. */
export const testBackends = (isTested: (name: string) => boolean) =>
  describe.each(backends.filter(({ name }) => isTested(name)))("$name", (backend) => {
    const { killWriters, rowsOf, use, values } = scenariosOf(backend, "metric")

    it.live("gives a group its layout, beside streams of metrics with a column per label", () =>
      Effect.gen(function* () {
        const folder = yield* newFolder
        const options: OpenOptions = {
          kindOf: (stream) => (stream === "apps" ? "group" : "metric")
        }
        const point = (name: string, labels: Readonly<Record<string, string>>, point: number) =>
          floats(seriesOf(name, labels), [[start + point * 60_000, `${point}`]])
        const write = (
          mode: SyncMode,
          blocks: ReadonlyArray<Parameters<typeof putBlocks>[2][number]>,
          last: number
        ) =>
          use(
            folder,
            Effect.andThen(putBlocks("apps", mode, blocks, last), put("up", "incremental_append", last)),
            options
          )
        yield* write("incremental_append", [], 0)
        yield* write(
          "incremental_append",
          [
            point("http_requests_total", { code: "200", metric: "own" }, 1),
            point("up", {}, 1),
            point("http_requests_total", { Code: "a", value: "v" }, 2)
          ],
          2
        )
        yield* write("incremental_append", [point("late_total", { job: '"é"' }, 3)], 3)
        const shown = [
          'http_requests_total {"Code":"a","value":"v"}',
          'http_requests_total {"code":"200","metric":"own"}',
          'late_total {"job":"\\"é\\""}',
          "up {}"
        ]
        const labels = Effect.promise(() => backend.labels(folder, "apps"))
        assert.deepStrictEqual((yield* labels).toSorted(), shown)
        assert.deepStrictEqual(yield* values(folder, "apps"), [1, 1, 2, 3])
        assert.deepStrictEqual(yield* values(folder), [0, 2, 3])
        yield* write("full_refresh_overwrite", [point("up", { a: "b" }, 4)], 4)
        assert.deepStrictEqual(yield* labels, ['up {"a":"b"}'])
        if (!backend.replacesRows) return
        yield* write("incremental_append_deduped", [point("up", { a: "b" }, 4), point("down", {}, 5)], 5)
        assert.deepStrictEqual((yield* labels).toSorted(), ["down {}", 'up {"a":"b"}'])
      })
    )

    it.live("refuses a stream of another kind, whose rows only a complete refresh replaces", () =>
      Effect.gen(function* () {
        const folder = yield* newFolder
        const schema = { ...tableSchemas.exemplars, stream: "up" }
        /** Opens the destination for a run that writes a kind, and a function that does so. */
        const useAs = <A, E>(
          kind: StreamKind,
          body: (
            put: (mode: SyncMode, point: number, isComplete?: boolean) => ReturnType<typeof putRows>
          ) => Effect.Effect<A, E, Destination>
        ) =>
          use(
            folder,
            body((mode, point, isComplete = true) =>
              kind !== "table"
                ? putBlocks("up", mode, [pointsOf("up", [point])], point, isComplete)
                : Effect.flatMap(Effect.option(loadedTime(mode)), (loaded) =>
                    putRows(schema, mode, [point], {
                      isComplete,
                      isResumed: Option.getOrUndefined(loaded) !== undefined
                    })
                  )
            ),
            { kindOf: () => kind }
          )
        const refreshed = loadedTime("full_refresh_overwrite")
        yield* useAs("metric", (put) => put("incremental_append", 0))
        let point = 0
        for (const [before, after] of [
          ["metric", "group"],
          ["group", "table"],
          ["table", "query"],
          ["query", "metric"]
        ] as const) {
          yield* useAs(after, (put) =>
            Effect.gen(function* () {
              for (const mode of syncModes) {
                if (mode === "full_refresh_overwrite") continue
                for (const refused of [loadedTime(mode), put(mode, point + 1)]) {
                  const { message } = yield* Effect.flip<
                    unknown,
                    DestinationError | ConfigError,
                    Destination
                  >(refused)
                  assert.include(
                    message,
                    ` has rows of the ${before} up, and this run reads a ${after} with that name. `
                  )
                  assert.include(message, "--full-refresh")
                }
              }
              yield* put("full_refresh_overwrite", point + 1, false)
              assert.strictEqual(yield* refreshed, stateAt(point + 1).time)
              assert.match((yield* Effect.flip(loadedTime())).message, /has rows of the/)
            })
          )
          const kept = yield* values(folder)
          assert.notInclude(kept, point + 1)
          // Only the same kind resumes the refresh.
          yield* useAs(before, (put) =>
            Effect.gen(function* () {
              assert.isUndefined(yield* refreshed)
              yield* put("incremental_append", point + 2)
            })
          )
          assert.deepStrictEqual(yield* values(folder), [...kept, point + 2])
          yield* useAs(after, (put) =>
            Effect.gen(function* () {
              assert.isUndefined(yield* refreshed)
              yield* put("full_refresh_overwrite", point + 3, false)
            })
          )
          yield* useAs(after, (put) =>
            Effect.gen(function* () {
              yield* put("full_refresh_overwrite", point + 4)
              yield* put("incremental_append", point + 5)
              const saved = yield* Effect.map(Destination, ({ streams }) => streams().get("up"))
              assert.strictEqual(saved?.kind, after)
              assert.strictEqual(saved?.state?.time, stateAt(point + 5).time)
            })
          )
          assert.deepStrictEqual(yield* values(folder), [point + 3, point + 4, point + 5])
          point += 5
        }
      })
    )

    it.live("resumes after the existing rows, and replaces them only with a complete refresh", () =>
      Effect.gen(function* () {
        const folder = join(yield* temporaryFolder, "a", "b")
        yield* use(folder, put("up", "incremental_append", 0, 1))
        yield* use(
          folder,
          Effect.gen(function* () {
            assert.strictEqual(yield* loadedTime(), stateAt(1).time)
            yield* put("up", "incremental_append", 2)
            assert.isAbove(yield* Effect.flatMap(Destination, ({ bytes }) => bytes), 0)
          })
        )
        assert.deepStrictEqual(yield* values(folder), [0, 1, 2])
        yield* use(folder, put("up", "incremental_append_deduped", 3))
        assert.deepStrictEqual(yield* values(folder), [0, 1, 2, 3])
        if (backend.replacesRows) {
          yield* use(folder, put("up", "incremental_append", 1, 3))
          assert.deepStrictEqual(yield* values(folder), [0, 1, 1, 2, 3, 3])
          yield* use(folder, put("up", "incremental_append_deduped", 1, 2, 3))
          assert.deepStrictEqual(yield* values(folder), [0, 1, 2, 3])
        }
        yield* use(folder, putStopped("up", "full_refresh_overwrite", 7))
        assert.deepStrictEqual(yield* values(folder), [0, 1, 2, 3])
        // An incremental sync would not resume from there.
        assert.strictEqual(yield* use(folder, loadedTime()), stateAt(3).time)
        yield* use(
          folder,
          Effect.scoped(
            Effect.gen(function* () {
              assert.strictEqual(yield* loadedTime("full_refresh_overwrite"), stateAt(7).time)
              const writer = yield* Effect.flatMap(Destination, ({ open }) =>
                open("up", "full_refresh_overwrite", true)
              )
              yield* writer.write([pointsOf("up", [8])])
              yield* writer.commit(stateAt(8, true))
              assert.deepStrictEqual((yield* contentsOf()).current, between(4, 0, 3))
              if (backend.isReadableWhileOpen) assert.deepStrictEqual(yield* values(folder), [0, 1, 2, 3])
              yield* writer.complete
              assert.deepStrictEqual((yield* contentsOf()).current, between(2, 7, 8))
              if (backend.isReadableWhileOpen) assert.deepStrictEqual(yield* values(folder), [7, 8])
              assert.strictEqual(yield* loadedTime(), stateAt(8).time)
            })
          )
        )
        assert.deepStrictEqual(yield* values(folder), [7, 8])
        assert.strictEqual(yield* use(folder, loadedTime()), stateAt(8).time)
      })
    )

    it.live("writes many streams side by side", () =>
      Effect.gen(function* () {
        const folder = yield* newFolder
        const names = Array.from({ length: 40 }, (_, index) => `stream_${index}`)
        const contents = yield* use(
          folder,
          Effect.gen(function* () {
            const destination = yield* Destination
            const write = Effect.fnUntraced(function* (name: string, index: number) {
              const writer = yield* destination.open(name, "incremental_append_deduped")
              for (let point = 0; point <= index; point++) {
                yield* writer.write([pointsOf(name, [point])])
                yield* writer.commit(stateAt(point))
              }
              yield* writer.complete
            })
            yield* Effect.forEach(names, (name, index) => Effect.scoped(write(name, index)), {
              concurrency: 8,
              discard: true
            })
            return yield* Effect.forEach(names, (name) => destination.contents(name, "current"))
          })
        )
        assert.deepStrictEqual(
          contents,
          names.map((_, index) => between(index + 1, 0, index))
        )
      })
    )

    it.live.each(syncModes)(
      "discards what was written after the last commit, however much it is: %s",
      (mode) =>
        Effect.gen(function* () {
          const folder = yield* newFolder
          const series = Array.from({ length: 100 }, (_, n) => seriesOf("up", { n: `${n}` }))
          const blocks = (from: number, to: number) => {
            const points = Array.from(
              { length: to - from },
              (_, index) => [start + (from + index) * 60_000, `${from + index}`] as const
            )
            return series.map((one) => floats(one, points))
          }
          yield* use(
            folder,
            Effect.scoped(
              Effect.gen(function* () {
                const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", mode))
                yield* writer.write(blocks(0, 100))
                yield* writer.commit(stateAt(99, isRefresh(mode)))
                yield* writer.write(blocks(100, 2100))
              })
            )
          )
          const committed = between(10_000, 0, 99)
          const { current, refresh } = yield* use(folder, contentsOf())
          assert.deepStrictEqual(current, mode === "full_refresh_overwrite" ? emptyContents : committed)
          assert.deepStrictEqual(refresh, isRefresh(mode) ? committed : emptyContents)
          if (isRefresh(mode)) {
            yield* use(
              folder,
              Effect.scoped(
                Effect.flatMap(Destination, ({ open }) =>
                  Effect.flatMap(open("up", mode, true), ({ complete }) => complete)
                )
              )
            )
          }
          const rows = yield* rowsOf(folder)
          assert.lengthOf(rows, 10_000)
          assert.isTrue(rows.every(({ value }) => Number(value) < 100))
        })
    )

    it.live("reports the rows that readers see, and those of a refresh in progress", () =>
      Effect.gen(function* () {
        for (const mode of refreshModes) {
          const folder = yield* newFolder
          assert.deepStrictEqual(yield* use(folder, contentsOf()), {
            current: emptyContents,
            refresh: emptyContents
          })
          yield* use(folder, put("up", "incremental_append", 2, 3, 4))
          assert.deepStrictEqual(yield* use(folder, contentsOf()), {
            current: between(3, 2, 4),
            refresh: emptyContents
          })
          yield* use(folder, putStopped("up", mode, 0, 1))
          // Readers see the rows of a refresh that appends as soon as they are committed.
          assert.deepStrictEqual(yield* use(folder, contentsOf()), {
            current: mode === "full_refresh_append" ? between(5, 0, 4) : between(3, 2, 4),
            refresh: between(2, 0, 1)
          })
          // A refresh in the other mode restarts.
          const other = refreshModes.find((other) => other !== mode)!
          yield* use(folder, putStopped("up", other, 6))
          assert.deepStrictEqual(yield* use(folder, contentsOf()), {
            current: mode === "full_refresh_append" ? between(5, 0, 4) : between(4, 2, 6),
            refresh: between(1, 6, 6)
          })
          assert.deepStrictEqual(yield* use(folder, contentsOf("other")), {
            current: emptyContents,
            refresh: emptyContents
          })
        }
      })
    )

    it.live("keeps a stopped refresh until a newer commit is persisted", () =>
      Effect.gen(function* () {
        for (const mode of refreshModes) {
          const folder = yield* newFolder
          yield* use(folder, put("up", "incremental_append", 2, 3, 4))
          yield* use(folder, putStopped("up", mode, 0, 1))
          const kept = Effect.gen(function* () {
            assert.strictEqual(yield* loadedTime(mode), stateAt(1).time)
            return yield* contentsOf()
          })
          const before = yield* use(folder, kept)
          for (const other of syncModes) {
            // Making rows unique is something newer, and may lose which of them a refresh has appended.
            if (other === "incremental_append_deduped") continue
            const opened = Effect.scoped(
              Effect.gen(function* () {
                const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", other))
                yield* writer.write([pointsOf("up", [9])])
              })
            )
            yield* use(folder, Effect.andThen(opened, kept))
            assert.deepStrictEqual(yield* use(folder, kept), before, `${mode} ${other}`)
          }
          // The disk is full from one of its changes on, until there is room for all of them.
          for (let at = 0, isStopped = true; isStopped; at += isThorough && !backend.isSlow ? 1 : 4) {
            isStopped = false
            const stop = backend.stops.fullDisk(folder, at, () => {
              isStopped = true
            })
            yield* logsOf(
              Effect.exit(
                restart(mode, 8, false).pipe(
                  Effect.provide(Layer.provide(backend.layer(folder), stop)),
                  Effect.provide(NodeServices.layer)
                )
              )
            )
            buryOwner(backend.filesOf?.(folder) ?? folder)
            const time = yield* use(folder, loadedTime(mode))
            if (isStopped && time !== stateAt(8).time) {
              assert.deepStrictEqual(yield* use(folder, kept), before, `${mode} at ${at}`)
            } else {
              assert.strictEqual(time, stateAt(8).time)
              assert.deepStrictEqual((yield* use(folder, contentsOf())).refresh, between(1, 8, 8))
              break
            }
          }
        }
      })
    )

    it.live("loses nothing when its process is killed at any moment, and another one takes over", () =>
      killWriters(
        {
          ids: Array.from({ length: 100 }, (_, number) =>
            seriesOf("up", { number: `${number}`, [`only${number % 7}`]: "x".repeat(20) })
          ).map(({ id }) => id),
          seed: 6,
          times: backend.isSlow ? 4 : 10
        },
        (folder, pid) =>
          Effect.map(Effect.flip(use(folder, loadedTime())), ({ message }) =>
            assert.match(
              message,
              new RegExp(`${backend.nameIn?.(folder) ?? folder}.* \\(?process ${pid} .*\\. Wait`)
            )
          )
      ).pipe(Effect.scoped)
    )

    it.live("refuses the data of another source, and other columns of labels, and changes nothing", () =>
      Effect.gen(function* () {
        const folder = yield* newFolder
        yield* use(folder, put("up", "incremental_append", 0))
        const refusal = (options: OpenOptions) =>
          Effect.map(
            Effect.flip(use(folder, put("up", "incremental_append", 1), options)),
            ({ message }) => message
          )
        assert.match(
          yield* refusal({ source: "http://else" }),
          /holds data of http:\/\/mock, and this is http:\/\/else\. Choose another/
        )
        assert.match(yield* refusal({ labelColumns: false }), /, and this run writes .*\(label_columns\)/)
        assert.deepStrictEqual(yield* values(folder), [0])
        assert.strictEqual(yield* use(folder, loadedTime()), stateAt(0).time)
      })
    )

    it.live.each(Object.keys(backend.troubles))(
      "has %s fail one stream, and a full refresh repairs it",
      (name) =>
        Effect.gen(function* () {
          const [damage, message] = backend.troubles[name]!
          for (const stopped of [undefined, ...refreshModes]) {
            const folder = yield* newFolder
            yield* use(
              folder,
              Effect.andThen(put("up", "incremental_append", 0), put("other", "incremental_append", 0))
            )
            if (stopped !== undefined) yield* use(folder, putStopped("up", stopped, 1))
            yield* Effect.promise(async () => damage(folder))
            const error = yield* use(
              folder,
              Effect.gen(function* () {
                const error = yield* Effect.flip(put("up", "incremental_append_deduped", 2))
                yield* put("other", "incremental_append", 1)
                return error
              })
            )
            assert.match(error.message, message)
            assert.match(error.message, /--full-refresh --select up/)
            assert.strictEqual(error._tag, "DestinationError")
            assert.notProperty(error, "isFatal")
            assert.deepStrictEqual(yield* values(folder, "other"), [0, 1])
            yield* use(
              folder,
              Effect.andThen(restart("full_refresh_overwrite", 5, true), put("up", "incremental_append", 6))
            )
            assert.deepStrictEqual(yield* values(folder), [5, 6])
            assert.strictEqual(yield* use(folder, loadedTime()), stateAt(6).time)
          }
        })
    )

    const random = (
      choices: Choices,
      options: Omit<RunOptions, "backend" | "labelColumns">,
      labelColumns = true
    ) => randomRuns(choices, { backend, labelColumns, ...options })
    const arbitrary = { runs: backend.runs }

    it.effect.prop(
      "has what was committed and nothing else, whatever happens",
      [choices],
      ([choices]) => random(choices, { stop: backend.stops.kill }, choices.oneIn(2)),
      { timeout: 240_000, arbitrary }
    )

    it.effect.prop(
      "has what was committed and nothing else after kills in the middle of commits, in any mode",
      [choices],
      ([choices]) =>
        random(choices, {
          stop: backend.stops.killAtCommit,
          streams: 1,
          modes: [...syncModes, "incremental_append_deduped", "incremental_append_deduped"],
          survivors: 4,
          changes: 15,
          points: 20
        }),
      { timeout: 240_000, arbitrary }
    )

    const onFullDisk = (choices: Choices) =>
      random(choices, { stop: backend.stops.fullDisk, isStopped: isDiskFull, changes: 120 })

    it.effect.prop(
      "has what was committed and nothing else on a full disk",
      [choices],
      ([choices]) => onFullDisk(choices),
      { timeout: 240_000, arbitrary }
    )

    // A refresh was lost that nothing newer had replaced.
    it.effect("has what was committed and nothing else on a full disk: an example", () =>
      onFullDisk(new Choices(3_823_645_898, 568))
    )
  })
