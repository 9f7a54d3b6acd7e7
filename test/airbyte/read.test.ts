/** The command `read` in-process: the events of a read as messages. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Option } from "effect"
import { TestClock } from "effect/testing"
import * as AirbyteState from "../../src/airbyte/AirbyteState.ts"
import type { ConfiguredStream } from "../../src/airbyte/Catalog.ts"
import { Output } from "../../src/airbyte/Output.ts"
import { read } from "../../src/airbyte/read.ts"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type MockSeries, makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { type StateReader, StateStore } from "../../src/sync/StateStore.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { type Message, makeCollector } from "./collector.ts"
import { inputFile } from "./inputFile.ts"

interface Setting {
  readonly series: ReadonlyArray<MockSeries>
  readonly points: number
  readonly config?: object
  readonly mock?: MockOptions
  /** Collects the messages of a read that fails. */
  readonly printed?: Array<Message>
  /** The `state` of STATE messages of an earlier read. */
  readonly states?: ReadonlyArray<unknown>
  /** Replaces the store that writes STATE messages. */
  readonly store?: Layer.Layer<StateStore | StateReader>
}

const configured = (name: string, more: Partial<ConfiguredStream> = {}): ConfiguredStream => ({
  name,
  mode: "incremental",
  generationId: undefined,
  properties: [],
  discoveredLabels: undefined,
  ...more
})

/** Runs a read. Returns its messages, and whether all streams were read. */
const readAll = Effect.fnUntraced(function* (streams: ReadonlyArray<ConfiguredStream>, setting: Setting) {
  yield* TestClock.setTime(start + setting.points * minute)
  const mock = new MockPrometheus(makeDatabase(setting.series), {
    lookbackMillis: 1000,
    version: "3.0.0",
    ...setting.mock
  })
  const config = ConnectorConfig.layerFrom({
    base_url: "http://mock",
    start_date: iso(start),
    step: 60,
    ...setting.config
  })
  const collector = makeCollector()
  const statePath =
    setting.states === undefined ? Option.none() : Option.some(yield* inputFile(setting.states))
  const verb = Effect.gen(function* () {
    const result = yield* read(streams)
    yield* Effect.flatMap(Output, (output) => output.flush)
    return result
  }).pipe(
    Effect.provide(
      Layer.merge(
        Layer.provideMerge(MockHttpClient.layerClient(mock), config),
        setting.store ?? AirbyteState.layer(statePath)
      )
    ),
    Effect.provide(collector.layer),
    Effect.provide(NodeServices.layer),
    Effect.provide(Logger.layer([]))
  )
  const fiber = yield* Effect.forkChild(verb)
  // File reads do not use the test clock, so a turn of the event loop may pass with nothing waiting on the clock.
  while (fiber.pollUnsafe() === undefined) {
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    yield* TestClock.adjust(1000)
  }
  setting.printed?.push(...collector.messages())
  return { ok: yield* Fiber.join(fiber), messages: collector.messages() }
})

interface Trace {
  readonly type: string
  readonly emitted_at: number
  readonly error?: {
    readonly message: string
    readonly failure_type: string
    readonly stream_descriptor?: { readonly name: string }
  }
  readonly stream_status?: { readonly stream_descriptor: { readonly name: string }; readonly status: string }
}

interface State {
  readonly stream: {
    readonly stream_descriptor: { readonly name: string }
    readonly stream_state: Readonly<Record<string, unknown>>
  }
  readonly sourceStats: { readonly recordCount: number }
}

interface RecordMessage {
  readonly stream: string
  readonly emitted_at: number
  readonly data: Readonly<Record<string, unknown>>
}

const payloads = <A>(messages: ReadonlyArray<Message>, type: string): ReadonlyArray<A> =>
  messages.filter((message) => message.type === type).map((message) => message[type.toLowerCase()] as A)

const records = (messages: ReadonlyArray<Message>) => payloads<RecordMessage>(messages, "RECORD")
/** All records, sorted. */
const dataOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  records(messages)
    .map(({ data }) => JSON.stringify(data))
    .sort()
const states = (messages: ReadonlyArray<Message>) => payloads<State>(messages, "STATE")
const traces = (messages: ReadonlyArray<Message>) => payloads<Trace>(messages, "TRACE")
const errors = (messages: ReadonlyArray<Message>) =>
  traces(messages).flatMap(({ error }) => (error === undefined ? [] : [error]))

