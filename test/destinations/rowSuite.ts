/** The scenarios of every destination with rows of tables. */
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { Destination, isRefresh, type SyncMode, syncModes } from "../../src/destinations/Destination.ts"
import { tableSchemas } from "../../src/prometheus/tables/schemas.ts"
import { rowBlocks } from "../../src/samples/TableRow.ts"
import { Choices } from "../choices.ts"
import * as child from "../support/child.ts"
import { runs } from "../support/runs.ts"
import { backends, timeOf } from "./backends.ts"
import { loadedTime, logsOf, start, stateAt, temporaryFolder } from "./drive.ts"
import { exemplarAt, idOf } from "./exemplars.ts"
import { buryOwner } from "./stops.ts"

const schema = { ...tableSchemas.exemplars, stream: "up" }

/** Writes points of a number, each with its own number as its value, and commits the last one. */
const put = (
  mode: SyncMode,
  points: ReadonlyArray<number>,
  { isComplete = true, isResumed = false, value = (point: number) => point } = {}
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(Destination, ({ openTable }) => openTable(schema, mode, isResumed))
      yield* writer.write(rowBlocks(points.map((point) => exemplarAt(0, point, value(point)))))
      yield* writer.commit(stateAt(points.at(-1)!, isRefresh(mode)))
      if (isComplete) yield* writer.complete
    })
  )

