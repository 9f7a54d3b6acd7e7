/** The command `discover`, rule by rule. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Predicate } from "effect"
import type { LabelsInput } from "../../src/mock/MockLabels.ts"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import * as connector from "../support/connector.ts"
import { gauge, start } from "../support/gauge.ts"
import { onMetric, serve } from "../support/mockServer.ts"
import { makeAjv } from "./definition.ts"
import * as rules from "./rules.ts"
import {
  assertNoPassword,
  assertRefused,
  discover,
  password,
  serveUnusable,
  typesOf,
  typicalServers,
  wrongConfigurations
} from "./verbs.ts"

/** A series with one sample. */
const series = (labels: LabelsInput, value = 1) => makeSeries(labels, [[start, value]])

/** Names that have a meaning in JavaScript, in JSON Schema, in a warehouse or here. */
const awkward = [
  series([
    ["__name__", "__proto__"],
    ["__proto__", "a"],
    ["constructor", "b"],
    ["toString", "c"],
    ["hasOwnProperty", "d"]
  ]),
  series({ __name__: "constructor", time: "a", value: "b", series_id: "c", Histogram: "d", labels: "e" }),
  series({ __name__: "time", Job: "a", job: "b", JOB: "c" }),
  series({ __name__: "value", label_time: "a", label_other: "b", $ref: "c", not: "d" }),
  series({ __name__: "température.cœur", größe: "a", "with.dot": "b", "with space": "c", 'with"quote': "d" }),
  series({ __name__: "job:requests:rate5m" }),
  series({ __name__: "Up", job: "api" }),
  series({ __name__: "up", job: "api" }, Number.NaN)
]

/** A schema, and every value inside it. */
const within = (json: unknown): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  Predicate.isObjectOrArray(json)
    ? [...(Predicate.isReadonlyObject(json) ? [json] : []), ...Object.values(json).flatMap(within)]
    : []

/** The catalog of the awkward names, discovered once for all tests. */
const discovered = Effect.runSync(
  Effect.cached(
    Effect.scoped(
      Effect.gen(function* () {
        const { config } = yield* serve(awkward, 1)
        return yield* discover(config)
      })
    )
  )
)

