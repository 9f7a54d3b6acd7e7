/** The sample files in `integration_tests`, which platforms, their tests and newcomers start from. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import * as MockServer from "../../src/mock/MockServer.ts"
import * as connector from "../support/connector.ts"

const pathOf = (name: string) =>
  fileURLToPath(new URL(`../../integration_tests/${name}.json`, import.meta.url))
const sample = (name: string) => JSON.parse(readFileSync(pathOf(name), "utf8"))

const hour = 3_600_000
const start = Date.UTC(2026, 0, 1)
const HOURS = 12

/** A Prometheus that has scraped itself for half a day, and the sample configuration for it. */
const server = Effect.gen(function* () {
  const samples = Array.from({ length: HOURS }, (_, n) => [start + n * hour, 1 / (n + 1)] as const)
  const labels = { instance: "localhost:9090", job: "prometheus" }
  const names = ["up", "scrape_duration_seconds", "scrape_samples_scraped"]
  const series = names.map((name) => makeSeries({ __name__: name, ...labels }, samples))
  const { baseUrl } = yield* MockServer.make(new MockPrometheus(makeDatabase(series), { version: "3.0.0" }))
  const files = yield* connector.workspace
  const config = { ...sample("config"), base_url: baseUrl }
  return { config, files }
})

const read = Effect.fnUntraced(function* (state?: string) {
  const { config, files } = yield* server
  const catalog = sample("configured_catalog")
  return yield* connector.read(files, config, catalog, state === undefined ? undefined : sample(state))
})

it.live("config.json passes check, and its metrics match configured_catalog.json", () =>
  Effect.gen(function* () {
    const { config, files } = yield* server
    const check = yield* connector.runVerb(["check", "--config", files.write("config.json", config)])
    assert.strictEqual(check.code, 0)
    assert.deepInclude(check.messages.at(-1), { connectionStatus: { status: "SUCCEEDED" } })
    const streams = yield* connector.discover(files, config)
    assert.deepStrictEqual(sample("configured_catalog"), connector.configure(streams, "incremental"))
  })
)

it.live("invalid_config.json fails check with a reason", () =>
  Effect.gen(function* () {
    const check = yield* connector.runVerb(["check", "--config", pathOf("invalid_config")])
    assert.strictEqual(check.code, 0)
    const [last] = check.messages.slice(-1)
    assert.match(JSON.stringify(last), /"connectionStatus":\{"status":"FAILED","message":".*localhost:1\b/)
  })
)

it.live("configured_catalog.json reads everything", () =>
  Effect.gen(function* () {
    const { code, errors, records } = yield* read()
    assert.deepStrictEqual([code, errors], [0, []])
    assert.strictEqual(records.length, 2 * HOURS)
  })
)

it.live("state.json reads only what is later", () =>
  Effect.gen(function* () {
    const { code, records } = yield* read("state")
    assert.strictEqual(code, 0)
    const times = (stream: string) =>
      records.filter((record) => record.stream === stream).map(({ data }) => data.time)
    const hours = (from: number) =>
      Array.from({ length: HOURS - from }, (_, n) => `2026-01-01T${`${from + n}`.padStart(2, "0")}:00:00Z`)
    assert.deepStrictEqual(times("up"), hours(7))
    assert.deepStrictEqual(times("scrape_duration_seconds"), hours(9))
  })
)

it.live("abnormal_state.json, which is in the future, reads nothing and is kept", () =>
  Effect.gen(function* () {
    const { code, records, states } = yield* read("abnormal_state")
    assert.deepStrictEqual([code, records], [0, []])
    const streams = (of: ReadonlyArray<connector.StateOfStream>) => of.map(({ stream }) => stream)
    assert.sameDeepMembers(streams(states), streams(sample("abnormal_state")))
  })
)
