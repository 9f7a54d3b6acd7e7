import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { ConfigError } from "../../src/config/ConnectorConfig.ts"
import { decodeState, StateReader, StateStore, StateStoreError } from "../../src/sync/StateStore.ts"
import { StreamState } from "../../src/sync/StreamState.ts"

const state = (time: string) => new StreamState({ time, step: 60, version: 1 })

const saved = { time: "2026-01-01T00:00:00Z", step: 60, version: 1 }

describe("StateStore.layerMemory", () => {
  it.effect("is empty at first", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      assert.deepStrictEqual(yield* store.load("up"), Option.none())
    }).pipe(Effect.provide(StateStore.layerMemory()))
  )

  it.effect("starts with the given states", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      assert.deepStrictEqual(yield* store.load("up"), Option.some(new StreamState({ ...saved, version: 1 })))
      assert.deepStrictEqual(yield* store.load("Up"), Option.none())
      assert.deepStrictEqual(yield* store.load("toString"), Option.none())
    }).pipe(Effect.provide(StateStore.layerMemory([["up", saved]])))
  )

  it.effect("keeps the last state of each stream", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      yield* store.save({ stream: "a", state: state("2026-01-01T00:00:00Z"), recordCount: 1 })
      yield* store.save({ stream: "b", state: state("2026-01-02T00:00:00Z"), recordCount: 2 })
      yield* store.save({ stream: "a", state: state("2026-01-03T00:00:00Z"), recordCount: 0 })
      const [a, b] = [Option.getOrThrow(yield* store.load("a")), Option.getOrThrow(yield* store.load("b"))]
      assert.strictEqual(a.time, "2026-01-03T00:00:00Z")
      assert.strictEqual(b.time, "2026-01-02T00:00:00Z")
      assert.strictEqual(b.timeMillis, Date.UTC(2026, 0, 2))
    }).pipe(Effect.provide(StateStore.layerMemory()))
  )

  it.effect(
    "keeps 100,000 streams in linear time",
    () =>
      Effect.gen(function* () {
        const store = yield* StateStore
        for (let i = 0; i < 100_000; i++)
          yield* store.save({ stream: `s${i}`, state: state("2026-01-01T00:00:00Z"), recordCount: 1 })
        assert.isTrue(Option.isSome(yield* store.load("s99999")))
      }).pipe(Effect.provide(StateStore.layerMemory())),
    60_000
  )

  it.effect("keeps the markers of a full refresh", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      const refresh = new StreamState({ ...saved, version: 1, full_refresh: true, generation_id: 7 })
      yield* store.save({ stream: "up", state: refresh, recordCount: 1 })
      assert.deepStrictEqual(yield* store.load("up"), Option.some(refresh))
    }).pipe(Effect.provide(StateStore.layerMemory()))
  )

  it.effect("refuses a damaged state, for that stream only", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      const error = yield* Effect.flip(store.load("bad"))
      assert.instanceOf(error, ConfigError)
      assert.include(error.message, "stream bad")
      assert.isTrue(Option.isSome(yield* store.load("up")))
    }).pipe(
      Effect.provide(
        StateStore.layerMemory([
          ["up", saved],
          ["bad", { cursor: 1 }]
        ])
      )
    )
  )

  it.effect("replaces a damaged state with a new one", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      yield* store.save({ stream: "bad", state: state("2026-01-01T00:00:00Z"), recordCount: 0 })
      assert.isTrue(Option.isSome(yield* store.load("bad")))
    }).pipe(Effect.provide(StateStore.layerMemory([["bad", "damaged"]])))
  )
})

describe("decodeState", () => {
  it.effect("never treats a damaged state as missing", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* decodeState("up", undefined), Option.none())
      assert.isTrue(Option.isSome(yield* decodeState("up", saved)))
      for (const damaged of [null, {}]) {
        assert.include((yield* Effect.flip(decodeState("up", damaged))).message, "stream up ")
      }
    })
  )
})

describe("StateReader", () => {
  const load = (stream: string) => Effect.flatMap(StateReader, (reader) => reader.load(stream))

  it.effect("reads JSON from a program's own storage", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* load("a"), Option.some(new StreamState({ ...saved, version: 1 })))
      assert.deepStrictEqual(yield* load("b"), Option.none())
    }).pipe(
      Effect.provide(StateReader.layerJson((stream) => Effect.succeed(stream === "a" ? saved : undefined)))
    )
  )

  it.effect("is provided by every store, and sees what the store saves", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      yield* store.save({ stream: "up", state: state("2026-01-05T00:00:00Z"), recordCount: 0 })
      assert.deepStrictEqual(yield* load("up"), Option.some(state("2026-01-05T00:00:00Z")))
    }).pipe(Effect.provide(StateStore.layerMemory()))
  )
})

describe("StateStore.layerJson", () => {
  it.effect("keeps states as JSON, and reads them again", () =>
    Effect.gen(function* () {
      const kept = new Map<string, string>()
      const layer = StateStore.layerJson({
        load: (stream) =>
          Effect.sync(() => {
            const text = kept.get(stream)
            return text === undefined ? undefined : JSON.parse(text)
          }),
        save: (stream, state, recordCount) =>
          Effect.sync(() => {
            assert.strictEqual(recordCount, 5)
            kept.set(stream, JSON.stringify(state))
          })
      })
      yield* Effect.gen(function* () {
        const store = yield* StateStore
        assert.deepStrictEqual(yield* store.load("up"), Option.none())
        yield* store.save({ stream: "up", state: state("2026-01-03T00:00:00Z"), recordCount: 5 })
      }).pipe(Effect.provide(layer))
      assert.deepStrictEqual([...kept], [["up", '{"time":"2026-01-03T00:00:00Z","step":60,"version":1}']])
      yield* Effect.gen(function* () {
        const store = yield* StateStore
        assert.deepStrictEqual(yield* store.load("up"), Option.some(state("2026-01-03T00:00:00Z")))
        kept.set("up", '{"time":"yesterday"}')
        assert.include((yield* Effect.flip(store.load("up"))).message, "stream up")
      }).pipe(Effect.provide(layer))
    })
  )

  it.effect("fails with a readable error if a state cannot be saved", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      const error = yield* Effect.flip(
        store.save({ stream: "up", state: state("2026-01-03T00:00:00Z"), recordCount: 5 })
      )
      assert.instanceOf(error, StateStoreError)
      assert.strictEqual(
        error.message,
        "The state of the stream up (up to 2026-01-03T00:00:00Z) could not be saved: The table is locked. The next sync reads again what came after the last saved state."
      )
    }).pipe(
      Effect.provide(
        StateStore.layerJson({
          load: () => Effect.undefined,
          save: () => Effect.fail(new Error("The table is locked."))
        })
      )
    )
  )
})