describe("a discovered catalog", { concurrent: true }, () => {
  const eachStream = (check: (stream: connector.Stream) => void) =>
    Effect.map(discovered, ({ streams }) => {
      assert.isNotEmpty(streams)
      for (const stream of streams) check(stream)
    })

  it.live("has one stream per metric, each name once", () =>
    Effect.gen(function* () {
      const names = (yield* discovered).streams.map(({ name }) => name)
      assert.deepStrictEqual(names, [...new Set(names)])
      assert.sameMembers(names, [
        ...new Set(awkward.map(({ labels }) => labels.find(([name]) => name === "__name__")![1]))
      ])
    })
  )

  it.live("has object schemas that are valid draft 7", () =>
    eachStream(({ json_schema, name }) => {
      const ajv = makeAjv()
      assert.propertyVal(json_schema, "$schema", "http://json-schema.org/draft-07/schema#")
      assert.propertyVal(json_schema, "type", "object")
      assert.isTrue(ajv.validateSchema(json_schema), `${name}: ${ajv.errorsText()}`)
      assert.doesNotThrow(() => ajv.compile(json_schema), undefined, undefined, name)
    })
  )

  it.live("uses only keywords that destinations accept", () =>
    eachStream(({ json_schema }) => {
      const { properties, ...rest } = json_schema
      // A property may have the name of a keyword: the names directly below `properties` are not keywords.
      for (const schema of [rest, ...Object.values(properties)].flatMap(within)) {
        assert.doesNotHaveAnyKeys(schema, ["$ref", "allOf", "anyOf", "oneOf", "not", "definitions"])
      }
    })
  )

  it.live("has one type for each column, optionally with null", () =>
    eachStream(({ json_schema }) => {
      for (const [column, schema] of Object.entries(json_schema.properties)) {
        const { type } = schema as { readonly type?: unknown }
        const [first, second, ...more] = Array.isArray(type) ? type : [type]
        assert.include(["string", "number", "object"], first, column)
        assert.include([undefined, "null"], second, column)
        assert.isEmpty(more)
      }
    })
  )

  it.live("has a cursor and a primary key that are columns with scalar types", () =>
    eachStream((stream) => {
      const { properties } = stream.json_schema
      assert.deepStrictEqual(stream.default_cursor_field, ["time"])
      assert.deepStrictEqual(stream.source_defined_primary_key, [["series_id"], ["time"]])
      // Not nullable either: a key must not be null.
      for (const column of ["time", "series_id"]) assert.propertyVal(properties[column], "type", "string")
      assert.deepInclude(properties.time, { format: "date-time", airbyte_type: "timestamp_with_timezone" })
      assert.isTrue(stream.source_defined_cursor)
    })
  )

  it.live("supports both sync modes, and resumable full refreshes", () =>
    eachStream((stream) => {
      assert.deepStrictEqual(stream.supported_sync_modes, ["full_refresh", "incremental"])
      assert.isTrue(stream.is_resumable)
    })
  )

  it.live("has no columns that differ only in case", () =>
    eachStream(({ json_schema }) => {
      const lower = Object.keys(json_schema.properties).map((column) => column.toLowerCase())
      assert.deepStrictEqual(lower, [...new Set(lower)])
    })
  )

  it.live("has a column for every label, in addition to our own columns", () =>
    Effect.gen(function* () {
      const { logs, streams } = yield* discovered
      const ours = ["time", "value", "special_value", "series_id", "histogram", "other_labels"]
      const columns = new Map(
        streams.map(({ json_schema, name }) => [
          name,
          Object.keys(json_schema.properties).filter((column) => !ours.includes(column))
        ])
      )
      assert.sameMembers(columns.get("__proto__") ?? [], [
        "__proto__",
        "constructor",
        "toString",
        "hasOwnProperty"
      ])
      assert.sameMembers(columns.get("constructor") ?? [], [
        "label_time",
        "label_value",
        "label_series_id",
        "label_Histogram",
        "label_labels"
      ])
      assert.deepStrictEqual(columns.get("time"), ["job"])
      assert.sameMembers(columns.get("value") ?? [], ["label_other", "$ref", "not"])
      assert.sameMembers(columns.get("température.cœur") ?? [], [
        "größe",
        "with.dot",
        "with space",
        'with"quote'
      ])
      // Labels without a column are reported.
      const reported = logs.join("\n")
      assert.match(reported, /^WARN time: .*other_labels.*JOB \(job\), Job \(job\)/m)
      assert.match(reported, /^WARN value: .*other_labels.*label_time/m)
    })
  )

  for (const label_columns of [true, false]) {
    it.live(
      `matches the records, ${label_columns ? "with a column per label" : "labels in one object"}`,
      () =>
        Effect.gen(function* () {
          const { config } = yield* serve(awkward, 1, {}, { label_columns })
          const { logs, streams } = yield* discover(config)
          const files = yield* connector.workspace
          const output = yield* rules.read(files, config, connector.configure(streams, "full_refresh"))
          assert.strictEqual(output.code, 0)
          // No label is lost, whichever column it is in.
          assert.sameDeepMembers(
            output.records.map((record) => new Map(connector.labelsOf(record))),
            awkward.map(({ labels }) => new Map(labels))
          )
          if (label_columns) return
          assert.deepStrictEqual(
            logs.filter((line) => line.includes("other_labels")),
            []
          )
          for (const { json_schema } of streams) {
            assert.hasAllKeys(json_schema.properties, [
              "time",
              "value",
              "special_value",
              "series_id",
              "histogram",
              "labels"
            ])
          }
        })
    )
  }
})

