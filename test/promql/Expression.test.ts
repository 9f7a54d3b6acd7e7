import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { countOf, parseExpression } from "../../src/promql/Expression.ts"
import type { Matcher } from "../../src/promql/Matcher.ts"

const problemOf = (text: string) => Effect.flip(parseExpression(text))

describe("parseExpression", () => {
  it.effect("accepts what Prometheus does", () =>
    Effect.gen(function* () {
      for (const text of [
        "up",
        "1",
        "time()",
        "-up",
        "sum by (job) (rate(http_requests_total[5m]))",
        'sum(rate({job=~".+"}[1h])) by (job) # per job',
        "histogram_quantile(0.95, sum by (le) (rate(latency_bucket[5m])))",
        "max_over_time(rate(x_total[5m])[1h:1m])",
        "up @ 1609746000 offset 5m",
        "a / on (job) group_left (team) b",
        "sum(\n  up # those that run\n)\n# end",
        '{"http.status", code!~"4.."}'
      ]) {
        const { doubt, text: kept } = yield* parseExpression(text)
        assert.strictEqual(doubt, undefined, text)
        assert.strictEqual(kept, text)
      }
    })
  )

  it.effect("refuses what no server can complete, with its position", () =>
    Effect.gen(function* () {
      for (const [text, expected] of [
        ["sum(rate(x[5m])", "ends too early at line 1, column 16 (sum(rate(x[5m]) <-- HERE)"],
        ["up /", "ends too early at line 1, column 5 (up / <-- HERE)"],
        ['up{job="a"', 'ends too early at line 1, column 11 (up{job="a" <-- HERE)'],
        ['up{job="a', 'ends too early at line 1, column 10 (up{job="a <-- HERE)'],
        ["sum(\n  up\n  # all\n", "ends too early at line 4, column 1 (<-- HERE)"],
        ["up)", "has an unmatched closing bracket at line 1, column 3 (up <-- HERE ))"],
        ["sum(up[5m)])", "has an unmatched closing bracket at line 1, column 10 (sum(up[5m <-- HERE )]))"],
        ["# nothing", "ends too early at line 1, column 10 (# nothing <-- HERE)"]
      ] as const) {
        assert.strictEqual(yield* problemOf(text), expected)
      }
    })
  )

  it.effect("says where it is not sure, since a server may know more", () =>
    Effect.gen(function* () {
      for (const [text, expected] of [
        ["sum by job (up)", "line 1, column 8 (sum by <-- HERE job (up))"],
        ['sum(\n  "😀" + a b\n)', 'line 2, column 11 (  "😀" + a <-- HERE b)'],
        ["WITH (a = up) a", "line 1, column 6 (WITH <-- HERE (a = up) a)"],
        ["rate(up[5m]) keep_metric_names", "line 1, column 14 (rate(up[5m]) <-- HERE keep_metric_names)"]
      ] as const) {
        assert.strictEqual((yield* parseExpression(text)).doubt, expected)
      }
      const long = `${"a + ".repeat(100)}sum by job (up)${" + b".repeat(100)}`
      assert.match(
        (yield* parseExpression(long)).doubt ?? "",
        /^line 1, column 408 \(….{59} <-- HERE .{60}…\)$/
      )
    })
  )

  it.effect("refuses values that depend on the range of the request", () =>
    Effect.gen(function* () {
      for (const text of [
        "up @ start()",
        "rate(x[5m] @ end ( ))",
        "rate(x[range()])",
        "range_avg(x)",
        "running_sum (x)",
        "topk_max(5, x)",
        "bottomk_avg by (job) (5, x)",
        "keep_last_value(x)",
        "interpolate(x)",
        "outliers_iqr(x)",
        "buckets_limit(5, x)",
        "x - start()",
        "a + Range_Max(b)"
      ]) {
        assert.match(
          yield* problemOf(text),
          /^depends on the range of the request at line 1, column \d+ /,
          text
        )
      }
      for (const text of [
        "start",
        "range_avg",
        "running_sum / on (job) b",
        "job:range_avg",
        'label_replace(x, "a", "start())]", "b", "")',
        "up # start()",
        "topk(5, x)",
        "timestamp(x)"
      ]) {
        yield* parseExpression(text)
      }
    })
  )

  it.effect("knows the matchers of a plain selector", () =>
    Effect.gen(function* () {
      const equal = (label: string, value: string): Matcher => ({ label, operator: "=", value })
      for (const [text, expected] of [
        ["up", [equal("__name__", "up")]],
        [' ( up { job = "a" } ) # c', [equal("__name__", "up"), equal("job", "a")]],
        ['{__name__=~"a|b"}', [{ label: "__name__", operator: "=~", value: "a|b" }]],
        ['{"http.status", code="200"}', [equal("__name__", "http.status"), equal("code", "200")]],
        ["up offset 5m", undefined],
        ["up @ 1", undefined],
        ["up + up", undefined],
        ["-up", undefined],
        ["rate(up[5m])", undefined]
      ] as const) {
        assert.deepStrictEqual((yield* parseExpression(text)).matchers, expected, text)
      }
    })
  )

  it.effect("knows numbers without labels", () =>
    Effect.gen(function* () {
      for (const text of ["1", "time() - 60", "(pi())", "-1", "scalar(up) * 2", "-(1 + time())"]) {
        assert.isTrue((yield* parseExpression(text)).isScalar, text)
      }
      for (const text of ["vector(1)", "up + 1", "1 - up", "-up", "(up)", "absent(up)", "hour()"]) {
        assert.isFalse((yield* parseExpression(text)).isScalar, text)
      }
    })
  )
})

describe("countOf", () => {
  it("counts the series of any expression, also of one that ends with a comment", () => {
    assert.strictEqual(countOf({ text: "up # all", isScalar: false }), "count(\nup # all\n)")
    assert.strictEqual(countOf({ text: "time()", isScalar: true }), "count(vector(\ntime()\n))")
  })
})
