/** What a user sees in the logs of a sync. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import type { Message } from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, start } from "../support/gauge.ts"
import { onMetric, serve } from "../support/mockServer.ts"
import * as rules from "./rules.ts"

interface Estimate {
  readonly name: string
  readonly row_estimate: number
  readonly byte_estimate: number
}

const estimatesOf = (messages: ReadonlyArray<Message>): ReadonlyArray<Estimate> =>
  messages.flatMap((message) => {
    const trace = message.trace as { readonly type: string; readonly estimate: Estimate } | undefined
    return trace?.type === "ESTIMATE" ? [trace.estimate] : []
  })

/** Two metrics of 300 minutes; the first one is refused once. */
const setting = Effect.gen(function* () {
  const { config } = yield* serve([...gauge("a", 300, 2), ...gauge("b", 300, 3)], 300, {
    faults: (request, attempt) =>
      attempt === 1 ? onMetric("a", { status: 503, body: "try later" })(request) : undefined
  })
  const files = yield* connector.workspace
  const catalog = connector.configure(yield* connector.discover(files, config), "incremental")
  return { catalog, config, files }
})

describe("the log of a read", () => {
  it.live("reports for each stream what will be read, what went wrong, and the number of records", () =>
    Effect.gen(function* () {
      const { catalog, config, files } = yield* setting
      const { logs } = yield* rules.read(files, config, catalog)
      const range = "2026-01-01T00:00:00Z to 2026-01-01T04:59:00Z"
      for (const name of ["a", "b"]) {
        assert.include(logs, `INFO ${name}: reading 300 points, ${range}, one every 60 s.`)
      }
      assert.include(logs, "INFO a: complete, 600 records.")
      assert.include(logs, "INFO b: complete, 900 records.")
      assert.strictEqual(logs.at(-1), "INFO Read 1,500 records of 2 streams.")
      const retries = logs.filter((text) => text.startsWith("WARN"))
      assert.isAbove(retries.length, 0)
      for (const text of retries) {
        assert.match(
          text,
          /^WARN a: http:\S+\/query_range returned HTTP 503: try later\. Retrying in 0\.\d s \(1 of 5\)\.$/
        )
      }
    })
  )

  it.live("reports each window and its records with --debug", () =>
    Effect.gen(function* () {
      const { catalog, config, files } = yield* setting
      const result = yield* rules.verb([
        "read",
        "--config",
        files.write("config.json", config),
        "--catalog",
        files.write("catalog.json", catalog),
        "--debug"
      ])
      const b = result.logs.filter((text) => text.startsWith("DEBUG b:"))
      const asked = b.flatMap((text) => /requesting (\d+) points?, (.*)\.$/.exec(text)?.slice(1) ?? [])
      const had = b.flatMap((text) => /b: (\d+) records, (.*)\.$/.exec(text)?.slice(1) ?? [])
      assert.isAbove(asked.length, 2)
      assert.strictEqual(asked.length + had.length, 2 * b.length)
      // Three series: each window has three records per point.
      assert.deepStrictEqual(
        had,
        asked.map((text) => (/^\d+$/.test(text) ? `${3 * Number(text)}` : text))
      )
    })
  )

  it.live("reports that there is nothing new", () =>
    Effect.gen(function* () {
      const { catalog, config, files } = yield* setting
      const first = yield* rules.read(files, config, catalog)
      const { logs } = yield* rules.read(files, config, catalog, first.states)
      for (const name of ["a", "b"]) {
        assert.deepStrictEqual(
          logs.filter((text) => text.startsWith(`INFO ${name}: `)),
          [`INFO ${name}: nothing new to read yet.`, `INFO ${name}: complete, 0 records.`]
        )
      }
      assert.deepStrictEqual([logs.length, logs.at(-1)], [5, "INFO Read 0 records of 2 streams."])
    })
  )
})

