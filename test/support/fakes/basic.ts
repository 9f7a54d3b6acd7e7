/** The data that fakes serve, and reads of them, compared sample by sample with the real server behind them. */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as child from "../child.ts"
import * as connector from "../connector.ts"
import type { SeriesInput } from "../openMetrics.ts"
import * as RealPrometheus from "../RealPrometheus.ts"
import { referenceRecords } from "../referenceRecords.ts"

/** 2026-01-01T00:00:00Z, in milliseconds. */
export const start = Date.UTC(2026, 0, 1)
export const minute = 60_000
export const hour = 60 * minute
export const day = 24 * hour

/** The last point of the range: two hours later. */
export const end = start + 2 * hour

export const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

/** Samples at regular times, both ends included. */
export const every = (
  interval: number,
  from: number,
  to: number,
  value: (index: number) => number = (index) => index
): SeriesInput["samples"] =>
  Array.from(
    { length: Math.floor((to - from) / interval) + 1 },
    (_, i) => [from + i * interval, value(i)] as const
  )

/** The metrics of `basic`. */
export const metrics = ["basic_bytes", "basic_ratio", "basic_total"] as const

/** Three metrics with three series each, a sample every 15 s for two hours: 363 records per metric at step 60. */
export const basic: ReadonlyArray<SeriesInput> = metrics.flatMap((name, m) =>
  ["a", "b", "c"].map((instance, n) => ({
    labels: { __name__: name, instance, store: n === 1 ? "second" : "first" },
    samples: every(15_000, start, end, (i) => i * (m + 1) + n / 8)
  }))
)

/** The records of one metric of `basic`. */
export const RECORDS = 363

/** A real server with `basic`. */
export class Source extends Context.Service<Source, RealPrometheus.RealPrometheus>()("test/fakes/Source") {
  static readonly layer = Layer.effect(Source, RealPrometheus.make({ series: basic }))
}

/** The days of `long`, which begins at `start`. */
export const LONG_DAYS = 60

/** When each metric of `long` has data, in days. */
export const lives = {
  long_all: [0, LONG_DAYS],
  long_early: [0, 10],
  long_late: [50, LONG_DAYS],
  long_middle: [25, 35],
  long_short: [40, 40.5]
} as const

/** Metrics that live in different parts of two months, with two series each. */
const long = (interval: number): ReadonlyArray<SeriesInput> =>
  Object.entries(lives).flatMap(([name, [from, to]]) =>
    ["a", "b"].map((instance, n) => ({
      labels: { __name__: name, instance },
      samples: every(interval, start + from * day, start + to * day, (i) => i + n / 8)
    }))
  )

export const longMetrics = Object.keys(lives)
export const longEnd = start + LONG_DAYS * day

/** The keys that read `long`. */
export const longConfig = { end_date: iso(longEnd), step: 3600 }

/** A real server with `long`, a sample an hour. Its blocks are short, because lists have all names of a block. */
export class LongSource extends Context.Service<LongSource, RealPrometheus.RealPrometheus>()(
  "test/fakes/LongSource"
) {
  static readonly layer = Layer.effect(
    LongSource,
    RealPrometheus.make({ series: long(hour), blockHours: 54 })
  )
}

/** A real server with `long`, whose samples are so close that each moment has a value. */
export class LivelySource extends Context.Service<LivelySource, RealPrometheus.RealPrometheus>()(
  "test/fakes/LivelySource"
) {
  static readonly layer = Layer.effect(LivelySource, RealPrometheus.make({ series: long(4 * minute) }))
}

/** The configuration that reads `basic` at an address. */
export const settings = (baseUrl: string, more: object = {}) => ({
  base_url: baseUrl,
  start_date: iso(start),
  end_date: iso(end),
  step: 60,
  max_retries: 0,
  ...more
})

/** How to read. */
export interface ReadOptions {
  readonly config?: object
  readonly names?: ReadonlyArray<string>
  readonly state?: ReadonlyArray<connector.StateOfStream>
  readonly child?: child.ChildOptions
}

/** Reads streams at an address. */
export const read = (baseUrl: string, options: ReadOptions = {}): Effect.Effect<connector.Output> =>
  Effect.scoped(
    Effect.flatMap(connector.workspace, (files) =>
      connector.read(
        files,
        settings(baseUrl, options.config),
        connector.catalogOf(...(options.names ?? metrics)),
        options.state,
        options.child
      )
    )
  )

/** Runs `discover` at an address: its output, and the names of the streams that it found. */
export const discover = (baseUrl: string, config: object = {}, options?: child.ChildOptions) =>
  Effect.scoped(
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const output = yield* connector.runVerb(
        ["discover", "--config", files.write("config.json", settings(baseUrl, config))],
        options
      )
      const catalog = output.messages.find(({ type }) => type === "CATALOG") as
        | { readonly catalog: { readonly streams: ReadonlyArray<connector.Stream> } }
        | undefined
      const streams = catalog?.catalog.streams ?? []
      return { ...output, logs: output.logs, streams, names: streams.map(({ name }) => name) }
    })
  )

