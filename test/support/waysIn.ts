/** What every way to a server must support: all commands, with the same data, and one message if it fails. */
import { readFileSync } from "node:fs"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "./child.ts"
import * as connector from "./connector.ts"
import { iso, minute, start } from "./gauge.ts"
import type { SeriesInput } from "./openMetrics.ts"

const POINTS = 10

/** The contents of the server. */
export const series: ReadonlyArray<SeriesInput> = [
  {
    labels: { __name__: "level" },
    samples: Array.from({ length: POINTS }, (_, i) => [start + i * minute, i] as const)
  }
]

/** Configuration keys and environment variables. */
export interface WayIn {
  readonly base_url: string
  readonly [key: string]: unknown
}

const configOf = (way: WayIn) => ({
  start_date: iso(start),
  end_date: iso(start + (POINTS - 1) * minute),
  step: 60,
  max_retries: 0,
  // A request without a response is then an error with a message, before the test's own time is over.
  request_timeout: 30,
  ...way
})

const statusOf = ({ messages }: connector.Output) =>
  messages.find(({ type }) => type === "CONNECTION_STATUS")?.connectionStatus as {
    readonly status: string
    readonly message?: string
  }

/** Runs check, discover, read and run. Returns all that they printed, and the warnings of each. */
export const assertReads = Effect.fnUntraced(function* (
  way: WayIn,
  env: Readonly<Record<string, string | undefined>> = {}
) {
  const files = yield* connector.workspace
  const config = configOf(way)
  const path = files.write("config.json", config)
  const checked = yield* connector.runVerb(["check", "--config", path], { env })
  assert.strictEqual(statusOf(checked).status, "SUCCEEDED", checked.stdout)
  const discovered = yield* connector.runVerb(["discover", "--config", path], { env })
  assert.include(discovered.stdout, '"name":"level"')
  const read = yield* connector.read(files, config, connector.catalogOf("level"), undefined, { env })
  assert.deepStrictEqual([read.code, read.errors, read.stderr], [0, [], ""])
  assert.deepStrictEqual(
    read.records.map(({ data, valueText }) => [data.time, valueText]),
    Array.from({ length: POINTS }, (_, i) => [iso(start + i * minute), `${i}`])
  )
  const run = yield* child.run(["run", "--config", path, "--to", `jsonl:${files.path("rows")}`], { env })
  assert.strictEqual(run.code, 0, run.stderr)
  assert.lengthOf(readFileSync(files.path("rows/level.jsonl"), "utf8").trim().split("\n"), POINTS)
  const warningsOf = (lines: ReadonlyArray<string>) => lines.filter((line) => line.includes("WARN"))
  return {
    output: [checked, discovered, read, run].map(({ stderr, stdout }) => stdout + stderr).join(""),
    warnings: [
      ...[checked, discovered, read].map(({ logs }) => warningsOf(logs)),
      run.stderr.split("\n").filter((line) => /warning/i.test(line) || line.includes("tls.verify"))
    ]
  }
})

/** The message with which all commands fail. */
export const refusalOf = Effect.fnUntraced(function* (
  way: WayIn,
  env: Readonly<Record<string, string | undefined>> = {}
) {
  const files = yield* connector.workspace
  const config = configOf(way)
  const path = files.write("config.json", config)
  const checked = yield* connector.runVerb(["check", "--config", path], { env })
  const { message = "", status } = statusOf(checked)
  assert.strictEqual(status, "FAILED")
  const discovered = yield* connector.runVerb(["discover", "--config", path], { env })
  assert.deepStrictEqual([discovered.code, discovered.errors.map((error) => error.message)], [1, [message]])
  const read = yield* connector.read(files, config, connector.catalogOf("level"), undefined, { env })
  assert.strictEqual(read.code, 1)
  assert.deepStrictEqual(read.records, [])
  assert.strictEqual(read.errors.at(-1)?.message, message)
  const run = yield* child.run(["run", "--config", path, "--to", `jsonl:${files.path("rows")}`], { env })
  assert.strictEqual(run.code, 1)
  assert.include(run.stderr.replace(/\s+/g, " "), message.slice(0, 60))
  return message
})
