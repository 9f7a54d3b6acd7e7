import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination, type SyncMode } from "../../../src/destinations/Destination.ts"
import { layer } from "../../../src/destinations/jsonl/JsonLinesFolder.ts"
import { refusalOfSettings } from "../../../src/destinations/jsonl/repeatedRows.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, openToResume, seriesOf, start, temporaryFolder } from "../drive.ts"

const minute = 60_000
const replacing = "tables: or lakes:"
const timeOf = (point: number) => formatTime(start + point * minute)

/** A sync that reads points of `up`, after which these spans have been read. */
const sync = (
  folder: string,
  mode: SyncMode,
  points: ReadonlyArray<number>,
  read: ReadonlyArray<readonly [number, number]>,
  isComplete = true
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* openToResume("up", mode)
      const times = points.map((point) => [start + point * minute, `${point}`] as const)
      yield* writer.write([floats(seriesOf("up", {}), times)])
      const state = new StreamState({
        time: timeOf(read.at(-1)![1]),
        step: 60,
        version: 1,
        read: read.map(([first, last]) => [timeOf(first), timeOf(last)] as const),
        ...(mode.startsWith("full") ? { full_refresh: true as const } : {})
      })
      yield* writer.commit(state)
      if (isComplete) yield* writer.complete
    })
  ).pipe(
    Effect.provide(
      layer({ path: folder, source: "http://mock", labelColumns: true, gzip: false, replacing })
    ),
    Effect.provide(NodeServices.layer)
  )

const values = (folder: string) =>
  readFileSync(join(folder, "up.jsonl"), "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { readonly data: { readonly value: number } }).data.value)

const loads = (folder: string, mode: SyncMode) =>
  Effect.flatMap(Destination, ({ states }) => states(mode).load("up")).pipe(
    Effect.provide(
      layer({ path: folder, source: "http://mock", labelColumns: true, gzip: false, readOnly: true })
    ),
    Effect.provide(NodeServices.layer)
  )

const deduped = "incremental_append_deduped"

describe("a file of JSON lines in deduped mode", () => {
  it.live("gets earlier rows that are missing, and rows between existing ones", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "data")
      yield* sync(folder, deduped, [10, 11], [[10, 11]])
      yield* sync(
        folder,
        deduped,
        [20, 21],
        [
          [10, 11],
          [20, 21]
        ]
      )
      yield* sync(
        folder,
        deduped,
        [0, 1],
        [
          [0, 1],
          [10, 11],
          [20, 21]
        ]
      )
      yield* sync(
        folder,
        deduped,
        [2, 3, 4, 5, 6, 7, 8, 9],
        [
          [0, 11],
          [20, 21]
        ]
      )
      yield* sync(folder, deduped, [12, 19], [[0, 21]])
      yield* sync(folder, deduped, [22], [[0, 22]])
      assert.deepStrictEqual(values(folder), [10, 11, 20, 21, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 19, 22])
    })
  )

  it.live("refuses a block whose time was already read, and writes none of it", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "data")
      yield* sync(folder, deduped, [10, 20], [[10, 20]])
      for (const points of [[20, 21], [5, 10], [9, 21], [15], [10]]) {
        const { message } = yield* Effect.flip(sync(folder, deduped, points, [[0, 30]]))
        assert.match(
          message,
          /up\.jsonl may have rows from \S+ to \S+ already, .*--mode incremental_append.*\(tables: or lakes:\)/
        )
        assert.deepStrictEqual(values(folder), [10, 20])
      }
      // The state matches the existing rows.
      yield* sync(folder, deduped, [21], [[10, 21]])
      assert.deepStrictEqual(values(folder), [10, 20, 21])
    })
  )

  it.live("refuses rows between others if the state does not cover all of them", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "data")
      yield* sync(folder, "incremental_append", [10, 20], [[18, 20]])
      yield* Effect.flip(sync(folder, deduped, [15], [[15, 20]]))
      assert.deepStrictEqual(values(folder), [10, 20])
    })
  )

  it.live("is refused before a read if rows may be repeated, until a refresh replaces them", () =>
    Effect.gen(function* () {
      const twice: ReadonlyArray<(folder: string) => ReturnType<typeof sync>> = [
        // A look-back.
        (folder) => sync(folder, "incremental_append", [2, 3], [[0, 3]]),
        (folder) => sync(folder, "full_refresh_append", [0, 1], [[0, 1]]),
        (folder) => sync(folder, "full_refresh_append", [0, 1], [[0, 1]], false)
      ]
      for (const again of twice) {
        const folder = join(yield* temporaryFolder, "data")
        yield* sync(folder, "incremental_append", [0, 1, 2], [[0, 2]])
        yield* loads(folder, deduped)
        yield* again(folder)
        const error = yield* Effect.flip(loads(folder, deduped))
        assert.strictEqual(error._tag, "ConfigError")
        assert.match(error.message, /up\.jsonl was written in a mode that appends, so it may have rows twice/)
        const before = values(folder)
        assert.strictEqual(
          (yield* Effect.flip(sync(folder, deduped, [9], [[9, 9]])))._tag,
          "DestinationError"
        )
        assert.deepStrictEqual(values(folder), before)
        yield* sync(folder, "incremental_append", [9], [[0, 9]])
        assert.deepStrictEqual(values(folder), [...before, 9])
        yield* sync(folder, "full_refresh_overwrite", [0, 1], [[0, 1]])
        yield* sync(folder, deduped, [2], [[0, 2]])
        assert.deepStrictEqual(values(folder), [0, 1, 2])
      }
    })
  )

  it.live("is refused if a first refresh in append mode was stopped and completed in another mode", () =>
    Effect.gen(function* () {
      for (const mode of ["full_refresh_append", "full_refresh_overwrite", "incremental_append"] as const) {
        const folder = join(yield* temporaryFolder, "data")
        yield* sync(folder, "full_refresh_append", [0, 1], [[0, 1]], false)
        yield* Effect.flip(loads(folder, deduped))
        yield* sync(folder, mode, [mode === "full_refresh_append" ? 2 : 0], [[0, 2]], false)
        yield* Effect.flip(loads(folder, deduped))
        if (mode !== "full_refresh_append") continue
        // Once the refresh is resumed and complete, each row is there once.
        yield* sync(folder, mode, [3], [[0, 3]])
        yield* sync(folder, deduped, [4], [[0, 4]])
        assert.deepStrictEqual(values(folder), [0, 1, 2, 3, 4])
      }
    })
  )

  it("is refused with a look-back, by the settings alone", () => {
    assert.isUndefined(refusalOfSettings(deduped, { lookbackMillis: 0 }, replacing))
    assert.isUndefined(refusalOfSettings("incremental_append", { lookbackMillis: 60_000 }, replacing))
    assert.match(
      refusalOfSettings(deduped, { lookbackMillis: 60_000 }, replacing) ?? "",
      /^lookback_window is 60 seconds, .*\(tables: or lakes:\)\. Or set lookback_window to 0\.$/
    )
  })
})
