import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import {
  compilePattern,
  exactNames,
  isIncluded,
  type MetricFilter,
  type NamePattern
} from "../../src/promql/MetricFilter.ts"
import { choices } from "../choices.ts"

const pattern = (text: string): Promise<NamePattern> => Effect.runPromise(compilePattern(text))

const refusal = (text: string): Promise<string> => Effect.runPromise(Effect.flip(compilePattern(text)))

const filter = async (
  include: ReadonlyArray<string>,
  exclude: ReadonlyArray<string> = []
): Promise<MetricFilter> => ({
  include: await Promise.all(include.map(pattern)),
  exclude: await Promise.all(exclude.map(pattern))
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
    ["http.status", ["http.status"], ["httpxstatus", "http_status"]],
    ["*.duration", ["http.duration", "a.b.duration"], ["http_duration", "duration"]],
    ["http.se*", ["http.server", "http.server.duration"], ["http_server"]],
    ["k8s?pod.name", ["k8s.pod.name", "k8s_pod.name"], ["k8s.pod_name"]],
    ["http.*", ["http.server", "http_server"], ["xhttp"]],
    ["*.http.*", ["a.http.b"], ["http.b", "a.http"]],
    ["^up$", ["up"], ["xup"]],
    ["a{2}", ["aa"], ["a", "aaa"]],
    [".", ["."], ["a", ""]],
    [".+", ["a", "\n"], [""]]
  ])("%s", async (text, matching, others) => {
    const compiled = await pattern(text)
    for (const name of matching) assert.isTrue(compiled.test(name), name)
    for (const name of others) assert.isFalse(compiled.test(name), name)
  })

  it("counts characters, not halves of them", async () => {
    assert.isTrue((await pattern("temp_?")).test("temp_😀"))
    assert.isTrue((await pattern("temp_(.)")).test("temp_😀"))
    assert.isFalse((await pattern("temp_??")).test("temp_😀"))
    assert.isFalse((await pattern("*????")).test("a😀b"))
  })

  it.each(["(", "[a", "a)", "a{2,1}", "a|*", "\\", "+a", "(?=a)b", "(a)\\1", "a{1001}"])(
    "refuses %s",
    async (text) => {
      assert.strictEqual(
        await refusal(text),
        `${JSON.stringify(text)} is not a regular expression of RE2, the language of Prometheus`
      )
    }
  )

  it("refuses parentheses that only balance with the anchors", async () => {
    assert.match(await refusal("a)|(b"), /not a regular expression/)
  })

  it("refuses a pattern that is too long or too deep, in a short sentence", async () => {
    assert.strictEqual(
      await refusal("a".repeat(65_537)),
      "a pattern has 65537 characters, but must have at most 65536"
    )
    for (const deep of [
      "(".repeat(30_000) + ")".repeat(30_000),
      "[".repeat(65_536),
      "((a{1000}){1000}){1000}"
    ]) {
      assert.isBelow((await refusal(deep)).length, 300)
    }
  })

  it.effect.prop("a name matches only itself", [name, name], ([a, b]) =>
    Effect.promise(async () => {
      const itself = await pattern(a)
      assert.isTrue(itself.test(a))
      assert.strictEqual(itself.test(b), a === b)
      assert.isTrue((await pattern(`${a}*`)).test(a + b))
      assert.isTrue((await pattern(`*${b}`)).test(a + b))
      assert.isTrue((await pattern(`?${a.slice(1)}`)).test(a))
    })
  )

  it.prop("dots make no regular expression, unless * or ? follows one", [choices], ([choices]) =>
    Effect.promise(async () => {
      const text = () => choices.list(8, () => choices.pick(["a", "b", "."])).join("")
      const glob = choices.list(6, () => choices.pick(["a", "b", ".", "*", "?"])).join("") || "a.b"
      const isGlob = !/\.[*?]/.test(glob)
      const reference = new RegExp(
        `^${glob
          .replaceAll(".", "\\.")
          .replace(/\*+/g, ".*")
          .replace(/(?<!\.)\?/g, ".")}$`,
        "s"
      )
      const compiled = await pattern(glob)
      assert.strictEqual(compiled.text, glob)
      assert.strictEqual(compiled.isExact, !/[*?]/.test(glob))
      for (let i = 0; i < 20; i++) {
        const name = text()
        // With `.*` it is wider as an expression than as a glob: each name that the glob means is matched.
        if (isGlob) assert.strictEqual(compiled.test(name), reference.test(name), `${glob} over ${name}`)
      }
    })
  )

  it.prop("a glob matches the same as an equivalent JavaScript expression", [choices], ([choices]) =>
    Effect.promise(async () => {
      const text = () => choices.list(8, () => choices.pick(["a", "b", "😀"])).join("")
      const glob = choices.list(6, () => choices.pick(["a", "b", "😀", "*", "**", "?"])).join("") || "*"
      const reference = new RegExp(`^${glob.replace(/\*+/g, ".*").replaceAll("?", ".")}$`, "su")
      const compiled = await pattern(glob)
      for (let i = 0; i < 20; i++) {
        const name = text()
        assert.strictEqual(compiled.test(name), reference.test(name), `${glob} over ${name}`)
      }
    })
  )

  // JavaScript's regular expressions would take years for these.
  it.each([
    ["*a*a*a*a*a*a*a*a*b", false],
    ["*a*a*a*a*a*a*a*a*", true],
    ["*?*?*?*?*?*?*?*?*b", false],
    [".*a.*a.*a.*a.*a.*b", false],
    ["(a+)+", true],
    ["(a+)+b", false],
    ["(a|a)*b", false],
    ["(.*)*(.*)*(.*)*b", false],
    ["(a*){1,100}b", false],
    [`${"a?".repeat(500)}${"a".repeat(500)}`, false]
  ] as const)("matches %s in linear time", { timeout: 60_000 }, async (text, matches) => {
    const compiled = await pattern(text)
    for (const length of [3000, 1_000_000]) assert.strictEqual(compiled.test("a".repeat(length)), matches)
  })
})

