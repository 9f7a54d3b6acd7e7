/** Tables with more rows than a JavaScript function can have arguments. */
import { assert, describe, it } from "@effect/vitest"
import { dryRunText } from "../../src/report/dryRun.ts"
import { metricsTable } from "../../src/report/metricsTable.ts"
import { summaryText } from "../../src/report/summaryTable.ts"
import { plain } from "../../src/terminal/Appearance.ts"
import { runOf, start, streamOf } from "./summaries.ts"

const names = Array.from({ length: 150_000 }, (_, i) => `metric_${i}`)

const linesOf = (text: string): number => text.split("\n").length

describe("150,000 streams", { timeout: 120_000 }, () => {
  it("have a line each in the table of metrics", () => {
    const metrics = names.map((name) => ({ name, labels: ["job"], metadata: undefined }))
    for (const columns of [Infinity, 40]) assert.strictEqual(linesOf(metricsTable(metrics, columns)), 150_001)
  })

  it("are summed up in a dry run", () => {
    const streams = names.map((name) => ({ name, series: 1, points: 1, windows: 1, samples: 1, bytes: 25 }))
    const run = { source: "s", destination: "d", stepSeconds: 60, span: [start, start] as const, streams }
    assert.match(dryRunText(run, { columns: Infinity, paint: plain }), /150,000/)
  })

  it("are summed up in a summary", () => {
    const run = runOf(names.map((name) => streamOf(name, { curves: [] })))
    const text = summaryText(run, { columns: Infinity, paint: plain })
    assert.include(text, "… and 149,961 more with 431,887,680 rows")
  })
})