describe("discover", { concurrent: true }, () => {
  it.live("reports the same catalog each time", () =>
    Effect.gen(function* () {
      const { config } = yield* serve([...gauge("b", 3, 2), ...gauge("a", 3)], 3)
      const first = yield* discover(config)
      assert.deepStrictEqual((yield* discover(config)).streams, first.streams)
      assert.deepStrictEqual(
        first.streams.map(({ name }) => name),
        ["a", "b"]
      )
    })
  )

  it.live("adds nothing but logs with --debug", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 3), 3)
      const files = yield* connector.workspace
      const path = files.write("config.json", config)
      const output = yield* rules.verb(["discover", "--debug", "--config", path])
      assert.deepStrictEqual([output.code, typesOf(output)], [0, ["CATALOG"]])
    })
  )

  it.live("warns about metrics that a destination may put into the same table", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(
        ["up", "Up", "other", "UP"].flatMap((name) => gauge(name, 3)),
        3
      )
      const { logs, streams } = yield* discover(config)
      assert.lengthOf(streams, 4)
      const warnings = logs.filter((text) => text.startsWith("WARN"))
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0]!, /upper and lower case.*: UP, Up, up\./)
    })
  )

  it.live("has only the metrics that are configured", () =>
    Effect.gen(function* () {
      const all = ["node_cpu", "node_load", "go_threads"].flatMap((name) => gauge(name, 3))
      const { config } = yield* serve(all, 3, {}, { metrics: { include: ["node_*"], exclude: [".*_load"] } })
      const { streams } = yield* discover(config)
      assert.deepStrictEqual(
        streams.map(({ name }) => name),
        ["node_cpu"]
      )
    })
  )

  // Only a read needs samples: a discovery that requested them would take forever on a large server.
  it.live("requests no samples", () =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(gauge("m", 3), 3, { faults: onMetric("m", { status: 500 }) })
      yield* discover(config)
      assert.isFalse(mock.requests.some(({ path }) => path.endsWith("/query_range")))
    })
  )

  it.live("omits descriptions if the server has none", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 3), 3, {
        faults: ({ path }) => (path.endsWith("/metadata") ? { status: 404, body: "no" } : undefined)
      })
      const { streams } = yield* discover(config)
      assert.deepStrictEqual(
        streams.map(({ json_schema, name }) => [name, json_schema.description]),
        [["m", undefined]]
      )
    })
  )

  it.live("fails entirely if the labels of one metric cannot be read", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(
        [...gauge("a", 3), ...gauge("b", 3)],
        3,
        {
          faults: ({ params, path }) =>
            path.endsWith("/labels") && params.get("match[]")?.includes("b") === true
              ? { status: 500, body: "out of memory" }
              : undefined
        },
        { max_retries: 0 }
      )
      assertRefused(yield* refused(config), "transient_error", /\/api\/v1\/labels .*HTTP 500: out of memory/)
    })
  )

  it.live("is not slowed down by name patterns that make other engines backtrack", () =>
    Effect.gen(function* () {
      const long = "a".repeat(3000)
      const { config } = yield* serve(
        [...gauge(`${long}x`, 3), ...gauge(`${long}b`, 3), ...gauge("aaa", 3)],
        3,
        {},
        {
          metrics: {
            include: ["*a*a*a*a*a*a*a*b", "(a+)+", "(.*a)+(.*a)+(.*a)+y"],
            exclude: ["(a*)*(a*)*(a*)*c"]
          }
        }
      )
      const { streams } = yield* discover(config)
      assert.deepStrictEqual(
        streams.map(({ name }) => name),
        ["aaa", `${long}b`]
      )
    })
  )

  it.live("fails if there is nothing to read", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 3), 3, {}, { metrics: { include: ["other"] } })
      assertRefused(
        yield* refused(config),
        "config_error",
        /^No metric of http:\/\/127\.0\.0\.1:\d+ has data in the configured range/,
        /Check start_date and end_date, and whether metrics and selector leave any/
      )
    })
  )

  it.live("fails if the configuration is invalid", () =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(gauge("m", 3), 3)
      for (const { more, says } of wrongConfigurations.slice(-2)) {
        const output = yield* refused({ ...config, ...more })
        assertRefused(output, "config_error", ...says)
        assertNoPassword(output)
      }
      assert.isEmpty(mock.requests)
    })
  )

  it.live.each(typicalServers)("fails if the server $what", (server) =>
    Effect.gen(function* () {
      const output = yield* refused(yield* serveUnusable(server))
      assertRefused(output, server.failureType, ...server.says)
      assertNoPassword(output)
    })
  )

  it.live("rejects unusable files and unknown flags", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const broken = files.write("broken.json", `{"basic_auth_pass": "${password}"`)
      const cases = [
        { args: ["discover", "--config", files.path("none.json")], text: /none\.json .*does not exist/ },
        { args: ["discover", "--config", broken], text: /broken\.json is not JSON/ },
        { args: ["discover"], text: /--config/ },
        { args: ["discover", "--config", broken, "--colour"], text: /--colour/ }
      ]
      for (const { args, text } of cases) {
        const output = yield* rules.verb(args)
        assertRefused(output, "config_error", text)
        assertNoPassword(output)
      }
    })
  )

  const refused = Effect.fnUntraced(function* (config: object) {
    const files = yield* connector.workspace
    return yield* rules.verb(["discover", "--config", files.write("config.json", config)])
  })
})
