/** The scenarios of every destination with rows of tables. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Destination, isRefresh, type SyncMode, syncModes } from "../../src/destinations/Destination.ts"
import { tableSchemas } from "../../src/prometheus/tables/schemas.ts"
import { rowBlocks } from "../../src/samples/TableRow.ts"
import { backends } from "./backends.ts"
import { loadedTime, logsOf, start, stateAt } from "./drive.ts"
import { exemplarAt, idOf } from "./exemplars.ts"
import { newFolder, putRows, scenariosOf } from "./scenarios.ts"
import { buryOwner } from "./stops.ts"

const schema = { ...tableSchemas.exemplars, stream: "up" }

const put = (mode: SyncMode, points: ReadonlyArray<number>, options?: Parameters<typeof putRows>[3]) =>
  putRows(schema, mode, points, options)

/** Tests all scenarios with some of the destinations. */
export const testRows = (isTested: (name: string) => boolean) =>
  describe.each(backends.filter(({ name }) => isTested(name)))("rows in $name", (backend) => {
    const { killWriters, layer, use, values } = scenariosOf(backend, "table")

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
                  Effect.provide(Layer.provide(layer(folder), stop)),
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
      killWriters({
        ids: Array.from({ length: 100 }, (_, number) => idOf(number)),
        seed: 7,
        times: backend.isSlow ? 3 : 6
      }).pipe(Effect.scoped)
    )
  })
