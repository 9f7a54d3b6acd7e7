/** The database of a run, read by DuckDB for Python as README shows it. Its version differs from the one that wrote it. */
import { readFileSync, writeFileSync } from "node:fs"
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { configFor, makeServer } from "./fixture.ts"
import { runPython } from "./python.ts"

const python = inject("python")

describe.runIf(python !== undefined)("a DuckDB file", () => {
  it.live("can be read by README's program", () =>
    Effect.gen(function* () {
      const { path } = yield* connector.workspace
      const run = yield* child.run(["run", "--demo", "--select", "queue_depth"], { cwd: path("") })
      assert.strictEqual(run.code, 0, run.stderr)
      const program = /^```python\n(.*?)^```/ms.exec(readFileSync("README.md", "utf8"))![1]!
      const { code, stderr, stdout } = yield* runPython(python ?? "", path(""), ["-c", program])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(stdout, /timestamp with time zone|timestamp with tim…/)
      assert.lengthOf(stdout.match(/│ \d{4}-\d\d-\d\d /g) ?? [], 10, stdout)
    })
  )

  it.live("has native histograms as structs for Python", () =>
    Effect.gen(function* () {
      const { path } = yield* connector.workspace
      const server = yield* makeServer("storable")
      writeFileSync(path("config.json"), JSON.stringify(configFor(server)))
      const run = yield* child.run(
        ["run", "--config", "config.json", "--select", "latency", "--to", "duckdb:data.duckdb"],
        { cwd: path("") }
      )
      assert.strictEqual(run.code, 0, run.stderr)
      const program = `
import duckdb, json
with duckdb.connect("data.duckdb", read_only=True) as connection:
    rows = connection.sql("SELECT histogram FROM latency ORDER BY time LIMIT 2").fetchall()
    print(json.dumps([histogram for histogram, in rows]))
`
      const { code, stderr, stdout } = yield* runPython(python ?? "", path(""), ["-c", program])
      assert.deepStrictEqual([code, stderr], [0, ""])
      const root = 0.7071067811865475
      const buckets = [
        { boundaries: 0, lower: 0.5, upper: root, count: 1 },
        { boundaries: 0, lower: root, upper: 1, count: 2 },
        { boundaries: 0, lower: 1, upper: 2 * root, count: 3 }
      ]
      assert.deepStrictEqual(JSON.parse(stdout), [
        { count: 6, sum: 0, buckets },
        {
          count: 7,
          sum: 18.4,
          buckets: [{ boundaries: 3, lower: -0.001, upper: 0.001, count: 1 }, ...buckets]
        }
      ])
    })
  )
})
