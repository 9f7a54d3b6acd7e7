import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as AirbyteState from "../../src/airbyte/AirbyteState.ts"
import { Output } from "../../src/airbyte/Output.ts"
import { StateStore } from "../../src/sync/StateStore.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import { makeCollector } from "./collector.ts"
import { inputFile } from "./inputFile.ts"

const good = { time: "2026-01-01T00:00:00Z", step: 60, version: 1 }

const entry = (stream_state: unknown, more: object = {}, name = "m") => ({
  type: "STREAM",
  stream: { stream_descriptor: { name }, stream_state },
  ...more
})

/** The time of a stream in the state file. */
const load = (content: unknown, stream = "m") =>
  Effect.gen(function* () {
    const path = content === undefined ? Option.none() : Option.some(yield* inputFile(content))
    const loading = Effect.flatMap(StateStore, (store) => store.load(stream))
    const state = yield* Effect.provide(loading, AirbyteState.layer(path)).pipe(
      Effect.provide(makeCollector().layer),
      Effect.provide(NodeServices.layer)
    )
    return Option.getOrUndefined(state)
  })

describe("a state file", () => {
  const none: ReadonlyArray<readonly [what: string, content: unknown]> = [
    ["is not given", undefined],
    ["is an empty list", []],
    ["is an empty object", {}],
    ["is null", "null"],
    ["has null as the state", [entry(null)]],
    ["has no state", [{ type: "STREAM", stream: { stream_descriptor: { name: "m" } } }]],
    ["has an empty state", [entry({})]],
    ["says that the refresh is complete", [entry({ __ab_full_refresh_sync_complete: true })]],
    ["says that there is no cursor", [entry({ __ab_no_cursor_state_message: true })]],
    ["has another stream", [entry(good, {}, "other")]]
  ]
  for (const [what, content] of none) {
    it.effect(`means no state if it ${what}`, () =>
      Effect.gen(function* () {
        assert.isUndefined(yield* load(content))
      })
    )
  }

  it.effect("refuses a state with null members as damaged", () =>
    Effect.gen(function* () {
      for (const state of [{ time: null }, { time: null, step: null, version: null }]) {
        const error = yield* Effect.flip(load([entry(state)]))
        assert.strictEqual(error._tag, "ConfigError")
      }
    })
  )

  it.effect("accepts null for optional members", () =>
    Effect.gen(function* () {
      const state = yield* load([entry({ ...good, full_refresh: null, generation_id: null, more: null })])
      assert.strictEqual(state?.time, good.time)
    })
  )

  it.effect("returns the state of each stream, whatever else the file contains", () =>
    Effect.gen(function* () {
      const content = [
        entry({ ...good, time: "2025-01-01T00:00:00Z" }, {}, "a"),
        {
          type: "STREAM",
          stream: {
            stream_descriptor: { name: "m", namespace: null, other: 1 },
            stream_state: { ...good, extra: "ignored" },
            more: []
          },
          global: null,
          data: null,
          sourceStats: { recordCount: 3 },
          destinationStats: null,
          id: 5
        }
      ]
      assert.deepStrictEqual<unknown>({ ...(yield* load(content)) }, good)
      assert.strictEqual((yield* load(content, "a"))?.time, "2025-01-01T00:00:00Z")
      assert.isUndefined(yield* load(content, "b"))
    })
  )

  it.effect("uses the last entry of a stream", () =>
    Effect.gen(function* () {
      const content = [entry({ ...good, time: "2025-01-01T00:00:00Z" }), entry(good)]
      assert.strictEqual((yield* load(content))?.time, good.time)
      assert.isUndefined(yield* load([...content, entry({ __ab_full_refresh_sync_complete: true })]))
    })
  )

  it.effect("returns the checkpoint of a refresh", () =>
    Effect.gen(function* () {
      const checkpoint = { ...good, full_refresh: true, generation_id: 4 }
      assert.deepStrictEqual<unknown>({ ...(yield* load([entry(checkpoint)])) }, checkpoint)
    })
  )

  it.effect("handles streams named like members of Object.prototype", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* load([entry(good, {}, "__proto__")], "__proto__"))?.time, good.time)
      assert.isUndefined(yield* load([entry(good)], "constructor"))
    })
  )

  const refused: ReadonlyArray<readonly [what: string, content: unknown]> = [
    ["a state of type LEGACY", [{ type: "LEGACY", data: { m: good } }]],
    ["a state without type", [{ stream: { stream_descriptor: { name: "m" }, stream_state: good } }]],
    ["a state of type GLOBAL", [{ type: "GLOBAL", global: {} }]],
    ["an object of states", { m: good }],
    ["a string", '"state"'],
    ["a number", "5"],
    ["an entry without a name", [{ type: "STREAM", stream: { stream_descriptor: {}, stream_state: good } }]],
    ["a state that is a list", [entry([1])]],
    ["an entry that is null", [null]]
  ]
  for (const [what, content] of refused) {
    it.effect(`is refused with ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(load(content))
        assert.strictEqual(error._tag, "ConfigError")
        assert.match(error.message, /The state file .*input\.json/)
        assert.match(error.message, /clear the state/)
      })
    )
  }

  it.effect("is refused if a state is damaged, instead of restarting", () =>
    Effect.gen(function* () {
      for (const state of [
        { ...good, version: 2 },
        { ...good, time: "soon" },
        { ...good, time: "2026-01-01" },
        { ...good, step: 0 },
        { ...good, step: "60" },
        { cursor: 1 },
        { __ab_full_refresh_sync_complete: false }
      ]) {
        const error = yield* Effect.flip(load([entry(state)]))
        assert.strictEqual(error._tag, "ConfigError", JSON.stringify(state))
        assert.match(error.message, /stream m/)
      }
    })
  )

  it.effect("is an error if it is missing or not JSON", () =>
    Effect.gen(function* () {
      const broken = yield* Effect.flip(load("[{"))
      assert.strictEqual(broken._tag, "InputFileError")
      assert.match(broken.message, /state file .* is not JSON/)
    })
  )
})

describe("saving a state", () => {
  it.effect("writes a message that a platform passes to the next sync", () =>
    Effect.gen(function* () {
      const collector = makeCollector()
      yield* Effect.gen(function* () {
        const store = yield* StateStore
        yield* store.save({
          stream: "m",
          state: new StreamState({ time: good.time, step: 60, version: 1 }),
          recordCount: 42
        })
        yield* Effect.flatMap(Output, (output) => output.flush)
      }).pipe(
        Effect.provide(AirbyteState.layer(Option.none())),
        Effect.provide(collector.layer),
        Effect.provide(NodeServices.layer)
      )
      const [message] = collector.messages()
      assert.deepStrictEqual(message, {
        type: "STATE",
        state: {
          type: "STREAM",
          stream: { stream_descriptor: { name: "m" }, stream_state: good },
          sourceStats: { recordCount: 42 }
        }
      })
      assert.deepStrictEqual<unknown>({ ...(yield* load([message?.state])) }, good)
    })
  )
})
