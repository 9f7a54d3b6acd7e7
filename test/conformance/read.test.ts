/** The command `read`, rule by rule; `rules.read` also checks each run against the general rules. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import type { Fault } from "../../src/mock/http.ts"
import type { LabelsInput } from "../../src/mock/MockLabels.ts"
import { type MockValue, makeSeries } from "../../src/mock/MockSeries.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { onMetric, serve } from "../support/mockServer.ts"
import * as rules from "./rules.ts"
import {
  assertNoPassword,
  assertRefused,
  catalogOf,
  dataOf,
  discover,
  serveUnusable,
  storyOf,
  typesOf,
  typicalServers,
  wrongConfigurations
} from "./verbs.ts"

/** Enough minutes for several windows, and therefore several states. */
const minutes = 300

const three = ["a", "b", "c"]

const read = Effect.fnUntraced(function* (config: object, catalog: rules.Catalog, state?: unknown) {
  return yield* rules.read(yield* connector.workspace, config, catalog, state)
})

/** Reads all discovered streams. */
const readAll = Effect.fnUntraced(function* (config: object, mode: "full_refresh" | "incremental") {
  const { streams } = yield* discover(config)
  return yield* read(config, connector.configure(streams, mode))
})

describe("a stream that is read", { concurrent: true }, () => {
  it.live("is STARTED, RUNNING, then records with a state after each window, then COMPLETE", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(
        three.flatMap((name) => gauge(name, minutes, 3)),
        minutes
      )
      for (const [mode, story] of [
        ["incremental", /^STARTED RUNNING( RECORD STATE){2,} COMPLETE$/],
        // The last state of a refresh marks it as complete.
        ["full_refresh", /^STARTED RUNNING( RECORD STATE){2,} STATE COMPLETE$/]
      ] as const) {
        const output = yield* readAll(config, mode)
        assert.strictEqual(output.code, 0)
        for (const name of three) assert.match(storyOf(output, name), story)
        assert.strictEqual(connector.byKey(output.records).size, 3 * 3 * minutes)
      }
    })
  )

  const empty = [
    {
      what: "has no data in the range",
      series: gauge("m", 5),
      more: { start_date: "2026-02-01", end_date: "2026-02-02" }
    },
    { what: "is gone from the server", series: gauge("other", 5), more: {} },
    {
      what: "has no grid point in the range",
      series: gauge("m", 5),
      more: { step: 86_400, start_date: "2026-01-01T00:00:01Z" }
    },
    {
      what: "begins in the future",
      series: gauge("m", 5),
      more: { start_date: "2126-01-01", end_date: null }
    }
  ]
  it.live.each(empty)("is read as empty if it $what", ({ more, series }) =>
    Effect.gen(function* () {
      const { config } = yield* serve(series, 5)
      for (const [mode, story] of [
        ["incremental", /^STARTED RUNNING( STATE)+ COMPLETE$/],
        ["full_refresh", /^STARTED RUNNING( STATE)+ STATE COMPLETE$/]
      ] as const) {
        const output = yield* read({ ...config, ...more }, catalogOf(mode, "m"))
        assert.strictEqual(output.code, 0)
        assert.match(storyOf(output, "m"), story)
      }
    })
  )

  it.live("is read together with empty streams", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("b", 5), 5)
      const output = yield* read(config, catalogOf("incremental", ...three))
      assert.strictEqual(output.code, 0)
      assert.deepStrictEqual(
        three.map((name) => storyOf(output, name)),
        [
          "STARTED RUNNING STATE COMPLETE",
          "STARTED RUNNING RECORD STATE COMPLETE",
          "STARTED RUNNING STATE COMPLETE"
        ]
      )
    })
  )

  it.live(
    "has records with the current emission time, and a second refresh has the same records with a later one",
    () =>
      Effect.gen(function* () {
        const { config } = yield* serve(gauge("m", 20, 3), 20)
        const before = Date.now()
        const first = yield* readAll(config, "full_refresh")
        const between = Date.now()
        const second = yield* readAll(config, "full_refresh")
        assert.strictEqual(first.records.length, 60)
        assert.deepStrictEqual(dataOf(second), dataOf(first))
        for (const { emittedAt } of first.records) assert.isTrue(emittedAt >= before && emittedAt <= between)
        for (const { emittedAt } of second.records) assert.isAbove(emittedAt, between)
      })
  )

  it.live("waits if the server limits the rate, and reports until when", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5, {
        faults: (request, attempt) =>
          attempt === 1 ? onMetric("m", { status: 429, body: "too many requests" })(request) : undefined
      })
      const output = yield* readAll(config, "incremental")
      assert.strictEqual(output.code, 0)
      assert.strictEqual(storyOf(output, "m"), "STARTED WAITING RUNNING RECORD STATE COMPLETE")
      // The definition checks that there is exactly one reason, in this shape.
      const [waiting] = output.messages.flatMap(({ trace }) => {
        const { emitted_at, stream_status } =
          (trace as {
            readonly emitted_at: number
            readonly stream_status?: {
              readonly reasons?: ReadonlyArray<{ readonly rate_limited: { readonly quota_reset: number } }>
            }
          }) ?? {}
        return stream_status?.reasons?.map(({ rate_limited }) => ({ emitted_at, ...rate_limited })) ?? []
      })
      assert.isAbove(waiting?.quota_reset ?? 0, waiting?.emitted_at ?? 0)
    })
  )
})

