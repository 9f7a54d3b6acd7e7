/** The state that `read` receives and the states that it emits, rule by rule. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import * as rules from "./rules.ts"
import { assertRefused, catalogOf, dataOf, storyOf } from "./verbs.ts"

type Mode = "full_refresh" | "incremental"

const read = Effect.fnUntraced(function* (
  config: object,
  state?: unknown,
  mode: Mode = "incremental",
  ...names: ReadonlyArray<string>
) {
  const files = yield* connector.workspace
  const catalog = catalogOf(mode, ...(names.length === 0 ? ["m"] : names))
  return yield* rules.read(files, config, catalog, state)
})

/** A state of this connector, complete up to a minute. */
const upTo = (atMinute: number, more: object = {}) => ({
  time: iso(start + atMinute * minute),
  step: 60,
  version: 1,
  ...more
})

/** An entry of a state file. */
const entry = (stream_state: unknown, name = "m", more: object = {}) => ({
  type: "STREAM",
  stream: { stream_descriptor: { name }, stream_state },
  ...more
})

/** The minutes of the records of a read. */
const minutesOf = (output: connector.Output): ReadonlyArray<number> => {
  assert.strictEqual(output.code, 0)
  return output.records
    .map(({ data }) => (Date.parse(data.time as string) - start) / minute)
    .sort((a, b) => a - b)
}

const from = (first: number, last: number, step = 1): ReadonlyArray<number> =>
  Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => first + i * step)

const lastStateOf = (output: connector.Output) => output.states.at(-1)?.stream.stream_state

describe("a state file", { concurrent: true }, () => {
  const none = [
    { what: "is not given", state: undefined },
    { what: "is an empty list", state: [] },
    { what: "is an empty object", state: {} },
    { what: "is null", state: "null" },
    { what: "has null for the stream's state", state: [entry(null)] },
    { what: "has an empty state for the stream", state: [entry({})] },
    {
      what: "has a stream without a state",
      state: [{ type: "STREAM", stream: { stream_descriptor: { name: "m" } } }]
    },
    { what: "says that there is no cursor", state: [entry({ __ab_no_cursor_state_message: true })] },
    // Their contents do not matter.
    { what: "has states of other streams only", state: [entry(upTo(3), "n"), entry({ cursor: 1 }, "o")] }
  ]
  it.live.each(none)("means no state if it $what", ({ state }) =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      assert.deepStrictEqual(minutesOf(yield* read(config, state)), from(0, 5))
    })
  )

  it.live("may have nulls and unknown keys everywhere", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      const state = [
        {
          type: "STREAM",
          stream: {
            stream_descriptor: { name: "m", namespace: null, from_the_future: 1 },
            stream_state: { ...upTo(2), full_refresh: null, generation_id: null, from_the_future: "x" },
            from_the_future: []
          },
          global: null,
          data: null,
          sourceStats: { recordCount: 3, additionalStats: null },
          destinationStats: null,
          id: 5
        },
        entry(null, "n", { global: null })
      ]
      assert.deepStrictEqual(minutesOf(yield* read(config, state)), from(3, 5))
    })
  )

  const refused = [
    { what: "of type LEGACY", state: [{ type: "LEGACY", data: { m: upTo(1) } }], text: /entry \(number 1\)/ },
    {
      what: "of type GLOBAL",
      state: [
        entry(upTo(1)),
        { type: "GLOBAL", global: { shared_state: {}, stream_states: [entry(upTo(1)).stream] } }
      ],
      text: /entry \(number 2\)/
    },
    { what: "without a type", state: [{ stream: entry(upTo(1)).stream }], text: /entry \(number 1\)/ },
    {
      what: "without a name",
      state: [{ type: "STREAM", stream: { stream_state: upTo(1) } }],
      text: /entry \(number 1\)/
    },
    { what: "by stream name, the legacy format", state: { m: upTo(1) }, text: /is not a list of states/ }
  ]
  it.live.each(refused)("is rejected with states $what", ({ state, text }) =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(gauge("m", 6), 6)
      const output = yield* read(config, state)
      assertRefused(
        output,
        "config_error",
        /^The state file .*state\.json /,
        text,
        /Expected a list of states of type STREAM.*clear the state to start again/
      )
      assert.isEmpty(mock.requests)
    })
  )

  it.live("is rejected if it is not JSON", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      assertRefused(yield* read(config, "[{"), "config_error", /^The state file .*state\.json is not JSON/)
      assertRefused(yield* read(config, ""), "config_error", /state\.json is not JSON: it is empty/)
    })
  )
})

