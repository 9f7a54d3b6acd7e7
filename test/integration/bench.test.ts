/** The bench in its small variant. This shows that it works, not how fast anything is. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"

const script = fileURLToPath(new URL("../../bench/bench.ts", import.meta.url))
const resultsFile = fileURLToPath(new URL("../../bench/results.jsonl", import.meta.url))

const results = (): string => {
  try {
    return readFileSync(resultsFile, "utf8")
  } catch {
    return "none"
  }
}

/** The rows of the report's tables, with headers, but without the lines below them. */
const rowsOf = (report: string): ReadonlyArray<ReadonlyArray<string>> =>
  report
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| --"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim())
    )

describe("the bench", () => {
  it.live(
    "verifies what is read, and fills every row of its tables",
    () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        const before = results()
        const { code, stderr, stdout } = yield* child.run(["--small", "--data", files.path("data")], {
          script
        })
        assert.strictEqual(code, 0, stderr)
        const rows = rowsOf(stdout)
        assert.deepStrictEqual(
          rows.map(([label]) => label),
          [
            "measured",
            "curl to /dev/null",
            "read to /dev/null",
            "read through a pipe",
            "JSON.parse exporter to /dev/null",
            "read with compression",
            "read of a tenth of the time",
            "read of ten times the points",
            "run into DuckDB",
            "run of ten times the points into DuckDB",
            "run into Parquet",
            "run into Parquet in S3",
            "run into JSON lines",
            "read of one metric of 2,000 series",
            "read of 10,512 points of 4 series",
            "discover of 60 metrics",
            "spec",
            "node -e 0",
            "target",
            "read to /dev/null ÷ curl: time",
            "read through a pipe ÷ curl: time",
            "read: peak RSS",
            "read of one wide metric: peak RSS",
            "read of a year: peak RSS",
            "read of 10 × the samples: peak RSS",
            "10 × the samples: time",
            "10 × the samples: peak RSS",
            "1 × instead of 0.1 × the samples: time",
            "1 × instead of 0.1 × the samples: peak RSS",
            "run into DuckDB ÷ curl: time",
            "run into DuckDB, 10 × the samples: time",
            "run into DuckDB: size of the file",
            "run into Parquet ÷ curl: time",
            "run into Parquet in S3 ÷ on disk: time",
            "run into JSON lines ÷ curl: time",
            "spec ÷ node -e 0: time",
            "discover: time",
            "discover: peak RSS",
            "discover: requests",
            "first record after the first response"
          ]
        )
        for (const [label, measured] of rows) {
          if (label === "measured" || label === "target") continue
          assert.match(measured!, /^[\d,]+(\.\d+)?( (×|MB|s))?$/, label)
        }
        assert.notMatch(stdout, /NaN|undefined|Infinity/)
        assert.strictEqual(results(), before, "a small run saves nothing")
      }),
    300_000
  )

  it.live("prints its usage for invalid arguments", () =>
    Effect.gen(function* () {
      for (const args of [["--rounds", "0"], ["--rounds", "many"], ["--tiny"], ["small"]]) {
        const { code, stderr, stdout } = yield* child.run(args, { script })
        assert.deepStrictEqual([code, stdout], [2, ""])
        assert.match(stderr, /Usage: npm run bench/)
      }
    })
  )
})