/** The messages about a stream, with consecutive records as one. */
const story = (messages: ReadonlyArray<Message>, name: string): string => {
  const words = messages.flatMap((message) => {
    const record = message.record as RecordMessage | undefined
    if (record?.stream === name) return ["records"]
    const state = message.state as State | undefined
    if (state?.stream.stream_descriptor.name === name) return ["STATE"]
    const trace = message.trace as Trace | undefined
    if (trace?.stream_status?.stream_descriptor.name === name) return [trace.stream_status.status]
    return trace?.error?.stream_descriptor?.name === name ? ["ERROR"] : []
  })
  return words.filter((word, i) => word !== "records" || words[i - 1] !== "records").join(" ")
}

it.effect("a state that cannot be saved ends the read with a system error, without a COMPLETE", () =>
  Effect.gen(function* () {
    const store = StateStore.layerJson({
      load: () => Effect.undefined,
      save: () => Effect.fail(new Error("the table is locked"))
    })
    const { messages, ok } = yield* readAll([configured("m")], { series: gauge("m", 10), points: 10, store })
    assert.isFalse(ok)
    const error = traces(messages).find(({ type }) => type === "ERROR")?.error
    assert.strictEqual(error?.failure_type, "system_error")
    assert.match(
      error?.message ?? "",
      /^The state of the stream m .* could not be saved: the table is locked\. /
    )
    assert.notInclude(JSON.stringify(messages), '"COMPLETE"')
  })
)

