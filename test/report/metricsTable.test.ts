import { assert, describe, it } from "@effect/vitest"
import { metricsTable } from "../../src/report/metricsTable.ts"
import { textWidth } from "../../src/terminal/textWidth.ts"
import { choices } from "../choices.ts"

const metric = (name: string, labels: ReadonlyArray<string>, type: string, help: string) => ({
  name,
  labels,
  metadata: { type, help, unit: "" }
})

const metrics = [
  metric("up", ["instance", "job"], "gauge", "Whether the target could be scraped the last time, or not."),
  { name: "queue_depth", labels: ["queue"], metadata: undefined }
]

describe("metricsTable", () => {
  it("has a line per metric, of any length without a terminal", () => {
    assert.strictEqual(
      metricsTable(metrics, Infinity),
      `STREAM       TYPE   LABELS         DESCRIPTION
up           gauge  instance, job  Whether the target could be scraped the last time, or not.
queue_depth         queue`
    )
  })

  it("names the kinds of streams that are not metrics", () => {
    const streams = [
      { name: "node", labels: [], metadata: undefined, group: { patterns: "node_*", metrics: 2 } },
      { name: "one", labels: [], metadata: undefined, expression: "vector(1)" },
      { name: "prometheus_rules", labels: [], metadata: undefined, table: "rules" as const }
    ]
    assert.strictEqual(
      metricsTable(streams, Infinity),
      `STREAM            TYPE   DESCRIPTION
node              group  2 metrics: node_*
one               query  vector(1)
prometheus_rules  table`
    )
  })

  it("truncates descriptions first, and omits columns that become too narrow", () => {
    assert.strictEqual(
      metricsTable(metrics, 60),
      `STREAM       TYPE   LABELS         DESCRIPTION
up           gauge  instance, job  Whether the target coul…
queue_depth         queue`
    )
    assert.strictEqual(
      metricsTable(metrics, 40),
      `STREAM       TYPE   LABELS
up           gauge  instance, job
queue_depth         queue`
    )
    assert.strictEqual(
      metricsTable(metrics, 25),
      `STREAM       TYPE
up           gauge
queue_depth`
    )
    assert.strictEqual(metricsTable(metrics, 8).split("\n").at(-1), "queue_…")
  })

  it("omits a column that would be narrower than its header", () => {
    const one = [metric("up", ["job"], "gauge", "x".repeat(13))]
    // A description of ten characters would fit beside the others, but not below its header.
    assert.strictEqual(metricsTable(one, 34).split("\n")[0], "STREAM  TYPE   LABELS")
    assert.strictEqual(metricsTable(one, 35).split("\n")[0], "STREAM  TYPE   LABELS  DESCRIPTION")
  })

  it.prop("fits the width, and has every metric", [choices], ([choices]) => {
    const texts = ["a", "metric_name", "日本語", "x".repeat(80), "two words", "\u001b[31m", "line\nbreak"]
    const many = Array.from({ length: choices.between(1, 5) }, () =>
      metric(
        choices.pick(texts),
        Array.from({ length: choices.below(6) }, () => choices.pick(texts)),
        choices.pick(["", "gauge"]),
        choices.pick(["", ...texts])
      )
    )
    const columns = choices.between(2, 200)
    const lines = metricsTable(many, columns).split("\n")
    assert.lengthOf(lines, many.length + 1)
    for (const line of lines) assert.isBelow(textWidth(line), columns)
    assert.notInclude(lines.join(""), "\u001b")
  })

  it("supports 150,000 metrics, and truncates long cells", () => {
    const many = Array.from({ length: 150_000 }, (_, i) => metric(`m${i}`, ["a"], "gauge", "h"))
    assert.lengthOf(metricsTable(many, Infinity).split("\n"), 150_001)
    const mega = "\u001b]0;x\u0007 ".repeat(125_000)
    const text = metricsTable(
      [
        metric(
          mega,
          Array.from({ length: 100_000 }, () => mega.slice(0, 100)),
          mega,
          mega
        )
      ],
      Infinity
    )
    assert.isBelow(text.length, 2000)
    assert.notInclude(text, "\u001b")
    // The other cells are untrusted too.
    assert.include(metricsTable([metric("up", [], "\u001b[2J", "")], Infinity), "up      \\u001b[2J")
  })
})