describe("a state", { concurrent: true }, () => {
  const damaged = [
    { what: "of another version", state: { ...upTo(3), version: 2 }, where: /version/ },
    { what: "without a time", state: { step: 60, version: 1 }, where: /time/ },
    { what: "with null as its time", state: { ...upTo(3), time: null }, where: /time/ },
    { what: "with an invalid time", state: { ...upTo(3), time: "yesterday" }, where: /time/ },
    {
      what: "with a day that does not exist",
      state: { ...upTo(3), time: "2026-02-30T00:00:00Z" },
      where: /time/
    },
    { what: "with a step of zero", state: { ...upTo(3), step: 0 }, where: /step/ },
    { what: "of another connector", state: { cursor: 17 }, where: /"cursor":17/ }
  ]
  it.live.each(damaged)("$what is rejected, and nothing is read", ({ state, where }) =>
    Effect.gen(function* () {
      // The other stream's state is valid, but that stream does not start either: a sync must not be partial.
      const { config, mock } = yield* serve([...gauge("a", 6), ...gauge("m", 6)], 6)
      const output = yield* read(config, [entry(upTo(3), "a"), entry(state)], "incremental", "a", "m")
      assertRefused(
        output,
        "config_error",
        /^The saved state of the stream m is not one of this connector/,
        where,
        /Restore the state from the last sync, or clear the stream's state to read it from start_date again/
      )
      assert.isEmpty(mock.requests)
    })
  )

  it.live("at the end of a read yields the same state and no records, until there is new data", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 300, 2), 200)
      const first = yield* read(config)
      assert.deepStrictEqual(lastStateOf(first), upTo(199))
      const again = yield* read(config, first.states)
      assert.deepStrictEqual(again.records, [])
      assert.strictEqual(storyOf(again, "m"), "STARTED RUNNING STATE COMPLETE")
      assert.deepStrictEqual(lastStateOf(again), upTo(199))
      const more = yield* read({ ...config, end_date: iso(start + 299 * minute) }, again.states)
      assert.deepStrictEqual(lastStateOf(more), upTo(299))
      const complete = yield* read({ ...config, end_date: iso(start + 299 * minute) })
      assert.deepStrictEqual([...dataOf(first), ...dataOf(more)].sort(), dataOf(complete))
    })
  )

  const ahead = [
    { what: "far in the future", state: { ...upTo(0), time: "2126-01-01T00:00:00Z" }, more: {} },
    { what: "after the configured end", state: upTo(5_000), more: {} },
    {
      what: "far in the future, with a look-back window",
      state: { ...upTo(0), time: "2126-01-01T00:00:00Z" },
      more: { lookback_window: 3600 }
    },
    {
      what: "later than now by the server's clock",
      state: { ...upTo(0), time: "2126-01-01T00:00:00Z" },
      more: { end_date: null, step: 86_400 }
    }
  ]
  it.live.each(ahead)("$what yields no records, and is emitted unchanged", ({ more, state }) =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      const output = yield* read({ ...config, ...more }, [entry(state)])
      assert.deepStrictEqual(minutesOf(output), [])
      assert.isNotEmpty(output.states)
      for (const { stream } of output.states) assert.deepStrictEqual(stream.stream_state, state)
    })
  )

  it.live("does not move backwards when the look-back window is read again", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 300), 250, {}, { lookback_window: 200 * 60 })
      const output = yield* read(config, [entry(upTo(240))])
      assert.deepStrictEqual(minutesOf(output), from(41, 249))
      const times = output.states.map(({ stream }) => stream.stream_state.time as string)
      assert.isAbove(times.length, 1)
      for (const time of times) assert.isAtLeast(Date.parse(time), start + 240 * minute)
      assert.deepStrictEqual(times, [...times].sort())
      assert.deepStrictEqual(lastStateOf(output), upTo(249))
    })
  )

  it.live("of another step is resumed from, on the grid of the new step", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 30), 30)
      const coarser = yield* read({ ...config, step: 300 }, [entry(upTo(7))])
      assert.deepStrictEqual(minutesOf(coarser), from(10, 25, 5))
      assert.deepStrictEqual(lastStateOf(coarser), upTo(25, { step: 300 }))
      const finer = yield* read(config, coarser.states)
      assert.deepStrictEqual(minutesOf(finer), from(26, 29))
      assert.deepStrictEqual(lastStateOf(finer), upTo(29))
    })
  )

  it.live("before the configured start does not move the start", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      const output = yield* read({ ...config, start_date: iso(start + 3 * minute) }, [entry(upTo(0))])
      assert.deepStrictEqual(minutesOf(output), from(3, 5))
    })
  )

  it.live("applies to its own stream only", () =>
    Effect.gen(function* () {
      const { config } = yield* serve([...gauge("a", 6), ...gauge("b", 6), ...gauge("c", 6)], 6)
      const output = yield* read(
        config,
        [entry(upTo(4), "b"), entry(upTo(1), "a")],
        "incremental",
        "a",
        "b",
        "c"
      )
      const counts = ["a", "b", "c"].map(
        (name) => output.records.filter(({ stream }) => stream === name).length
      )
      assert.deepStrictEqual([output.code, counts], [0, [4, 1, 6]])
    })
  )
})