describe("a record", { concurrent: true }, () => {
  /** Reads a single record of a series with these labels. Returns its data without the key. */
  const dataOfOne = Effect.fnUntraced(function* (
    labels: LabelsInput,
    value: number,
    more: object = {},
    change: (columns: Record<string, unknown>) => object = (columns) => columns,
    later: ReadonlyArray<string> = []
  ) {
    const { config } = yield* serve([makeSeries(labels, [[start, value]])], 1)
    const { streams } = yield* discover(config)
    const changed = streams
      .map((stream) => connector.beforeLabels(stream, later))
      .map((stream) => ({
        ...stream,
        json_schema: {
          ...stream.json_schema,
          properties: change({ ...stream.json_schema.properties }) as Record<string, unknown>
        }
      }))
    const output = yield* read({ ...config, ...more }, connector.configure(changed, "full_refresh"))
    assert.strictEqual(output.code, 0)
    assert.lengthOf(output.records, 1)
    const { series_id, time, ...data } = output.records[0]!.data
    assert.match(series_id as string, /^[0-9a-f]{32}$/)
    assert.strictEqual(time, iso(start))
    return data
  })

  const labels = { __name__: "m", job: "api", zone: "a" }

  it.live("has a value that JSON can represent, or else names the special value", () =>
    Effect.gen(function* () {
      const bucket = { boundaries: 0, lower: "1", upper: "2", count: "3" }
      const values: Readonly<Record<string, readonly [MockValue, object]>> = {
        finite: [0.1, { value: 0.1 }],
        nan: [Number.NaN, { value: null, special_value: "NaN" }],
        above: [Number.POSITIVE_INFINITY, { value: null, special_value: "+Inf" }],
        below: [Number.NEGATIVE_INFINITY, { value: null, special_value: "-Inf" }],
        native: [
          { count: "3", sum: "4.5", buckets: [bucket] },
          { value: null, histogram: { count: "3", sum: "4.5", buckets: [Object.values(bucket)] } }
        ]
      }
      const series = Object.entries(values).map(([__name__, [value]]) =>
        makeSeries({ __name__ }, [[start, value]])
      )
      const { config } = yield* serve(series, 1)
      const output = yield* readAll(config, "full_refresh")
      const read = output.records.map(
        ({ data: { series_id, time, ...data }, stream }) => [stream, data] as const
      )
      assert.deepStrictEqual(
        Object.fromEntries(read),
        Object.fromEntries(Object.entries(values).map(([name, [, data]]) => [name, data]))
      )
    })
  )

  it.live("has labels that appeared after discovery in other_labels", () =>
    Effect.gen(function* () {
      const data = yield* dataOfOne(labels, 1, {}, (columns) => columns, ["zone"])
      assert.deepStrictEqual(data, { value: 1, job: "api", other_labels: { zone: "a" } })
    })
  )

  // When a user deselects columns, the platform removes them from the catalog.
  it.live("has no deselected columns", () =>
    Effect.gen(function* () {
      const some = ({ job, series_id, time }: Record<string, unknown>) => ({ job, series_id, time })
      assert.deepStrictEqual(yield* dataOfOne(labels, 1, {}, some), { job: "api" })
      assert.deepStrictEqual(yield* dataOfOne(labels, Number.NaN, {}, some), { job: "api" })
      const withoutZone = ({ zone: _, ...columns }: Record<string, unknown>) => columns
      assert.deepStrictEqual(yield* dataOfOne(labels, 1, {}, withoutZone), { value: 1, job: "api" })
    })
  )

  it.live("has the columns of its catalog if the configuration has changed since", () =>
    Effect.gen(function* () {
      const columns = yield* dataOfOne(labels, 1, { label_columns: false })
      assert.deepStrictEqual(columns, { value: 1, job: "api", zone: "a" })
      const object = yield* dataOfOne(
        labels,
        1,
        { label_columns: true },
        ({ job: _, zone: __, other_labels, ...rest }) => ({
          ...rest,
          labels: other_labels
        })
      )
      assert.deepStrictEqual(object, { value: 1, labels: { job: "api", zone: "a" } })
    })
  )

  it.live("has all columns if the catalog declares none", () =>
    Effect.gen(function* () {
      const { config } = yield* serve([makeSeries(labels, [[start, 1]])], 1)
      const catalog = { streams: [{ stream: { name: "m", json_schema: {} }, sync_mode: "full_refresh" }] }
      const output = yield* read(config, catalog)
      assert.deepInclude(output.records[0]?.data, { value: 1, job: "api", zone: "a" })
    })
  )
})