describe("exactNames", () => {
  it("are the included names without patterns, if they are not excluded", async () => {
    assert.deepStrictEqual(exactNames(await filter(["up", "a.b", "up", "go_*", "x"], ["x"])), {
      names: ["up", "a.b"],
      isComplete: false
    })
    assert.isTrue(exactNames(await filter(["up", "a.b"])).isComplete)
    assert.deepStrictEqual(exactNames(await filter([])), { names: [], isComplete: false })
  })
})

describe("isIncluded", async () => {
  it("includes all names without patterns", async () => {
    assert.isTrue(isIncluded(await filter([]), "up"))
    assert.isTrue(isIncluded(await filter([]), ""))
  })

  it("includes names that match one of the patterns", async () => {
    assert.isTrue(isIncluded(await filter(["up", "node_*"]), "node_x"))
    assert.isFalse(isIncluded(await filter(["up", "node_*"]), "go_x"))
  })

  it("omits excluded names, even if they are included", async () => {
    assert.isFalse(isIncluded(await filter([], ["go_*"]), "go_x"))
    assert.isTrue(isIncluded(await filter([], ["go_*"]), "up"))
    assert.isFalse(isIncluded(await filter(["go_*"], ["go_gc_*", "x"]), "go_gc_x"))
    assert.isTrue(isIncluded(await filter(["go_*"], ["go_gc_*"]), "go_x"))
  })

  it("returns the same result each time", async () => {
    const twice = await filter(["node_*"], ["node_x"])
    for (let i = 0; i < 3; i++) {
      assert.isTrue(isIncluded(twice, "node_y"))
      assert.isFalse(isIncluded(twice, "node_x"))
    }
  })
})
