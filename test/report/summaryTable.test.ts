import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { summaryText } from "../../src/report/summaryTable.ts"
import { coloured, plain } from "../../src/terminal/Appearance.ts"
import { textWidth } from "../../src/terminal/textWidth.ts"
import { curveOf, failedStream, runOf, streamOf } from "./summaries.ts"

const text = (run: ReturnType<typeof runOf>, columns = Infinity) =>
  summaryText(run, { columns, paint: plain })

describe("summaryText", () => {
  const run = runOf([
    streamOf("http_requests_total"),
    streamOf("温度", { curves: [curveOf([1, 1])], series: 12, rows: 1_234_567, retries: 1 }),
    streamOf("quiet", { rows: 0, series: 0, span: undefined, curves: [] }),
    failedStream("gone", "http://localhost:9090 returned HTTP 503. Try again later.")
  ])

  it("has a row per stream, then failures, totals and a command to query the result", () => {
    assert.strictEqual(
      text(run),
      `STREAM               SERIES       ROWS  FIRST             LAST               TIME  VALUES
http_requests_total       2      2,880  2026-01-01 00:00  2026-01-01 23:59  1.3 s  ▁▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇█
温度                     12  1,234,567  2026-01-01 00:00  2026-01-01 23:59  1.3 s  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄
gone                      0          0                                      1.3 s
1 stream had nothing new

FAILED gone: http://localhost:9090 returned HTTP 503. Try again later.

1,237,447 new rows of 14 series in 4 streams, in 2.5 s (495 k rows/s); prometheus.duckdb has 1.23 MB. 1 request was retried.
Cost: 12 requests, 34.6 kB received, 8,640 samples. The server used 0.3 s of CPU time during the run.
1 of 4 streams failed. Run again to resume where it stopped.

Query it:
  duckdb prometheus.duckdb 'from up'`
    )
  })

  it("does not count series of a table, which has none", () => {
    const table = streamOf("prometheus_targets", { rows: 3, series: 0, curves: [] })
    const lines = text(runOf([table])).split("\n")
    assert.match(lines[1]!, /^prometheus_targets +3 {2}2026/)
    assert.match(lines[3]!, /^3 new rows in 1 stream, /)
  })

  it("says why a stream has no rows", () => {
    const between = streamOf("between", {
      rows: 0,
      series: 0,
      span: undefined,
      curves: [],
      notice: "It has a sample\nbetween points."
    })
    const lines = text(runOf([streamOf("up"), between])).split("\n")
    assert.include(lines, "NO ROWS between: It has a sample between points.")
    assert.isFalse(lines.some((line) => line.includes("nothing new")))
  })

  const streams = Schema.Array(
    Schema.Struct({
      name: Schema.String,
      error: Schema.UndefinedOr(Schema.String),
      rows: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1e12 }))
    })
  )
  const columns = Schema.Int.check(Schema.isBetween({ minimum: 4, maximum: 200 }))
  it.prop("fits the terminal, except for the command to copy", [streams, columns], ([given, columns]) => {
    const run = runOf(given.map(({ name, ...stream }) => streamOf(name, stream)))
    const lines = text(run, columns).split("\n")
    for (const line of lines) {
      assert.isTrue(textWidth(line) < columns || /^Query it:$|^ {2}duckdb /.test(line), line)
      assert.notMatch(line, /\p{Cc}/u)
    }
  })

  it("omits times before it truncates names", () => {
    const header = (columns: number) => text(run, columns).split("\n")[0]!.split(/ +/)
    assert.deepStrictEqual(header(120), ["STREAM", "SERIES", "ROWS", "FIRST", "LAST", "TIME", "VALUES"])
    assert.deepStrictEqual(header(80), ["STREAM", "SERIES", "ROWS", "LAST", "TIME", "VALUES"])
    assert.deepStrictEqual(header(60), ["STREAM", "SERIES", "ROWS", "TIME", "VALUES"])
    assert.deepStrictEqual(header(26), ["STREAM", "ROWS"])
  })

  it("is limited to 40 lines, including all failed streams", () => {
    const many = runOf([
      ...Array.from({ length: 60 }, (_, i) => streamOf(`ok_${i}`)),
      ...Array.from({ length: 4 }, (_, i) => failedStream(`bad_${i}`, "Gone."))
    ])
    const names = text(many, 100)
      .split("\n\n")[0]!
      .split("\n")
      .slice(1)
      .map((line) => line.split("  ")[0])
    assert.deepStrictEqual(names, [
      ...Array.from({ length: 35 }, (_, i) => `ok_${i}`),
      ...["bad_0", "bad_1", "bad_2", "bad_3"],
      "… and 25 more with 72,000 rows"
    ])
    assert.strictEqual(text(many, 100).match(/^FAILED bad_\d: Gone\.$/gm)?.length, 4)
  })

  it("colours failures", () => {
    const lines = summaryText(run, { columns: 100, paint: coloured }).split("\n")
    assert.match(lines[3]!, /^\u001b\[31mgone .*\u001b\[0m$/)
    assert.strictEqual(lines.join("\n").replaceAll(/\u001b\[\d+m/g, ""), text(run, 100))
  })

  it("reports that there was nothing to read", () => {
    assert.strictEqual(
      text(runOf([], { bytes: 0, cost: { requests: 1, bytes: 60, samples: 0 } })),
      "0 new rows of 0 series in 0 streams, in 2.5 s; prometheus.duckdb has 0 bytes.\nCost: 1 request, 60 bytes received, 0 samples."
    )
  })

  it("names a few hundred failed streams, and counts the others", () => {
    const failed = Array.from({ length: 150_000 }, (_, i) => failedStream(`f${i}`, "It is gone."))
    const lines = summaryText(runOf([streamOf("up"), ...failed]), { columns: 80, paint: plain }).split("\n")
    assert.isBelow(lines.length, 500)
    assert.lengthOf(
      lines.filter((line) => line.startsWith("FAILED ")),
      199
    )
    assert.include(lines, "… and 149,802 more with 2,880 rows, 149,801 of them failed")
    assert.include(lines, "… and 149,801 more")
  })

  it("prints a command that can be copied, without control characters", () => {
    const text = summaryText(runOf([streamOf("up")], { previewCommand: "cat $'a\\033b' \u001b[2J" }), {
      columns: 80,
      paint: plain
    })
    assert.include(text, "  cat $'a\\033b' \\u001b[2J")
  })
})
