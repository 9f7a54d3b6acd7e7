import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { decodeConfig } from "../../src/config/ConnectorConfig.ts"
import type { Expression } from "../../src/promql/Expression.ts"
import { definitionOf, stepMillisOf } from "../../src/sync/StreamDefinition.ts"

const minimal = { base_url: "http://localhost:9090", start_date: "2026-01-01", step: 60 }

/** A parsed selector. */
const up: Expression = {
  text: "up",
  isScalar: false,
  matchers: [{ label: "__name__", operator: "=", value: "up" }],
  doubt: undefined
}

const decode = (given: Readonly<Record<string, unknown>>) => decodeConfig({ ...minimal, ...given })

const problemsOf = (given: Readonly<Record<string, unknown>>) =>
  Effect.map(Effect.flip(decode(given)), ({ problems = [] }) => problems)

describe("the settings of single streams", () => {
  it.effect("define each stream by its name", () =>
    Effect.gen(function* () {
      const settings = yield* decode({
        selector: '{env="prod"}',
        queries: [
          { name: "by_job", expression: "sum by (job) (up)" },
          { name: "slow", expression: "up", step: "1h" }
        ],
        groups: [{ name: "node", metrics: { include: ["node_*"], exclude: ["node_scrape_*"] } }],
        overrides: [
          { metrics: "cpu_*", step: "15s" },
          { metrics: "cpu_seconds", step: 1 },
          { metrics: "kube_.+", selector: '{cluster="a"}' }
        ],
        tables: ["targets", "alerts", "targets"]
      })
      const general = [{ label: "env", operator: "=", value: "prod" }] as const
      assert.deepStrictEqual(definitionOf(settings, "by_job"), {
        _tag: "Query",
        name: "by_job",
        expression: { text: "sum by (job) (up)", isScalar: false, matchers: undefined, doubt: undefined },
        stepSeconds: 60
      })
      assert.deepStrictEqual(definitionOf(settings, "slow"), {
        _tag: "Query",
        name: "slow",
        expression: up,
        stepSeconds: 3600
      })
      const node = definitionOf(settings, "node")
      assert.strictEqual(node._tag, "Group")
      assert.deepStrictEqual(definitionOf(settings, "prometheus_alerts"), {
        _tag: "Table",
        name: "prometheus_alerts",
        stepSeconds: 1,
        table: "alerts",
        matchers: []
      })
      assert.strictEqual(definitionOf(settings, "prometheus_rules")._tag, "Metric")
      assert.deepStrictEqual(definitionOf(settings, "up"), {
        _tag: "Metric",
        name: "up",
        stepSeconds: 60,
        sampling: "step",
        matchers: general
      })
      // The first override that matches counts.
      assert.deepStrictEqual(definitionOf(settings, "cpu_seconds"), {
        _tag: "Metric",
        name: "cpu_seconds",
        stepSeconds: 15,
        sampling: "step",
        matchers: general
      })
      assert.deepStrictEqual(definitionOf(settings, "kube_pod_info"), {
        _tag: "Metric",
        name: "kube_pod_info",
        stepSeconds: 60,
        sampling: "step",
        matchers: [{ label: "cluster", operator: "=", value: "a" }]
      })
      assert.deepStrictEqual(settings.tables, ["targets", "alerts"])
    })
  )

  it.effect("choose the stored samples of metrics and groups, and never of queries", () =>
    Effect.gen(function* () {
      const settings = yield* decode({
        sampling: "raw",
        queries: [{ name: "a", expression: "up" }],
        groups: [{ name: "node", metrics: { include: ["node_*"] } }],
        overrides: [
          { metrics: "up", step: 15 },
          { metrics: "cpu_*", sampling: "step" }
        ],
        tables: ["exemplars"]
      })
      const stepOf = (name: string) => stepMillisOf(definitionOf(settings, name))
      assert.deepStrictEqual(["other", "up", "node"].map(stepOf), [1, 1, 1])
      assert.deepStrictEqual(["cpu_seconds", "a"].map(stepOf), [60_000, 60_000])
      assert.strictEqual(stepOf("prometheus_exemplars"), 1000)
      const [problem = ""] = yield* problemsOf({ sampling: "all" })
      assert.strictEqual(problem, 'sampling is "all", but must be "step" or "raw".')
    })
  )

  it.effect("accept optional keys that a form has left empty", () =>
    Effect.gen(function* () {
      const { overrides, queries } = yield* decode({
        queries: [{ name: "a", expression: "up", step: "" }],
        overrides: [{ metrics: "up", step: 15, selector: null }]
      })
      assert.deepStrictEqual(queries, [{ name: "a", expression: up, stepSeconds: undefined }])
      assert.strictEqual(overrides[0]?.matchers, undefined)
    })
  )

  it.effect("refuse names that some destination cannot have", () =>
    Effect.gen(function* () {
      for (const name of ["", " a", "a b", "1a", "-a", "a/b", 'a"b', "ä", "a".repeat(201)]) {
        const [problem = ""] = yield* problemsOf({ queries: [{ name, expression: "up" }] })
        assert.match(problem, /^queries\[0\]\.name is ".*, but must be a letter or _, followed by/, name)
        assert.match(
          (yield* problemsOf({ groups: [{ name, metrics: {} }] }))[0] ?? "",
          /^groups\[0\]\.name is /
        )
      }
      for (const name of ["a", "_a", "job:rate5m", "api-errors", "a.b", "A1", "a".repeat(200)]) {
        yield* decode({ queries: [{ name, expression: "up" }] })
      }
    })
  )

  it.effect("refuse two streams of one name", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* problemsOf({
          queries: [
            { name: "Node", expression: "up" },
            { name: "prometheus_targets", expression: "up" }
          ],
          groups: [
            { name: "node", metrics: {} },
            { name: "other", metrics: {} },
            { name: "other", metrics: {} }
          ],
          tables: ["targets", "targets"]
        }),
        [
          'queries[0].name is "Node" and groups[0].name is "node", which differ only in upper and lower case: give each stream a name of its own.',
          'groups[1].name is "other" and groups[2].name is "other": give each stream a name of its own.',
          'queries[1].name is "prometheus_targets" and the stream of targets in tables is "prometheus_targets": give each stream a name of its own.'
        ]
      )
    })
  )

  it.effect("name the key of each problem", () =>
    Effect.gen(function* () {
      for (const [given, expected] of [
        [{ queries: [{ name: "a" }] }, /^queries\[0\]\.expression is missing/],
        [{ queries: [{ name: "a", expression: "  " }] }, /^queries\[0\]\.expression is empty/],
        [
          { queries: [{ name: "a", expression: "sum(up" }] },
          /^queries\[0\]\.expression, of the stream a, ends too early at line 1, column 7 \(sum\(up <-- HERE\)\.$/
        ],
        [
          { queries: [{ name: "a", expression: "up @ end()" }] },
          /^queries\[0\]\.expression, of the stream a, depends on the range of the request at line 1, column 6/
        ],
        [{ queries: [{ name: "a", expression: "up", step: 0 }] }, /^queries\[0\]\.step is 0, but must be/],
        [{ queries: { name: "a" } }, /^queries is an object .* must be a list of objects/],
        [{ groups: [{ name: "a" }] }, /^groups\[0\]\.metrics is missing/],
        [{ groups: [{ name: "a", metrics: { include: ["("] } }] }, /^groups\[0\]\.metrics\.include: "\("/],
        [{ groups: [{ name: "a", metrics: { exclude: [""] } }] }, /^groups\[0\]\.metrics\.exclude: an empty/],
        [{ overrides: [{ metrics: "[", step: 5 }] }, /^overrides\[0\]\.metrics: "\["/],
        [{ overrides: [{ metrics: "up" }] }, /^overrides\[0\] must have step, selector or sampling/],
        [
          { overrides: [{ metrics: "up", selector: "{" }] },
          /^overrides\[0\]\.selector must be label matchers/
        ],
        [{ tables: ["up"] }, /^tables is a list .* must be a list of "targets" or "rules"/]
      ] as const) {
        const problems = yield* problemsOf(given)
        assert.match(problems[0] ?? "", expected, JSON.stringify(problems))
        assert.strictEqual(problems.length, 1)
      }
    })
  )
})