describe("a full refresh", { concurrent: true }, () => {
  /** Runs a full refresh with a generation number, as the platform assigns it. */
  const refresh = Effect.fnUntraced(function* (config: object, generation_id: number, state?: unknown) {
    const files = yield* connector.workspace
    const { streams } = catalogOf("full_refresh", "m")
    const catalog = { streams: streams.map((stream) => ({ ...stream, generation_id })) }
    return yield* rules.read(files, config, catalog, state)
  })

  const again = [
    { what: "a completed refresh", state: { __ab_full_refresh_sync_complete: true } },
    { what: "a refresh without a cursor", state: { __ab_no_cursor_state_message: true } },
    { what: "an incremental sync", state: upTo(3) },
    { what: "another refresh", state: upTo(3, { full_refresh: true, generation_id: 4 }) },
    { what: "a refresh without a generation number", state: upTo(3, { full_refresh: true }) },
    {
      what: "a refresh with another step",
      state: upTo(3, { full_refresh: true, generation_id: 5, step: 30 })
    }
  ]
  it.live.each(again)("starts from the beginning with the state of $what", ({ state }) =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      const output = yield* refresh(config, 5, [entry(state)])
      assert.deepStrictEqual(minutesOf(output), from(0, 5))
      assert.deepStrictEqual(lastStateOf(output), { __ab_full_refresh_sync_complete: true })
    })
  )

  it.live("resumes from its own state", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      const output = yield* refresh(config, 5, [entry(upTo(3, { full_refresh: true, generation_id: 5 }))])
      assert.deepStrictEqual(minutesOf(output), from(4, 5))
    })
  )

  // The state covers a part of a table that may not exist in the next incremental sync.
  it.live("leaves no state that an incremental sync resumes from", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      for (const state of [upTo(3, { full_refresh: true }), { __ab_full_refresh_sync_complete: true }]) {
        assert.deepStrictEqual(minutesOf(yield* read(config, [entry(state)])), from(0, 5))
      }
    })
  )

  it.live("with the final state of an earlier refresh has the same records", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 6), 6)
      const first = yield* read(config, undefined, "full_refresh")
      const second = yield* read(config, first.states.slice(-1), "full_refresh")
      assert.deepStrictEqual([second.code, dataOf(second)], [0, dataOf(first)])
    })
  )
})
