/** What only concerns object stores: several runs at once, stores without conditions, and objects in several parts. */
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import type { ManifestStore } from "../../../src/destinations/folder/ManifestStore.ts"
import { bucketManifests } from "../../../src/destinations/objects/bucketManifests.ts"
import { OpenS3Client, S3Sizes } from "../../../src/destinations/objects/OpenS3Client.ts"
import { openS3Store } from "../../../src/destinations/objects/S3Store.ts"
import { openClient } from "../../../src/destinations/objects/s3Library.ts"
import { layer, sharedLayer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { environmentOf } from "../../support/s3.ts"
import { S3_DATA, S3_ENDPOINT } from "../../support/s3Setup.ts"
import { backends } from "../backends.ts"
import { openToResume, pointsOf, put, stateAt, temporaryFolder } from "../drive.ts"
import { buryOwner } from "../stops.ts"

const backend = backends.find(({ name }) => name === "parquet in S3")!

const mode = "incremental_append_deduped"

const newFolder = Effect.map(temporaryFolder, (folder) => join(folder, "data"))

const filesOf = (folder: string): string => join(process.env[S3_DATA]!, "metrics", folder)

const use = <A, E>(folder: string, body: Effect.Effect<A, E, Destination>) =>
  body.pipe(Effect.provide(backend.layer(folder)), Effect.provide(NodeServices.layer))

const leftovers = (folder: string): ReadonlyArray<string> => {
  const path = join(filesOf(folder), "_state", "_new")
  return existsSync(path) ? readdirSync(path) : []
}

const values = (folder: string) =>
  Effect.map(
    Effect.promise(() => backend.rows(folder, "up")),
    (rows) => rows.map(({ value }) => Number(value)).toSorted((a, b) => a - b)
  )

/** An empty prefix as a store. */
const newStore = Effect.gen(function* () {
  Object.assign(process.env, environmentOf(process.env[S3_ENDPOINT]!))
  const prefix = (yield* newFolder).slice(1)
  return { store: yield* openS3Store({ bucket: "metrics", prefix, url: `s3://metrics/${prefix}` }), prefix }
})

/** A client that changes the inputs of requests, or refuses them. */
const withInputs = (change: (operation: string, input: Record<string, unknown>) => void) =>
  Layer.succeed(OpenS3Client, async () => {
    const client = await openClient(process.env)
    return {
      ...client,
      send: (operation, input, signal) => {
        const changed = { ...input }
        change(operation, changed as unknown as Record<string, unknown>)
        return client.send(operation, changed, signal)
      }
    }
  })

describe("a bucket", () => {
  it.live("is safe if another run takes over from one that was only silent", () =>
    Effect.gen(function* () {
      for (const isSecondFirst of [true, false]) {
        const folder = yield* newFolder
        yield* use(folder, put("up", mode, 0))
        const error = yield* use(
          folder,
          Effect.gen(function* () {
            const writer = yield* openToResume("up", mode)
            yield* writer.write([pointsOf("up", [1])])
            // Its lease counts as that of a dead process.
            buryOwner(filesOf(folder))
            const second = use(folder, put("up", mode, 1, 2))
            const saved = Effect.andThen(writer.commit(stateAt(1)), writer.complete)
            if (!isSecondFirst) yield* saved
            yield* second
            yield* writer.write([pointsOf("up", [5])])
            return yield* Effect.flip(Effect.andThen(writer.commit(stateAt(5)), writer.complete))
          }).pipe(Effect.scoped)
        )
        assert.match(
          error.message,
          /^s3:\/\/metrics\/.* is being written by another run, .*This run writes nothing more; what was committed is kept\.$/
        )
        assert.propertyVal(error, "isFatal", true)
        assert.deepStrictEqual(yield* values(folder), [0, 1, 2])
        yield* use(folder, put("up", mode, 3))
        assert.deepStrictEqual(yield* values(folder), [0, 1, 2, 3])
        assert.deepStrictEqual(leftovers(folder), [])
      }
    }).pipe(Effect.scoped)
  )

  it.live("is refused in a store that ignores conditions, or does not support them", () =>
    Effect.gen(function* () {
      const open = (change: Parameters<typeof withInputs>[0]) =>
        Effect.gen(function* () {
          const folder = yield* newFolder
          const opened = Layer.provide(backend.layer(folder), withInputs(change))
          return yield* Effect.flip(
            put("up", mode, 0).pipe(Effect.provide(opened), Effect.provide(NodeServices.layer))
          )
        })
      const openForParts = (change: Parameters<typeof withInputs>[0]) =>
        Effect.gen(function* () {
          const path = `s3://metrics${yield* newFolder}`
          const opened = Layer.provide(
            sharedLayer({ path, source: "http://mock", labelColumns: true }),
            withInputs(change)
          )
          return yield* Effect.flip(
            Layer.build(opened).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
          )
        })
      for (const name of ["IfMatch", "IfNoneMatch"]) {
        for (const opening of [open, openForParts]) {
          const { message } = yield* opening((_, input) => delete input[name])
          assert.match(
            message,
            /the store of s3:\/\/metrics\/\S+ ignores conditions of a put \(If-Match, If-None-Match\)/
          )
        }
      }
      const { message } = yield* open((operation, input) => {
        if (operation !== "PutObject" || input.IfNoneMatch === undefined) return
        throw Object.assign(
          new Error("A header you provided implies functionality that is not implemented"),
          {
            name: "NotImplemented"
          }
        )
      })
      assert.match(
        message,
        /_lease\.json cannot be written: http:\/\/\S+ does not support this request, or a condition/
      )
    }).pipe(Effect.scoped)
  )

  it.live("has manifests that writers at the same time compare and swap", () =>
    Effect.gen(function* () {
      const { store } = yield* newStore
      const manifests = bucketManifests(store)
      const increment = Effect.fnUntraced(function* (store: ManifestStore, name: string) {
        for (;;) {
          const found = Option.getOrUndefined(yield* store.load(name))
          const next = `${Number(found?.text.split(" ")[0] ?? 0) + 1} ${randomBytes(4).toString("hex")}`
          if (Option.isSome(yield* store.replace(name, found?.version, next))) return
        }
      })
      yield* Effect.all(
        Array.from({ length: 4 }, () =>
          Effect.forEach(["up", "other", "up", "other", "up"], (name) => increment(manifests, name))
        ),
        { concurrency: "unbounded" }
      )
      const count = (name: string) =>
        Effect.map(manifests.load(name), (found) => Number(Option.getOrThrow(found).text.split(" ")[0]))
      assert.deepStrictEqual([yield* count("up"), yield* count("other")], [12, 8])
      assert.deepStrictEqual((yield* manifests.names).toSorted(), ["other", "up"])
      assert.deepStrictEqual(yield* manifests.load("none"), Option.none())
      // There is nothing that could have this version.
      assert.deepStrictEqual(yield* manifests.replace("none", '"1"', "a"), Option.none())
    }).pipe(Effect.scoped)
  )

  it.live("sends and copies large objects in parts, and leaves none of those that fail", () =>
    Effect.gen(function* () {
      const { store, prefix } = yield* newStore
      const local = yield* temporaryFolder
      const bytes = randomBytes(12 * 1024 * 1024 + 5)
      const path = join(local, "large")
      writeFileSync(path, bytes)
      const key = "day=1/a b+ü%20"
      yield* store.upload(key, path)
      assert.isTrue(yield* store.copy(key, "copy", bytes.length))
      assert.isFalse(yield* store.copy("none", "copy", bytes.length))
      yield* store.download("copy", join(local, "copy"))
      assert.isTrue(readFileSync(join(local, "copy")).equals(bytes))
      assert.deepStrictEqual(yield* store.list("day="), [{ key, bytes: bytes.length }])
      const error = yield* Effect.flip(store.download("none", join(local, "none")))
      assert.match(error.message, new RegExp(`^s3://metrics/${prefix}/none cannot be read: `))
    }).pipe(
      Effect.provideService(S3Sizes, { partBytes: 5 * 1024 * 1024, copyBytes: 6 * 1024 * 1024 }),
      Effect.scoped
    )
  )

  it.live("aborts an upload that fails, and those of killed runs", () =>
    Effect.gen(function* () {
      const uploads: Array<string> = []
      let isAborted = true
      const { store } = yield* newStore.pipe(
        Effect.provide(
          withInputs((operation, { PartNumber }) => {
            uploads.push(operation)
            if (operation === "UploadPart" && PartNumber === 2) throw new Error("cut off")
            if (operation === "AbortMultipartUpload" && !isAborted) throw new Error("killed")
          })
        )
      )
      const path = join(yield* temporaryFolder, "large")
      writeFileSync(path, Buffer.alloc(6 * 1024 * 1024))
      const names = ["CreateMultipartUpload", "UploadPart", "UploadPart", "AbortMultipartUpload"]
      assert.match(
        (yield* Effect.flip(store.upload("a/1", path))).message,
        /a\/1 cannot be written: .*cut off/
      )
      assert.deepStrictEqual(uploads.splice(0), names)
      yield* store.abortUploads("a/")
      assert.deepStrictEqual(uploads.splice(0), ["ListMultipartUploads"])
      isAborted = false
      yield* Effect.flip(store.upload("a/1", path))
      isAborted = true
      uploads.length = 0
      yield* store.abortUploads("a/")
      assert.deepStrictEqual(uploads, [
        "ListMultipartUploads",
        "AbortMultipartUpload",
        "ListMultipartUploads"
      ])
      assert.deepStrictEqual(yield* store.list(""), [])
    }).pipe(Effect.provideService(S3Sizes, { partBytes: 5 * 1024 * 1024, copyBytes: 1e9 }), Effect.scoped)
  )

  it.live("keeps objects that it did not write, and refuses to replace a stream with some", () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      yield* use(folder, put("up", mode, 0))
      const foreign = join(filesOf(folder), "up", "day=2026-01-01", "mine.parquet")
      writeFileSync(foreign, "x")
      const error = yield* use(folder, Effect.flip(put("up", "full_refresh_overwrite", 1)))
      assert.match(error.message, /up\/day=2026-01-01\/mine\.parquet was not written by this program/)
      mkdirSync(join(filesOf(folder), "other", "day=2026-01-01"), { recursive: true })
      writeFileSync(join(filesOf(folder), "other", "day=2026-01-01", "part-00000001.parquet"), "x")
      const unknown = yield* use(folder, Effect.flip(put("other", mode, 1)))
      assert.match(unknown.message, /other has data, but there is no state s3:\/\/\S+other\.json/)
      assert.strictEqual(readFileSync(foreign, "utf8"), "x")
    }).pipe(Effect.scoped)
  )

  it.live("is read without any change, and is left empty by a run that writes nothing", () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      const requests: Array<string> = []
      const readOnly = layer({
        path: `s3://metrics${folder}`,
        source: "http://mock",
        labelColumns: true,
        readOnly: true
      }).pipe(Layer.provide(withInputs((operation) => requests.push(operation))))
      Object.assign(process.env, environmentOf(process.env[S3_ENDPOINT]!))
      const streams = Effect.map(Destination, ({ streams }) => [...streams().keys()])
      const read = streams.pipe(Effect.provide(readOnly), Effect.provide(NodeServices.layer))
      assert.deepStrictEqual(yield* read, [])
      assert.deepStrictEqual(yield* use(folder, streams), [])
      const { store } = yield* newStore
      assert.deepStrictEqual(yield* store.list(""), [])
      yield* use(folder, put("up", mode, 0))
      assert.deepStrictEqual(yield* read, ["up"])
      assert.isTrue(requests.every((name) => /^(List|Get)/.test(name)))
    }).pipe(Effect.scoped)
  )
})
