/** The database of a run, read by DuckDB for Python as README shows it. Its version differs from the one that wrote it. */
import { readFileSync } from "node:fs"
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
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
})