/** Tests all scenarios with some of the destinations. */
export const testRows = (isTested: (name: string) => boolean) =>
  describe.each(backends.filter(({ name }) => isTested(name)))("rows in $name", (backend) => {
    const scope = Scope.makeUnsafe()
    beforeAll(() => Effect.runPromise(Scope.provide(backend.server ?? Effect.void, scope)))
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    const use = <A, E>(folder: string, body: Effect.Effect<A, E, Destination>) =>
      body.pipe(Effect.provide(backend.layer(folder)), Effect.provide(NodeServices.layer))

    const newFolder = Effect.map(temporaryFolder, (folder) => join(folder, "data"))

    const rowsOf = (folder: string, stream = "up") => Effect.promise(() => backend.rows(folder, stream))

    /** The values in the order of their times. */
    const values = (folder: string) =>
      Effect.map(rowsOf(folder), (rows) =>
        rows.toSorted((a, b) => timeOf(a) - timeOf(b)).map(({ value }) => Number(value))
      )

    it.live("are added, replaced by their key, and replaced by a complete refresh", () =>
      Effect.gen(function* () {
        const folder = yield* newFolder
        yield* use(folder, put("incremental_append_deduped", [0, 1]))
        assert.strictEqual(yield* use(folder, loadedTime()), stateAt(1).time)
        yield* use(folder, put("incremental_append_deduped", [2, 3]))
        assert.deepStrictEqual(yield* values(folder), [0, 1, 2, 3])
        if (backend.replacesRows) {
          yield* use(folder, put("incremental_append", [2, 3], { value: (point) => 10 + point }))
          assert.lengthOf(yield* values(folder), 6)
          // The last one of each key stays, an equal one stays as it is, and a different one is replaced.
          yield* use(folder, put("incremental_append_deduped", [1, 3, 4], { value: (point) => 10 + point }))
          assert.deepStrictEqual(yield* values(folder), [0, 11, 12, 13, 14])
          yield* use(
            folder,
            Effect.scoped(
              Effect.gen(function* () {
                const writer = yield* Effect.flatMap(Destination, ({ openTable }) =>
                  openTable(schema, "incremental_append_deduped")
                )
                const twice = [exemplarAt(0, 5, 1), exemplarAt(0, 5, 2), exemplarAt(1, 5, 3)]
                yield* writer.write(rowBlocks(twice))
                yield* writer.commit(stateAt(5))
                yield* writer.write(rowBlocks([exemplarAt(1, 5, 4)]))
                yield* writer.commit(stateAt(6))
                // Not committed.
                yield* writer.write(rowBlocks([exemplarAt(2, 7, 0)]))
              })
            )
          )
          assert.deepStrictEqual(
            (yield* values(folder)).toSorted((a, b) => a - b),
            [0, 2, 4, 11, 12, 13, 14]
          )
        }
        const before = yield* values(folder)
        yield* use(folder, put("full_refresh_overwrite", [7], { isComplete: false }))
        assert.deepStrictEqual(yield* values(folder), before)
        yield* use(
          folder,
          Effect.gen(function* () {
            assert.strictEqual(yield* loadedTime("full_refresh_overwrite"), stateAt(7).time)
            yield* put("full_refresh_overwrite", [8], { isResumed: true })
          })
        )
        assert.deepStrictEqual(yield* values(folder), [7, 8])
        assert.strictEqual(yield* use(folder, loadedTime()), stateAt(8).time)
        yield* use(folder, put("full_refresh_append", [9]))
        assert.deepStrictEqual(yield* values(folder), [7, 8, 9])
        const { contents } = yield* use(
          folder,
          Effect.flatMap(Destination, ({ contents }) =>
            Effect.map(contents("up", "current"), (contents) => ({ contents }))
          )
        )
        assert.deepStrictEqual(contents, {
          rows: 3,
          firstMillis: start + 7 * 60_000,
          lastMillis: start + 9 * 60_000
        })
      })
    )

    it.live("keep what was committed on a full disk", () =>
      Effect.gen(function* () {
        for (const mode of syncModes) {
          const folder = yield* newFolder
          yield* use(folder, put("incremental_append_deduped", [0, 1]))
          for (let at = 0, isStopped = true; isStopped; at += backend.isSlow ? 15 : 4) {
            isStopped = false
            const stop = backend.stops.fullDisk(folder, at, () => {
              isStopped = true
            })
            yield* logsOf(
              Effect.exit(
                put(mode, [2, 3]).pipe(
                  Effect.provide(Layer.provide(backend.layer(folder), stop)),
                  Effect.provide(NodeServices.layer)
                )
              )
            )
            buryOwner(backend.filesOf?.(folder) ?? folder)
            const time = yield* use(folder, loadedTime())
            const found = yield* values(folder)
            // Rows and states are committed together: both or neither.
            const isSaved = time === stateAt(3).time
            if (!isRefresh(mode)) {
              assert.deepStrictEqual(found, isSaved ? [0, 1, 2, 3] : [0, 1], `${mode} at ${at}`)
            } else if (isSaved) {
              assert.deepStrictEqual(found, mode === "full_refresh_append" ? [0, 1, 2, 3] : [2, 3])
            } else if (mode === "full_refresh_overwrite") assert.deepStrictEqual(found, [0, 1])
            if (isSaved || found.length > 4) break
          }
        }
      })
    )

    it.live("are all there after kills, once each", () =>
      Effect.gen(function* () {
        const folder = yield* newFolder
        const random = new Choices(7, Number.POSITIVE_INFINITY)
        const known = new Set(Array.from({ length: 100 }, (_, number) => idOf(number)))
        for (let kill = 0; kill < runs(1, backend.isSlow ? 3 : 6); kill++) {
          const writer = yield* child.start([backend.name, folder, "rows"], {
            script: fileURLToPath(new URL("writerProcess.ts", import.meta.url))
          })
          const { point } = (yield* writer.waitFor((message) => "point" in message)) as {
            readonly point: number
          }
          yield* Effect.sleep(random.below(500))
          writer.kill("SIGKILL")
          yield* writer.result
          const last = (Date.parse((yield* use(folder, loadedTime())) ?? "") - start) / 60_000
          assert.isAtLeast(last, point)
          const rows = yield* rowsOf(folder)
          assert.strictEqual(new Set(rows.map(({ key }) => key)).size, rows.length)
          assert.isTrue(rows.every((row) => Number(row.value) === (timeOf(row) - start) / 60_000))
          assert.lengthOf(
            rows.filter(({ key }) => known.has(key.split(" ")[0]!)),
            100 * (last + 1)
          )
          const complete = yield* rowsOf(folder, "complete")
          if (complete.length > 0) {
            assert.lengthOf(complete, 4000)
            assert.strictEqual(new Set(complete.map(({ value }) => value)).size, 1)
          }
        }
      }).pipe(Effect.scoped)
    )
  })
