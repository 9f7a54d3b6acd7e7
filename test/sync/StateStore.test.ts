import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { ConfigError } from "../../src/config/ConnectorConfig.ts"
import { decodeFrom, StateStore } from "../../src/sync/StateStore.ts"
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

  it.effect("starts with the states given", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      assert.deepStrictEqual(yield* store.load("up"), Option.some(new StreamState({ ...saved, version: 1 })))
      assert.deepStrictEqual(yield* store.load("Up"), Option.none())
      assert.deepStrictEqual(yield* store.load("toString"), Option.none())
    }).pipe(Effect.provide(StateStore.layerMemory([["up", saved]])))
  )

  it.effect("remembers the last state of each stream", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      yield* store.save("a", state("2026-01-01T00:00:00Z"), 1)
      yield* store.save("b", state("2026-01-02T00:00:00Z"), 2)
      yield* store.save("a", state("2026-01-03T00:00:00Z"), 0)
      const [a, b] = [Option.getOrThrow(yield* store.load("a")), Option.getOrThrow(yield* store.load("b"))]
      assert.strictEqual(a.time, "2026-01-03T00:00:00Z")
      assert.strictEqual(b.time, "2026-01-02T00:00:00Z")
      assert.strictEqual(b.timeMillis, Date.UTC(2026, 0, 2))
    }).pipe(Effect.provide(StateStore.layerMemory()))
  )

  it.effect(
    "remembers 100,000 streams in time that grows with their number alone",
    () =>
      Effect.gen(function* () {
        const store = yield* StateStore
        for (let i = 0; i < 100_000; i++) yield* store.save(`s${i}`, state("2026-01-01T00:00:00Z"), 1)
        assert.isTrue(Option.isSome(yield* store.load("s99999")))
      }).pipe(Effect.provide(StateStore.layerMemory())),
    60_000
  )

  it.effect("keeps the marks of a full refresh", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      const refresh = new StreamState({ ...saved, version: 1, full_refresh: true, generation_id: 7 })
      yield* store.save("up", refresh, 1)
      assert.deepStrictEqual(yield* store.load("up"), Option.some(refresh))
    }).pipe(Effect.provide(StateStore.layerMemory()))
  )

  it.effect("refuses damaged state, of that stream alone", () =>
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

  it.effect("can be mended by a new state", () =>
    Effect.gen(function* () {
      const store = yield* StateStore
      yield* store.save("bad", state("2026-01-01T00:00:00Z"), 0)
      assert.isTrue(Option.isSome(yield* store.load("bad")))
    }).pipe(Effect.provide(StateStore.layerMemory([["bad", "damaged"]])))
  )
})

describe("decodeFrom", () => {
  it.effect("never reads damaged state as none", () =>
    Effect.gen(function* () {
      const states = new Map<string, unknown>([
        ["null", null],
        ["empty", {}],
        ["good", saved]
      ])
      assert.deepStrictEqual(yield* decodeFrom(states, "other"), Option.none())
      assert.isTrue(Option.isSome(yield* decodeFrom(states, "good")))
      for (const stream of ["null", "empty"]) {
        assert.include((yield* Effect.flip(decodeFrom(states, stream))).message, `stream ${stream} `)
      }
    })
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
        yield* store.save("up", state("2026-01-03T00:00:00Z"), 5)
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
})