describe("a stream that fails", { concurrent: true }, () => {
  const refusal = (status: number, error: string): Fault => ({
    status,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ status: "error", errorType: "execution", error })
  })
  const faults: ReadonlyArray<{
    readonly what: string
    readonly fault: Fault
    readonly more?: object
    readonly type: string
    readonly text: RegExp
  }> = [
    {
      what: "is refused",
      fault: refusal(422, "no such thing"),
      type: "config_error",
      text: /HTTP 422: no such thing\..*check selector/
    },
    {
      what: "gets a server error",
      fault: refusal(500, "out of memory"),
      type: "transient_error",
      text: /HTTP 500: out of memory/
    },
    { what: "is cut off", fault: { cutAfterBytes: 200 }, type: "transient_error", text: /broke off/ },
    {
      what: "gets a malformed response",
      fault: { body: '{"status":"success","data":' },
      type: "transient_error",
      text: /cannot be read/
    },
    {
      what: "never ends",
      fault: { stallAfterBytes: 200 },
      more: { request_timeout: 1 },
      type: "transient_error",
      text: /did not continue within 1 s/
    }
  ]

  it.live.each(faults)(
    "is INCOMPLETE after its error if it $what, and the others continue",
    ({ fault, more, text, type }) =>
      Effect.gen(function* () {
        const { config } = yield* serve(
          three.flatMap((name) => gauge(name, minutes)),
          minutes,
          { faults: onMetric("b", fault, true) },
          { max_retries: 0, ...more }
        )
        const output = yield* read(config, catalogOf("incremental", ...three))
        assert.strictEqual(output.code, 1)
        const story = /^STARTED RUNNING RECORD STATE( RECORD)? ERROR INCOMPLETE$/
        assert.match(storyOf(output, "b"), story, output.errors[0]?.message)
        for (const name of ["a", "c"])
          assert.match(storyOf(output, name), /^STARTED RUNNING( RECORD STATE)+ COMPLETE$/)
        const [ofStream, ofAll, ...others] = output.errors
        assert.isEmpty(others)
        assert.deepInclude(ofStream, { failure_type: type, stream_descriptor: { name: "b" } })
        assert.match(ofStream?.message ?? "", text)
        assert.strictEqual(ofAll?.failure_type, type)
        assert.match(ofAll?.message ?? "", /^1 of 3 streams failed: b\. /)
        assert.match(ofAll?.message ?? "", text)
        assert.strictEqual(typesOf(output).at(-1), "TRACE")
      })
  )

  it.live("is never RUNNING if it gets no response", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5, { faults: onMetric("m", refusal(422, "no")) })
      const output = yield* read(config, catalogOf("full_refresh", "m"))
      assert.strictEqual(output.code, 1)
      assert.strictEqual(storyOf(output, "m"), "STARTED ERROR INCOMPLETE")
    })
  )

  it.live(
    "is named together with all that failed, and one transient failure makes the final error transient",
    () =>
      Effect.gen(function* () {
        const fails = { a: onMetric("a", refusal(422, "no")), c: onMetric("c", refusal(500, "later")) }
        const { config } = yield* serve(
          three.flatMap((name) => gauge(name, 5)),
          5,
          { faults: (request) => fails.a(request) ?? fails.c(request) },
          { max_retries: 0, concurrency: 1 }
        )
        const output = yield* read(config, catalogOf("incremental", ...three))
        assert.strictEqual(output.code, 1)
        assert.deepStrictEqual(
          three.map((name) => storyOf(output, name).split(" ").at(-1)),
          ["INCOMPLETE", "COMPLETE", "INCOMPLETE"]
        )
        assert.strictEqual(output.errors.length, 3)
        assert.strictEqual(output.errors[2]?.failure_type, "transient_error")
        assert.match(output.errors[2]?.message ?? "", /^2 of 3 streams failed: a, c\. /)
      })
  )
})

