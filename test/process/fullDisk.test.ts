/** A disk that fills up at any moment of a run, and then has space again. */
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { assertRows, expected, type Format, formats, rowsOf, serveSome, treeOf } from "./destinations.ts"
import { isRoot } from "./machine.ts"

/** Mounts a separate disk in memory. */
const disk = (folder: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      execFileSync("mkdir", ["-p", folder])
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=32m", "tmpfs", folder])
    }),
    () => Effect.sync(() => execFileSync("umount", ["--lazy", folder]))
  )

/** Fills the disk except for so many kilobytes. */
const fill = (folder: string, kilobytes: number): string => {
  const { bavail, bsize } = statfsSync(folder)
  const path = `${folder}/filler`
  writeFileSync(path, Buffer.alloc(Math.max(0, bavail * bsize - kilobytes * 1024)))
  return path
}

/** Free space in kilobytes: for nothing, a file, some of the data, nearly all of it. */
const rooms: Readonly<Record<Format, ReadonlyArray<number>>> = {
  duckdb: [0, 32, 128, 512],
  parquet: [0, 8, 16, 40],
  jsonl: [0, 8, 128, 370]
}

describe.runIf(isRoot)("a full disk", { concurrent: true }, () => {
  for (const format of formats) {
    it.live(
      `ends a run with a clear message and keeps existing data, and the next run writes everything: ${format}`,
      () =>
        Effect.gen(function* () {
          const { all, half } = yield* serveSome
          const files = yield* connector.workspace
          const run = (config: object, path: string) =>
            child.run(["run", "--config", files.write("config.json", config), "--to", `${format}:${path}`])
          for (const folder of ["before", "clean"]) mkdirSync(files.path(folder))
          assert.strictEqual((yield* run(half, files.path("before/data"))).code, 0)
          assert.strictEqual((yield* run(all, files.path("clean/data"))).code, 0)
          let failures = 0
          for (const isNew of [false, true]) {
            for (const room of rooms[format]) {
              const what = `${isNew ? "a new destination" : "one with data"}, ${room} KB left`
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const folder = files.path(`disk-${isNew}-${room}`)
                  yield* disk(folder)
                  const path = `${folder}/data`
                  if (!isNew) cpSync(files.path("before/data"), path, { recursive: true })
                  const filler = fill(folder, room)
                  const broken = yield* run(all, path)
                  if (broken.code !== 0) {
                    failures++
                    assert.deepStrictEqual([broken.code, broken.signal, broken.stdout], [1, null, ""], what)
                    assert.match(broken.stderr, /the disk is full/, what)
                    assert.notMatch(broken.stderr, /mistake|bug|\n {4}at /, what)
                    if (!isNew) {
                      const rows = yield* Effect.promise(() => rowsOf(format, path))
                      const kept = new Set(rows)
                      assert.strictEqual(kept.size, rows.length, `${what}: nothing is there twice`)
                      assert.deepStrictEqual(
                        expected.half.filter((row) => !kept.has(row)).slice(0, 3),
                        [],
                        what
                      )
                    }
                  }
                  rmSync(filler)
                  const after = yield* run(all, path)
                  assert.deepStrictEqual([after.code, after.signal], [0, null], `${what}: ${after.stderr}`)
                  assertRows(yield* Effect.promise(() => rowsOf(format, path)), expected.all, what)
                  assert.deepStrictEqual(treeOf(folder), treeOf(files.path("clean")), what)
                })
              )
            }
          }
          assert.isAtLeast(failures, 4)
        }),
      { timeout: 900_000 }
    )
  }

  it.live("ends a run whose report does not fit, with all data written", () =>
    Effect.gen(function* () {
      const { all } = yield* serveSome
      const files = yield* connector.workspace
      const folder = files.path("disk")
      yield* disk(folder)
      const run = child.run([
        ...["run", "--config", files.write("config.json", all), "--to", `jsonl:${files.path("data")}`],
        ...["--report", `${folder}/report.html`]
      ])
      const filler = fill(folder, 8)
      const broken = yield* run
      assert.strictEqual(broken.code, 1)
      assert.match(broken.stderr, /report\.html cannot be written: the disk is full/)
      rmSync(filler)
      assert.strictEqual((yield* run).code, 0)
      assert.deepStrictEqual(treeOf(folder), ["report.html"])
      assertRows(yield* Effect.promise(() => rowsOf("jsonl", files.path("data"))), expected.all, "data")
    })
  )
})
