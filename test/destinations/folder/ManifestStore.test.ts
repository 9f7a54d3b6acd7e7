import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { diskManifests, type ManifestStore } from "../../../src/destinations/folder/ManifestStore.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "manifests-"))
    mkdirSync(join(path, "_new"))
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Adds one to the number in a manifest, as a writer that retries does. */
const increment = Effect.fnUntraced(function* (store: ManifestStore, name: string) {
  for (;;) {
    const found = Option.getOrUndefined(yield* store.load(name))
    const text = `${Number(found?.text ?? 0) + 1}`
    if (Option.isSome(yield* store.replace(name, found?.version, text))) return
  }
})

describe("manifests on a disk", () => {
  it.live("are replaced only if they are the version that was loaded", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const store = yield* diskManifests(path, join(path, "_new"))
      assert.deepStrictEqual(yield* store.load("up"), Option.none())
      assert.deepStrictEqual(yield* store.replace("up", "1", "a"), Option.none())
      const first = Option.getOrThrow(yield* store.replace("up", undefined, "a"))
      assert.deepStrictEqual(yield* store.replace("up", undefined, "b"), Option.none())
      const second = Option.getOrThrow(yield* store.replace("up", first, "b"))
      assert.deepStrictEqual(yield* store.replace("up", first, "c"), Option.none())
      assert.deepStrictEqual(yield* store.load("up"), Option.some({ text: "b", version: second }))
      writeFileSync(join(path, "_about.json"), "{}")
      assert.deepStrictEqual(yield* store.names, ["up"])
      assert.deepStrictEqual(readdirSync(join(path, "_new")), [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("lose nothing of writers at the same time", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const writer = Effect.gen(function* () {
        const store = yield* diskManifests(path, join(path, "_new"))
        for (let n = 0; n < 10; n++) yield* increment(store, n % 2 === 0 ? "up" : "other")
      })
      yield* Effect.all(
        Array.from({ length: 4 }, () => writer),
        { concurrency: "unbounded" }
      )
      const store = yield* diskManifests(path, join(path, "_new"))
      for (const name of ["up", "other"]) {
        assert.strictEqual(Option.getOrThrow(yield* store.load(name)).text, "20")
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
