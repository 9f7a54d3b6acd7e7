import { mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryFolder } from "../../../src/destinations/folder/temporaryFolder.ts"
import * as drive from "../drive.ts"

describe("the folder for temporary files", () => {
  const { TMPDIR } = process.env
  afterAll(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = TMPDIR
  })

  it.live("is removed at the end, and those that killed runs have left at the next start", () =>
    Effect.gen(function* () {
      const place = yield* drive.temporaryFolder
      process.env.TMPDIR = place
      const own = yield* Effect.scoped(
        Effect.gen(function* () {
          const folder = yield* temporaryFolder
          const owner = JSON.parse(readFileSync(join(folder, "owner.json"), "utf8"))
          // This process is alive: another run of it leaves this folder alone.
          assert.notStrictEqual(yield* temporaryFolder, folder)
          return owner as Record<string, unknown>
        })
      )
      assert.deepStrictEqual(readdirSync(place), [])

      const make = (name: string, owner: object | undefined, silentSeconds = 0) => {
        mkdirSync(join(place, name, "inside"), { recursive: true })
        writeFileSync(join(place, name, "inside", "part.parquet"), "x")
        if (owner === undefined) return
        const path = join(place, name, "owner.json")
        writeFileSync(path, `${JSON.stringify({ ...own, ...owner })}\n`)
        const then = Date.now() / 1000 - silentSeconds
        utimesSync(path, then, then)
      }
      const killed = { process: 4_194_305 }
      make("source-prometheus-killed", killed)
      make("source-prometheus-gone", { place: "another container" }, 600)
      make("source-prometheus-elsewhere", { place: "another container" })
      make("source-prometheus-unknown", undefined)
      make("other-killed", killed)
      symlinkSync(join(place, "other-killed"), join(place, "source-prometheus-link"))
      const during = yield* Effect.scoped(
        Effect.andThen(
          temporaryFolder,
          Effect.sync(() => readdirSync(place).length)
        )
      )
      assert.strictEqual(during, 5)
      assert.deepStrictEqual(readdirSync(place).toSorted(), [
        "other-killed",
        "source-prometheus-elsewhere",
        "source-prometheus-link",
        "source-prometheus-unknown"
      ])
      assert.deepStrictEqual(readdirSync(join(place, "other-killed")).toSorted(), ["inside", "owner.json"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