describe("read", () => {
  it.effect("reports a stream from STARTED to COMPLETE, with a state after each window", () =>
    Effect.gen(function* () {
      const { messages, ok } = yield* readAll([configured("m")], { series: gauge("m", 300, 2), points: 300 })
      assert.isTrue(ok)
      assert.match(story(messages, "m"), /^STARTED RUNNING( records STATE){2,} COMPLETE$/)
      assert.strictEqual(records(messages).length, 600)
      // Each state counts the records since the previous one.
      let count = 0
      for (const message of messages) {
        if (message.type === "RECORD") count++
        if (message.type !== "STATE") continue
        assert.strictEqual((message.state as State).sourceStats.recordCount, count)
        count = 0
      }
      assert.deepStrictEqual(states(messages).at(-1)?.stream.stream_state, {
        time: iso(start + 299 * minute),
        step: 60,
        version: 1
      })
    })
  )

  it.effect("emits a state for a stream without records", () =>
    Effect.gen(function* () {
      const { messages, ok } = yield* readAll([configured("gone")], { series: [], points: 10 })
      assert.isTrue(ok)
      assert.strictEqual(story(messages, "gone"), "STARTED RUNNING STATE COMPLETE")
      assert.strictEqual(states(messages)[0]?.sourceStats.recordCount, 0)
    })
  )

  it.effect("stamps records and traces with the current time", () =>
    Effect.gen(function* () {
      const { messages } = yield* readAll([configured("m")], { series: gauge("m", 5), points: 5 })
      const now = start + 5 * minute
      for (const { emitted_at } of [...records(messages), ...traces(messages)]) {
        assert.isAtLeast(emitted_at, now)
        assert.isAtMost(emitted_at, now + minute)
      }
    })
  )

  it.effect("resumes from every state that it wrote", () =>
    Effect.gen(function* () {
      const setting = { series: gauge("m", 2000, 3), points: 2000 }
      const complete = yield* readAll([configured("m")], setting)
      assert.isAbove(states(complete.messages).length, 2)
      for (const state of states(complete.messages)) {
        const rest = yield* readAll([configured("m")], { ...setting, states: [state] })
        const until = state.stream.stream_state.time as string
        assert.deepStrictEqual(
          dataOf(rest.messages),
          dataOf(complete.messages).filter((line) => (JSON.parse(line) as { time: string }).time > until)
        )
      }
    })
  )

  it.effect("ends a full refresh with its final state, from which the next one starts again", () =>
    Effect.gen(function* () {
      const stream = configured("m", { mode: "full_refresh", generationId: 3 })
      const setting = { series: gauge("m", 100), points: 100 }
      const first = yield* readAll([stream], setting)
      assert.match(story(first.messages, "m"), /^STARTED RUNNING( records STATE)+ STATE COMPLETE$/)
      const last = states(first.messages).at(-1)
      assert.deepStrictEqual(last?.stream.stream_state, { __ab_full_refresh_sync_complete: true })
      assert.strictEqual(last?.sourceStats.recordCount, 0)
      const again = yield* readAll([stream], { ...setting, states: [last] })
      assert.strictEqual(records(again.messages).length, 100)
      const middle = states(first.messages)[0]
      const resumed = yield* readAll([stream], { ...setting, states: [middle] })
      assert.isBelow(records(resumed.messages).length, 100)
      const other = configured("m", { mode: "full_refresh", generationId: 4 })
      const restarted = yield* readAll([other], { ...setting, states: [middle] })
      assert.strictEqual(records(restarted.messages).length, 100)
    })
  )

  it.effect("writes the columns of the catalog and no others", () =>
    Effect.gen(function* () {
      const series = [makeSeries({ __name__: "m", job: "api", zone: "a" }, [[start, Number.NaN]])]
      const base = ["time", "value", "series_id", "special_value"]
      const dataOf = Effect.fnUntraced(function* (properties: ReadonlyArray<string>, config = {}) {
        const { messages } = yield* readAll([configured("m", { properties })], { series, points: 1, config })
        const { series_id, ...data } = records(messages)[0]!.data
        assert.match(series_id as string, /^[0-9a-f]{32}$/)
        return data
      })
      const common = { time: iso(start), value: null, special_value: "NaN" }
      const complete = { ...common, job: "api", zone: "a" }
      assert.deepStrictEqual(yield* dataOf([...base, "job", "zone", "other_labels"]), complete)
      assert.deepStrictEqual(yield* dataOf([...base, "job", "other_labels"]), {
        ...common,
        job: "api",
        other_labels: { zone: "a" }
      })
      assert.deepStrictEqual(yield* dataOf([...base, "labels"]), {
        ...common,
        labels: { job: "api", zone: "a" }
      })
      assert.deepStrictEqual(yield* dataOf([]), complete)
      assert.deepStrictEqual(yield* dataOf([], { label_columns: false }), {
        ...common,
        labels: { job: "api", zone: "a" }
      })
    })
  )

  it.effect("escapes stream names in JSON", () =>
    Effect.gen(function* () {
      const name = 'é"\\😀'
      const { messages } = yield* readAll([configured(name)], { series: gauge(name, 3), points: 3 })
      assert.strictEqual(records(messages).length, 3)
      assert.strictEqual(story(messages, name), "STARTED RUNNING records STATE COMPLETE")
    })
  )

  const refusing = (metric: string, status: number): MockOptions => ({
    faults: ({ params, path }) =>
      path === "/api/v1/query_range" &&
      params.get("query")?.includes(metric) === true &&
      Number(params.get("start")) * 1000 > start
        ? { status, headers: { "content-type": "application/json" }, body: '{"status":"error","error":"no"}' }
        : undefined
  })

  it.effect("reports a stream that fails, continues with the others, and names it at the end", () =>
    Effect.gen(function* () {
      const names = ["a", "b", "c"]
      const { messages, ok } = yield* readAll(
        names.map((name) => configured(name)),
        { series: names.flatMap((name) => gauge(name, 200)), points: 200, mock: refusing('"b"', 422) }
      )
      assert.isFalse(ok)
      assert.strictEqual(story(messages, "b"), "STARTED RUNNING records STATE ERROR INCOMPLETE")
      for (const name of ["a", "c"]) {
        assert.match(story(messages, name), /^STARTED RUNNING( records STATE)+ COMPLETE$/)
        assert.strictEqual(records(messages).filter(({ stream }) => stream === name).length, 200)
      }
      const [first, last, ...rest] = errors(messages)
      assert.deepStrictEqual(rest, [])
      assert.deepStrictEqual(first?.stream_descriptor, { name: "b" })
      assert.strictEqual(first?.failure_type, "config_error")
      assert.isUndefined(last?.stream_descriptor)
      assert.match(last?.message ?? "", /1 of 3 streams failed: b/)
      assert.strictEqual(messages.at(-1)?.type, "TRACE")
    })
  )

  it.effect("ends every stream when the read fails", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 8 }, (_, i) => `m${i}`)
      const { messages, ok } = yield* readAll(
        names.map((name) => configured(name)),
        {
          series: names.flatMap((name) => gauge(name, 200)),
          points: 200,
          config: { concurrency: 2 },
          mock: refusing('"m2"', 401)
        }
      )
      assert.isFalse(ok)
      for (const name of names) {
        const printed = story(messages, name)
        if (printed !== "") assert.match(printed, /^STARTED.* (COMPLETE|INCOMPLETE)$/)
        assert.notMatch(printed, /INCOMPLETE .|COMPLETE STATE/)
      }
      assert.match(story(messages, "m2"), /INCOMPLETE$/)
      const [only, ...rest] = errors(messages)
      assert.deepStrictEqual(rest, [])
      assert.isUndefined(only?.stream_descriptor)
      assert.strictEqual(only?.failure_type, "config_error")
      assert.match(only?.message ?? "", /HTTP 401/)
    })
  )

  it.effect("ends only the stream that may not be read", () =>
    Effect.gen(function* () {
      const names = ["m0", "m1", "m2"]
      const { messages, ok } = yield* readAll(
        names.map((name) => configured(name)),
        { series: names.flatMap((name) => gauge(name, 200)), points: 200, mock: refusing('"m1"', 403) }
      )
      assert.isFalse(ok)
      for (const name of ["m0", "m2"]) assert.match(story(messages, name), / COMPLETE$/)
      assert.match(story(messages, "m1"), /INCOMPLETE$/)
      const [only, ...rest] = errors(messages).filter(
        ({ stream_descriptor }) => stream_descriptor !== undefined
      )
      assert.deepStrictEqual(rest, [])
      assert.strictEqual(only?.stream_descriptor?.name, "m1")
      assert.match(only?.message ?? "", /HTTP 403.* does not let these credentials read this/)
    })
  )

  it.effect("refuses damaged state before it starts any stream", () =>
    Effect.gen(function* () {
      const { messages, ok } = yield* readAll([configured("a"), configured("m")], {
        series: gauge("a", 5),
        points: 5,
        states: [
          { type: "STREAM", stream: { stream_descriptor: { name: "m" }, stream_state: { time: "soon" } } }
        ]
      })
      assert.isFalse(ok)
      assert.deepStrictEqual(
        messages.map(({ type }) => type),
        ["TRACE"]
      )
      assert.strictEqual(errors(messages)[0]?.failure_type, "config_error")
    })
  )

  it.effect("reports how long a rate limit lasts, and then continues", () =>
    Effect.gen(function* () {
      const { messages, ok } = yield* readAll([configured("m")], {
        series: gauge("m", 30),
        points: 30,
        mock: {
          faults: ({ path }, attempt) =>
            path === "/api/v1/query_range" && attempt === 1
              ? { status: 429, headers: { "retry-after": "7" }, body: "too many outstanding requests" }
              : undefined
        }
      })
      assert.isTrue(ok)
      const limited = messages.flatMap(({ trace }) => {
        const { emitted_at, stream_status } = (trace ?? {}) as {
          readonly emitted_at: number
          readonly stream_status?: {
            readonly stream_descriptor: object
            readonly status: string
            readonly reasons?: ReadonlyArray<unknown>
          }
        }
        return stream_status?.reasons === undefined ? [] : [{ emitted_at, ...stream_status }]
      })
      assert.lengthOf(limited, 1)
      assert.deepStrictEqual(limited[0], {
        emitted_at: limited[0]!.emitted_at,
        stream_descriptor: { name: "m" },
        status: "RUNNING",
        reasons: [{ type: "RATE_LIMITED", rate_limited: { quota_reset: limited[0]!.emitted_at + 7000 } }]
      })
    })
  )

  it.effect("ends immediately without streams", () =>
    Effect.gen(function* () {
      const { messages, ok } = yield* readAll([], { series: [], points: 5 })
      assert.deepStrictEqual([ok, messages], [true, []])
    })
  )

  it.effect("ends every stream when the program itself fails", () =>
    Effect.gen(function* () {
      const printed: Array<Message> = []
      const exit = yield* Effect.exit(
        readAll([configured("m"), configured("n")], {
          series: [...gauge("m", 5), ...gauge("n", 5)],
          points: 5,
          printed,
          mock: {
            faults: ({ path }) => {
              if (path === "/api/v1/query_range") throw new Error("a mistake")
              return undefined
            }
          }
        })
      )
      assert.isTrue(Exit.hasDies(exit))
      for (const name of ["m", "n"]) assert.strictEqual(story(printed, name), "STARTED INCOMPLETE")
    })
  )
})