/** Runs `check` at an address: whether it succeeded, and its message. */
export const check = (baseUrl: string, config: object = {}, options?: child.ChildOptions) =>
  Effect.scoped(
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const output = yield* connector.runVerb(
        ["check", "--config", files.write("config.json", settings(baseUrl, config))],
        options
      )
      const found = output.messages.find(({ type }) => type === "CONNECTION_STATUS") as
        | { readonly connectionStatus: { readonly status: string; readonly message?: string } }
        | undefined
      return { output, ...(found?.connectionStatus ?? { status: "NONE" }) }
    })
  )

/** The summary of the command `run`. */
export interface Summary {
  readonly succeeded: boolean
  readonly rows: number
  readonly streams: ReadonlyArray<{
    readonly name: string
    readonly rows: number
    readonly error: string | null
  }>
}

/** The command `run` into JSON lines: how it ended, its summary, and what it printed for people. */
export const run = (
  baseUrl: string,
  config: object = {},
  flags: ReadonlyArray<string> = [],
  options?: child.ChildOptions
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const file = files.write("config.json", settings(baseUrl, config))
      const to = `jsonl:${files.path("out")}`
      const result = yield* child.run(["run", "--config", file, "--json", "--to", to, ...flags], options)
      const summary = result.stdout === "" ? undefined : (JSON.parse(result.stdout) as Summary)
      return { code: result.code, stderr: result.stderr, summary }
    })
  )

/** The rows of each stream of a run. */
export const rowsOf = ({ streams }: Pick<Summary, "streams"> = { streams: [] }) =>
  Object.fromEntries(streams.map(({ name, rows }) => [name, rows]))

/** What to expect, from the real server itself. Times in milliseconds. */
export interface Range {
  readonly metrics?: ReadonlyArray<string>
  readonly from?: number
  readonly to?: number
  readonly stepSeconds?: number
  /** More matchers, such as `store="first"`. */
  readonly matchers?: string
}

/** The records of a range, as the real server has them. */
export const expectedFrom = (server: { readonly baseUrl: string }, range: Range = {}) =>
  Effect.promise(async () => {
    const all = new Map<string, string>()
    for (const metric of range.metrics ?? metrics) {
      const part = await referenceRecords({
        baseUrl: server.baseUrl,
        metric,
        start: (range.from ?? start) / 1000,
        end: (range.to ?? end) / 1000,
        step: range.stepSeconds ?? 60,
        ...(range.matchers === undefined ? {} : { matchers: range.matchers })
      })
      for (const [key, value] of part) all.set(key, value)
    }
    return all as ReadonlyMap<string, string>
  })

/** Asserts that exactly these records were read, each once. */
export const assertRecords = (output: connector.Output, expected: ReadonlyMap<string, string>): void => {
  const records = connector.byKey(output.records)
  const missing = [...expected.keys()].filter((key) => !records.has(key))
  const surplus = [...records.keys()].filter((key) => !expected.has(key))
  const words = `${records.size} of ${expected.size} records; ${missing.length} missing, such as ${missing[0]}; ${surplus.length} surplus, such as ${surplus[0]}; ${said(output)}`
  assert.isTrue(missing.length === 0 && surplus.length === 0, words)
  for (const [key, value] of expected) assert.strictEqual(records.get(key), value, key)
}

/** Asserts a success with exactly these records. */
export const assertWhole = (output: connector.Output, expected: ReadonlyMap<string, string>): void => {
  assertRecords(output, expected)
  assert.deepStrictEqual([output.errors, output.code], [[], 0], said(output))
}

/** Asserts a failure whose last message has all these texts. */
export const assertFails = (output: connector.Output, ...texts: ReadonlyArray<RegExp>): void => {
  assert.strictEqual(output.code, 1, said(output))
  const message = output.errors.at(-1)?.message ?? ""
  for (const text of texts) assert.match(message, text)
}

/** The errors and warnings of an output, for the message of a failed assertion. */
export const said = ({ errors, logs, code }: connector.Output): string =>
  `exit ${code}; ${errors.map(({ message }) => message).join(" | ")}; ${logs.filter((line) => !line.startsWith("INFO")).join(" | ")}`

/** The time in a stream's last state, in milliseconds. */
export const stateOf = (output: connector.Output, stream: string): number | undefined => {
  const last = output.states.findLast(
    ({ stream: { stream_descriptor } }) => stream_descriptor.name === stream
  )
  const time = last?.stream.stream_state.time
  return typeof time === "string" ? Date.parse(time) : undefined
}
