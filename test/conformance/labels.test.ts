/** Labels that must not be emitted: those that the configuration excludes, and those that a platform's catalog deselects. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { seriesId } from "../../src/samples/Series.ts"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { minute, start } from "../support/gauge.ts"
import { refusal, serve } from "../support/mockServer.ts"
import * as rules from "./rules.ts"
import { discover } from "./verbs.ts"

const names = ["alice", "bobby", "carol"]
const users = names.map((name) => `${name}@example.com`)

const MINUTES = 10

/** One series per user, so that only the excluded label distinguishes them. */
const series = users.map((user) =>
  makeSeries(
    { __name__: "requests", job: "api", user_email: user },
    Array.from({ length: MINUTES }, (_, i) => [start + i * minute, i] as const)
  )
)

const idOf = (user: string): string =>
  seriesId([
    ["__name__", "requests"],
    ["job", "api"],
    ["user_email", user]
  ])

const assertNoUser = (text: string, what: string): void => {
  for (const name of names) assert.notInclude(text, name, what)
}

/** All records of every user, each with its own key, and no trace of a user's name. */
const assertRecords = (output: connector.Output): void => {
  assert.strictEqual(output.code, 0, output.stdout)
  assert.lengthOf(output.records, users.length * MINUTES)
  assert.sameMembers([...new Set(output.records.map(({ data }) => data.series_id))], users.map(idOf))
  assertNoUser(output.stdout, "stdout")
}

describe("exclude_labels", { concurrent: true }, () => {
  const exclude_labels = ["user_email"]

  for (const label_columns of [true, false]) {
    it.live(`omits a label from catalog and records, label_columns: ${label_columns}`, () =>
      Effect.gen(function* () {
        const { config } = yield* serve(series, MINUTES, {}, { label_columns, exclude_labels })
        const { stdout, streams } = yield* discover(config)
        assert.notInclude(stdout, "user_email")
        const files = yield* connector.workspace
        const output = yield* rules.read(files, config, connector.configure(streams, "full_refresh"))
        assertRecords(output)
        assert.notInclude(output.stdout, "user_email")
        for (const record of output.records) {
          assert.deepStrictEqual(connector.labelsOf(record), [
            ["__name__", "requests"],
            ["job", "api"]
          ])
        }
      })
    )
  }

  it.live("omits it if the catalog declares it, or declares no columns", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(series, MINUTES)
      const { streams } = yield* discover(config)
      const files = yield* connector.workspace
      for (const catalog of [connector.configure(streams, "incremental"), connector.catalogOf("requests")]) {
        assertRecords(yield* rules.read(files, { ...config, exclude_labels }, catalog))
      }
    })
  )

  it.live("omits it if the series must be split by it", () =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(
        series,
        MINUTES,
        {
          faults: ({ params, path }) =>
            path.endsWith("query_range") && !params.get("query")?.includes("user_email") ? refusal : undefined
        },
        { exclude_labels }
      )
      const files = yield* connector.workspace
      const output = yield* rules.read(files, config, connector.catalogOf("requests"))
      assertRecords(output)
      assert.isTrue(mock.requests.some(({ params }) => params.get("query")?.includes("user_email") === true))
    })
  )

  it.live.each(["duckdb", "parquet", "jsonl"] as const)(
    "omits it from %s, the report and all files",
    (format) =>
      Effect.gen(function* () {
        const { config } = yield* serve(series, MINUTES, {}, { exclude_labels })
        const files = yield* connector.workspace
        const folder = files.path("out")
        const path = join(folder, format === "duckdb" ? "data.duckdb" : "data")
        const file = files.write("config.json", config)
        const report = join(folder, "report.html")
        mkdirSync(folder)
        const args = ["run", "--config", file, "--to", `${format}:${path}`, "--report", report]
        const { code, stderr, stdout } = yield* child.run(args)
        assert.strictEqual(code, 0, stderr)
        assertNoUser(stdout + stderr, "what is printed")
        const written = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
          entry.isFile()
        )
        assert.isAbove(written.length, 1)
        for (const { name, parentPath } of written) {
          const content = readFileSync(join(parentPath, name), "latin1")
          assertNoUser(content, name)
          assert.notInclude(content, "user_email", name)
        }
        if (format !== "duckdb") return
        const rows = yield* Effect.promise(() =>
          queryDatabase(path, `SELECT DISTINCT series_id, job FROM requests`)
        )
        assert.sameDeepMembers(
          [...rows],
          users.map((user) => ({ series_id: idOf(user), job: "api" }))
        )
      })
  )
})

/** A catalog without a column, as platforms write it when a user deselects one. */
const without = (streams: ReadonlyArray<connector.Stream>, ...columns: ReadonlyArray<string>) =>
  connector.configure(
    streams.map((stream) => ({
      ...stream,
      json_schema: {
        ...stream.json_schema,
        properties: Object.fromEntries(
          Object.entries(stream.json_schema.properties).filter(([column]) => !columns.includes(column))
        )
      }
    })),
    "incremental"
  )

describe("a label that a catalog deselects", { concurrent: true }, () => {
  /** The same series with a new label `zone`, which was unknown at discovery. */
  const later = series.map(({ labels }, n) =>
    makeSeries(
      [...labels, ["zone", `z${n}`]],
      Array.from({ length: MINUTES }, (_, i) => [start + i * minute, i] as const)
    )
  )

  const readLater = Effect.fnUntraced(function* (catalog: rules.Catalog) {
    const { config } = yield* serve(later, MINUTES)
    const output = yield* rules.read(yield* connector.workspace, config, catalog)
    assert.strictEqual(output.code, 0, output.stdout)
    assert.lengthOf(output.records, users.length * MINUTES)
    return output
  })

  const discovered = Effect.gen(function* () {
    const { config } = yield* serve(series, MINUTES)
    return (yield* discover(config)).streams
  })

  it.live("is not emitted anywhere, while one that appeared after discovery is not lost", () =>
    Effect.gen(function* () {
      const output = yield* readLater(without(yield* discovered, "user_email"))
      assertNoUser(output.stdout, "stdout")
      for (const { data } of output.records) {
        assert.strictEqual(data.job, "api")
        assert.match((data.other_labels as { readonly zone: string }).zone, /^z[0-2]$/)
        assert.deepStrictEqual(Object.keys(data.other_labels as object), ["zone"])
      }
      assert.deepStrictEqual(
        output.logs.filter((log) => log.startsWith("WARN")),
        []
      )
    })
  )

  it.live("is not emitted, nor is a new label, if other_labels is deselected too", () =>
    Effect.gen(function* () {
      const streams = yield* discovered
      for (const columns of [
        ["user_email", "job", "other_labels"],
        ["user_email", "other_labels"]
      ]) {
        const output = yield* readLater(without(streams, ...columns))
        assertNoUser(output.stdout, "stdout")
        assert.notInclude(output.stdout, '"z0"')
      }
    })
  )

  it.live("causes a warning if the platform lost the discovered schema", () =>
    Effect.gen(function* () {
      const streams = (yield* discovered).map((stream) => ({
        ...stream,
        json_schema: {
          ...stream.json_schema,
          properties: { ...stream.json_schema.properties, other_labels: { type: ["object", "null"] } }
        }
      }))
      const output = yield* readLater(without(streams, "user_email"))
      const [warning, ...more] = output.logs.filter((log) => log.startsWith("WARN"))
      assert.deepStrictEqual(more, [])
      assert.match(
        warning ?? "",
        /requests: labels without a column were written to other_labels: user_email, zone\. .*Refresh the schema .*exclude_labels/
      )
    })
  )
})