it.effect("a query, group or table that the configuration no longer defines fails, and keeps its state", () =>
  Effect.gen(function* () {
    const series = [...gauge("m", 5), ...gauge("node_up", 5)]
    const groups = [{ name: "node", metrics: { include: ["node_*"] } }]
    const streams = [
      configured("m"),
      configured("node", { kind: "group" }),
      configured("rate", { kind: "query" }),
      configured("prometheus_targets", { kind: "table", mode: "full_refresh" })
    ]
    const { messages, ok } = yield* readAll(streams, { series, points: 5 })
    assert.isFalse(ok)
    assert.strictEqual(story(messages, "m").split(" ").at(-1), "COMPLETE")
    for (const [name, kind, key] of [
      ["node", "group", "groups"],
      ["rate", "query", "queries"],
      ["prometheus_targets", "table", "tables"]
    ] as const) {
      assert.strictEqual(story(messages, name), "STARTED ERROR INCOMPLETE")
      assert.deepInclude(
        errors(messages).find(({ stream_descriptor }) => stream_descriptor?.name === name),
        {
          failure_type: "config_error",
          message: `The stream ${name} is a ${kind} in the catalog, but ${key} in the configuration does not have it any more. Restore it in the configuration, or refresh the schema of the source.`
        }
      )
    }
    const restored = yield* readAll([streams[1]!], { series, points: 5, config: { groups } })
    assert.isTrue(restored.ok)
    assert.lengthOf(records(restored.messages), 5)
  })
)
