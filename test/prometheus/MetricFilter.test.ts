import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { compilePattern, isIncluded, type MetricFilter } from "../../src/prometheus/MetricFilter.ts"

const pattern = (text: string): RegExp => Result.getOrThrow(compilePattern(text))

const filter = (include: ReadonlyArray<string>, exclude: ReadonlyArray<string> = []): MetricFilter => ({
  include: include.map(pattern),
  exclude: exclude.map(pattern)
})

const name = Schema.String.check(Schema.isPattern(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/))

describe("compilePattern", () => {
  it.each<readonly [text: string, matching: ReadonlyArray<string>, others: ReadonlyArray<string>]>([
    ["up", ["up"], ["u", "upp", "xup", "up2", "UP", ""]],
    ["node_*", ["node_", "node_cpu", "node_cpu_seconds_total"], ["node", "xnode_cpu", "Node_cpu"]],
    ["*_total", ["_total", "a_total"], ["a_total_x", "total"]],
    ["*", ["", "a", "a.b", "a\nb"], []],
    ["node_?", ["node_a", "node_é"], ["node_", "node_ab"]],
    ["job:http_*:rate5m", ["job:http_requests:rate5m"], ["job:http_requests:rate1m"]],
    [
      "node_.*_total",
      ["node_cpu_total", "node__total"],
      ["node_total", "xnode_cpu_total", "node_cpu_totals"]
    ],
    ["a|b", ["a", "b"], ["ab", "a|b", "xa", "bx"]],
    ["(go|node)_.+", ["go_x", "node_x"], ["go_", "xgo_x"]],
    ["[a-c]x", ["ax", "cx"], ["dx", "[a-c]x"]],
    ["http\\.status", ["http.status"], ["httpxstatus"]],
    ["http.status", ["http.status", "httpxstatus"], ["http_status_total"]],
    ["^up$", ["up"], ["xup"]],
    ["a{2}", ["aa"], ["a", "aaa"]],
    [".", ["a", "\n"], ["", "ab"]]
  ])("%s", (text, matching, others) => {
    for (const name of matching) assert.isTrue(pattern(text).test(name), name)
    for (const name of others) assert.isFalse(pattern(text).test(name), name)
  })

  it("counts characters, not halves of them", () => {
    assert.isTrue(pattern("temp_?").test("temp_😀"))
    assert.isTrue(pattern("temp_.").test("temp_😀"))
    assert.isFalse(pattern("temp_??").test("temp_😀"))
  })

  it.each(["(", "[a", "a)", "*.b", "a{2,1}", "a|*", "\\", "+a"])("refuses %s", (text) => {
    const result = compilePattern(text)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result))
      assert.strictEqual(result.failure, `${JSON.stringify(text)} is not a regular expression`)
  })

  it("refuses parentheses that only balance with its own", () => {
    assert.isTrue(Result.isFailure(compilePattern("a)|(b")))
  })

  it.prop("a name matches itself alone", [name, name], ([a, b]) => {
    assert.isTrue(pattern(a).test(a))
    assert.strictEqual(pattern(a).test(b), a === b)
    assert.isTrue(pattern(`${a}*`).test(a + b))
    assert.isTrue(pattern(`*${b}`).test(a + b))
    assert.isTrue(pattern(`?${a.slice(1)}`).test(a))
  })
})

describe("isIncluded", () => {
  it("takes all names without patterns", () => {
    assert.isTrue(isIncluded(filter([]), "up"))
    assert.isTrue(isIncluded(filter([]), ""))
  })

  it("takes what one of the patterns matches", () => {
    assert.isTrue(isIncluded(filter(["up", "node_*"]), "node_x"))
    assert.isFalse(isIncluded(filter(["up", "node_*"]), "go_x"))
  })

  it("leaves out what is excluded, also if it is included", () => {
    assert.isFalse(isIncluded(filter([], ["go_*"]), "go_x"))
    assert.isTrue(isIncluded(filter([], ["go_*"]), "up"))
    assert.isFalse(isIncluded(filter(["go_*"], ["go_gc_*", "x"]), "go_gc_x"))
    assert.isTrue(isIncluded(filter(["go_*"], ["go_gc_*"]), "go_x"))
  })

  it("gives the same answer each time", () => {
    const twice = filter(["node_*"], ["node_x"])
    for (let i = 0; i < 3; i++) {
      assert.isTrue(isIncluded(twice, "node_y"))
      assert.isFalse(isIncluded(twice, "node_x"))
    }
  })
})