describe("estimates", () => {
  it.live("are emitted early, and are correct if the data are evenly distributed", () =>
    Effect.gen(function* () {
      const { catalog, config, files } = yield* setting
      const output = yield* rules.read(files, config, catalog)
      const lines = output.stdout.split("\n").filter((line) => line.startsWith('{"type":"RECORD"'))
      for (const [name, rows] of [
        ["a", 600],
        ["b", 900]
      ] as const) {
        const reported = estimatesOf(output.messages).filter((estimate) => estimate.name === name)
        assert.deepStrictEqual(
          reported.map(({ row_estimate }) => row_estimate),
          [rows]
        )
        const bytes = lines
          .filter((line) => line.includes(`"stream":"${name}"`))
          .reduce((sum, line) => sum + line.length + 1, 0)
        assert.closeTo(reported[0]!.byte_estimate, bytes, 0.05 * bytes)
      }
      const types = output.messages.map((message) => JSON.stringify(message))
      const first = types.findIndex((text) => text.includes('"ESTIMATE"'))
      const state = types.findIndex((text) => text.startsWith('{"type":"STATE"'))
      assert.isAtMost(first, state + 1)
    })
  )

  it.live("are emitted again when the data differ from the first estimate", () =>
    Effect.gen(function* () {
      // Nine of ten series end after a fifth of the time.
      const { config } = yield* serve([...gauge("a", 1000), ...gauge("a", 200, 10).slice(1)], 1000)
      const files = yield* connector.workspace
      const catalog = connector.configure(yield* connector.discover(files, config), "full_refresh")
      const output = yield* rules.read(files, config, catalog)
      const rows = estimatesOf(output.messages).map(({ row_estimate }) => row_estimate)
      assert.strictEqual(rows[0], 10_000)
      assert.isAbove(rows.length, 1)
      assert.isAtMost(Math.abs(rows.at(-1)! - 2800), 0.1 * rows.at(-1)!)
    })
  )
})

describe("LOG_LEVEL", () => {
  const levelsOf = (environment: Readonly<Record<string, string>>, ...flags: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const { catalog, config, files } = yield* setting
      const { logs, states } = yield* rules.verb(
        [
          "read",
          "--config",
          files.write("config.json", { ...config, unknown_key: 1 }),
          "--catalog",
          files.write("catalog.json", catalog),
          ...flags
        ],
        { env: environment }
      )
      // The log level changes nothing else.
      assert.isAbove(states.length, 1)
      return [...new Set(logs.map((text) => text.split(" ")[0]))].sort()
    })

  for (const [value, levels] of [
    ["ERROR", []],
    ["fatal", []],
    ["WARNING", ["WARN"]],
    ["INFO", ["INFO", "WARN"]],
    ["", ["INFO", "WARN"]],
    ["debug", ["DEBUG", "INFO", "WARN"]],
    ["TRACE", ["DEBUG", "INFO", "WARN"]]
  ] as const) {
    it.live(`${value === "" ? "left empty" : value} logs ${levels.join(", ") || "nothing"} here`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* levelsOf({ LOG_LEVEL: value }), [...levels])
      })
    )
  }

  it.live("is overridden by --debug", () =>
    Effect.gen(function* () {
      assert.include(yield* levelsOf({ LOG_LEVEL: "ERROR" }, "--debug"), "DEBUG")
    })
  )

  it.live("with an invalid level is reported, and INFO is used", () =>
    Effect.gen(function* () {
      const { logs, messages } = yield* rules.verb(["spec"], { env: { LOG_LEVEL: "loud" } })
      assert.deepStrictEqual(
        messages.map(({ type }) => type),
        ["LOG", "SPEC"]
      )
      assert.match(logs[0]!, /^WARN LOG_LEVEL is "loud", but must be one of .*INFO.*: INFO is used\.$/)
    })
  )
})

describe("text from the server", () => {
  /** Terminal escapes in both forms, DEL, and marks that change the direction of text. */
  const hostile = "\x1b]0;title\x07\x9b2J\x7f\u202egnp.exe\u2066"
  const controls = /[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/

  const series = ["ok", "refused"].map((name) =>
    makeSeries({ __name__: `${name}_${hostile}`, job: hostile, [`label_${hostile}`]: "x" }, [[start, 1]])
  )

  it.live(
    "is never printed raw, whether in a catalog, a record or an error, and is unchanged once decoded",
    () =>
      Effect.gen(function* () {
        const { config } = yield* serve(
          series,
          1,
          {
            warnings: [hostile],
            faults: ({ params, path }) =>
              path.endsWith("query_range") && params.get("query")?.includes("refused") === true
                ? { status: 400, body: `no ${hostile}` }
                : undefined
          },
          { partial_data: "accept" }
        )
        const files = yield* connector.workspace
        const discovered = yield* rules.verb(["discover", "--config", files.write("config.json", config)])
        const streams = yield* connector.discover(files, config)
        const output = yield* rules.read(files, config, connector.configure(streams, "incremental"))
        for (const { stdout } of [discovered, output]) assert.notMatch(stdout, controls)
        assert.sameMembers(
          streams.map(({ name }) => name),
          [`ok_${hostile}`, `refused_${hostile}`]
        )
        const [record, ...others] = output.records
        assert.deepStrictEqual(others, [])
        assert.deepInclude(record?.data, { job: hostile, [`label_${hostile}`]: "x" })
        assert.isNotEmpty(output.errors)
        assert.match(output.stdout, /\\u009b2J\\u007f\\u202e/)
      })
  )
})