describe("a read", { concurrent: true }, () => {
  it.live.each(typicalServers)("fails entirely, before any stream starts, if the server $what", (server) =>
    Effect.gen(function* () {
      const output = yield* read(yield* serveUnusable(server), catalogOf("incremental", ...three))
      assertRefused(output, server.failureType, ...server.says)
      assertNoPassword(output)
    })
  )

  /** Reads streams until `change` happens, at the first request for a later window of `b`. */
  const changing = Effect.fnUntraced(function* (change: () => Fault | undefined, more: object) {
    const isLater = onMetric("b", {}, true)
    let hasChanged = false
    const { config } = yield* serve(
      [...gauge("a", 5), ...gauge("b", minutes)],
      minutes,
      {
        faults: (request) => {
          hasChanged ||= isLater(request) !== undefined
          return hasChanged ? change() : undefined
        }
      },
      { concurrency: 1, ...more }
    )
    const output = yield* read(config, catalogOf("incremental", ...three))
    assert.strictEqual(output.code, 1)
    assert.match(storyOf(output, "a"), /^STARTED RUNNING RECORD( STATE)+ COMPLETE$/)
    assert.match(storyOf(output, "b"), /^STARTED RUNNING RECORD STATE( RECORD| STATE)* INCOMPLETE$/)
    // There are no messages about a stream that had not started by then.
    assert.strictEqual(storyOf(output, "c"), "")
    assert.lengthOf(output.errors, 1)
    assert.strictEqual(typesOf(output).at(-1), "TRACE")
    return output.errors[0]!
  })

  it.live("fails entirely if the password is changed in the middle", () =>
    Effect.gen(function* () {
      const error = yield* changing(() => ({ status: 401, body: "Unauthorized" }), {})
      assert.strictEqual(error.failure_type, "config_error")
      assert.match(error.message, /HTTP 401.*Check basic_auth_user, basic_auth_pass/)
    })
  )

  it.live("fails entirely if the server goes down in the middle", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const error = yield* changing(
        () => {
          Effect.runFork(Scope.close(scope, Exit.void))
          return undefined
        },
        { max_retries: 1 }
      ).pipe(Scope.provide(scope))
      assert.strictEqual(error.failure_type, "transient_error")
      assert.match(error.message, /connection refused.*Check base_url, that the server runs/)
    })
  )

  it.live("that fails names the streams that failed earlier", () =>
    Effect.gen(function* () {
      const refused = onMetric("a", { status: 422, body: "no" })
      const down = onMetric("b", { status: 401, body: "Unauthorized" })
      const { config } = yield* serve(
        three.flatMap((name) => gauge(name, 5)),
        5,
        { faults: (request) => refused(request) ?? down(request) },
        { concurrency: 1 }
      )
      const output = yield* read(config, catalogOf("incremental", ...three))
      assert.strictEqual(output.code, 1)
      assert.deepStrictEqual(
        three.map((name) => storyOf(output, name)),
        ["STARTED ERROR INCOMPLETE", "STARTED INCOMPLETE", ""]
      )
      assert.match(output.errors.at(-1)?.message ?? "", /HTTP 401.* Before that, a failed\.$/)
    })
  )

  it.live("without streams ends immediately", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const output = yield* read(config, { streams: [] })
      assert.deepStrictEqual([output.code, typesOf(output)], [0, []])
    })
  )

  it.live("adds nothing but logs with --debug", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const files = yield* connector.workspace
      const args = [
        "--config",
        files.write("config.json", config),
        "--catalog",
        files.write("catalog.json", catalogOf("incremental", "m"))
      ]
      const plain = yield* rules.verb(["read", ...args])
      const debug = yield* rules.verb(["read", "--debug", ...args])
      assert.deepStrictEqual([debug.code, typesOf(debug)], [0, typesOf(plain)])
      assert.match(debug.logs.join("\n"), /^DEBUG /m)
      assert.notMatch(plain.logs.join("\n"), /^(DEBUG|TRACE) /m)
    })
  )

  it.live("accepts null for optional catalog keys, and unknown keys", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const { streams } = yield* discover(config)
      const [{ json_schema, name }] = streams as [connector.Stream]
      // As Airbyte's Python CDK writes them: its models have all of these keys.
      const stream = {
        name,
        json_schema,
        supported_sync_modes: null,
        source_defined_cursor: null,
        default_cursor_field: null,
        source_defined_primary_key: null,
        namespace: null,
        is_resumable: null,
        is_file_based: null,
        from_the_future: { a: [1] }
      }
      for (const sync_mode of ["full_refresh", "incremental"]) {
        const configured = {
          stream,
          sync_mode,
          destination_sync_mode: null,
          cursor_field: null,
          primary_key: null,
          generation_id: null,
          minimum_generation_id: null,
          sync_id: null,
          destination_object_name: null,
          include_files: null,
          selected_fields: null,
          from_the_future: "x"
        }
        const output = yield* read(config, { streams: [configured], from_the_future: null } as rules.Catalog)
        assert.deepStrictEqual([output.code, output.records.length], [0, 5])
      }
    })
  )

  it.live("accepts the other keys of a platform's catalog", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const { streams } = yield* discover(config)
      const catalog = connector.configure(streams, "full_refresh")
      const output = yield* read(config, {
        streams: catalog.streams.map((stream) => ({
          ...stream,
          destination_sync_mode: "overwrite_dedup",
          generation_id: 7,
          minimum_generation_id: 7,
          sync_id: 99,
          destination_object_name: "m_1",
          include_files: false
        }))
      })
      assert.deepStrictEqual([output.code, output.records.length], [0, 5])
    })
  )

  // Meltano's wrapper omits them; the source defines them anyway.
  it.live("needs neither a cursor nor a primary key in the catalog", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const { streams } = yield* discover(config)
      for (const more of [{}, { cursor_field: [], primary_key: [] }, { cursor_field: ["value"] }]) {
        const output = yield* read(config, {
          streams: streams.map((stream) => ({ stream, sync_mode: "incremental", ...more }))
        })
        assert.deepStrictEqual([output.code, output.records.length], [0, 5])
        assert.deepInclude(output.states.at(-1)?.stream.stream_state, { time: iso(start + 4 * minute) })
      }
    })
  )

  const stream = { name: "m", json_schema: { type: "object", properties: {} } }
  const damaged = [
    {
      what: "has an unknown sync mode",
      catalog: {
        streams: [
          { stream: { ...stream, name: "__AIRBYTE__stream_that_does_not_exist" }, sync_mode: "INVALID" }
        ]
      },
      text: /not a configured catalog \(streams\.0\.sync_mode\).*Run discover again/
    },
    {
      what: "has a stream twice",
      catalog: {
        streams: [
          { stream, sync_mode: "incremental" },
          { stream, sync_mode: "full_refresh" }
        ]
      },
      text: /has the stream m twice/
    },
    {
      what: "was not configured",
      catalog: { streams: [{ ...stream, supported_sync_modes: ["incremental"] }] },
      text: /\(streams\.0\.stream\)/
    },
    { what: "is a message", catalog: { type: "CATALOG", catalog: { streams: [] } }, text: /\(streams\)/ },
    { what: "is null", catalog: "null", text: /not a configured catalog/ },
    { what: "is cut off", catalog: '{"streams": [', text: /catalog file .*catalog\.json is not JSON/ },
    { what: "is empty", catalog: "", text: /catalog file .*catalog\.json is not JSON: it is empty/ }
  ]
  it.live.each(damaged)("rejects a catalog that $what", ({ catalog, text }) =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(gauge("m", 5), 5)
      const files = yield* connector.workspace
      const output = yield* rules.verb([
        "read",
        "--config",
        files.write("config.json", config),
        "--catalog",
        files.write("catalog.json", catalog)
      ])
      assertRefused(output, "config_error", /^The catalog file /, text)
      assert.isEmpty(mock.requests)
    })
  )

  it.live("rejects invalid configurations, missing files and unknown flags", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const { config, mock } = yield* serve(gauge("m", 5), 5)
      const good = ["--config", files.write("config.json", config)]
      const catalog = ["--catalog", files.write("catalog.json", catalogOf("incremental", "m"))]
      const none = files.path("none.json")
      const [wrong] = wrongConfigurations
      const cases = [
        {
          args: ["--config", files.write("wrong.json", { ...config, ...wrong!.more }), ...catalog],
          text: wrong!.says[0]!
        },
        { args: ["--config", none, ...catalog], text: /configuration file .*none\.json .*does not exist/ },
        { args: [...good, "--catalog", none], text: /catalog file .*none\.json .*does not exist/ },
        { args: [...good, ...catalog, "--state", none], text: /state file .*none\.json .*does not exist/ },
        { args: good, text: /--catalog/ },
        { args: catalog, text: /--config/ },
        { args: [...good, ...catalog, "--state"], text: /--state/ },
        { args: [...good, ...catalog, "--colour"], text: /--colour/ },
        { args: [...good, ...catalog, "more"], text: /more/ }
      ]
      yield* Effect.forEach(
        cases,
        ({ args, text }) =>
          Effect.map(rules.verb(["read", ...args]), (output) => assertRefused(output, "config_error", text)),
        { concurrency: 2 }
      )
      assert.isEmpty(mock.requests)
    })
  )
})
