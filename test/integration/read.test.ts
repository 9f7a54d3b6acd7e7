/** Reads of real servers, compared sample by sample with the server's own responses. */
import { assert, layer } from "@effect/vitest"
import { Ajv } from "ajv"
import addFormats from "ajv-formats"
import { Context, Effect, Layer } from "effect"
import { query } from "../destinations/duckdb/steps.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { awkward, awkwardLabels, start } from "../support/dataset.ts"
import type { RealServer } from "../support/RealServer.ts"
import { referenceRecords } from "../support/referenceRecords.ts"
import { describeEach, servers } from "../support/servers.ts"

class Server extends Context.Service<Server, RealServer>()("test/Server") {}

const HOUR = 3_600_000
const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const config = <More extends object>(server: RealServer, more: More = {} as More) => ({
  base_url: server.baseUrl,
  start_date: iso(start),
  end_date: iso(start + 10 * HOUR),
  step: 15,
  ...more
})

/** The server's own samples of all streams in a range, from one query per stream. */
const reference = (
  server: RealServer,
  streams: ReadonlyArray<connector.Stream>,
  from: number,
  to: number,
  step: number
) =>
  Effect.promise(async () => {
    const all = new Map<string, string>()
    for (const { name } of streams) {
      const part = await referenceRecords({
        baseUrl: server.baseUrl,
        metric: name,
        start: from / 1000,
        end: to / 1000,
        step,
        pointsPerRequest: 11_000
      })
      for (const [key, value] of part) all.set(key, value)
    }
    return all
  })

const assertSame = (actual: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>): void => {
  const missing = [...expected].filter(([key]) => !actual.has(key))
  const surplus = [...actual].filter(([key]) => !expected.has(key))
  const different = [...expected].filter(([key, value]) => actual.has(key) && actual.get(key) !== value)
  assert.deepStrictEqual(
    { missing: missing.slice(0, 3), surplus: surplus.slice(0, 3), different: different.slice(0, 3) },
    { missing: [], surplus: [], different: [] }
  )
  assert.strictEqual(actual.size, expected.size)
}

const assertClean = (output: connector.Output): void => {
  assert.deepStrictEqual(output.errors, [])
  assert.strictEqual(output.stderr, "")
  assert.strictEqual(output.code, 0)
}

describeEach(servers, "reading a real $name", ({ make }) => {
  layer(Layer.effect(Server, make({ series: awkward() })), { timeout: 120_000 })((it) => {
    it.effect("discovers every metric with its labels", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const streams = yield* connector.discover(files, config(server))
        assert.deepStrictEqual(
          streams.map(({ name }) => name),
          ["awkward_names", "awkward_values", "job:requests:rate5m", "lonely", "requests_total", "special"]
        )
        const columns = Object.keys(streams[0]!.json_schema.properties)
        for (const [label] of awkwardLabels) {
          const clashes = /^(time|value|series_id|special_value|labels|other_labels|histogram)$/i.test(label)
          // Warehouses cannot distinguish `label_Time` from `label_time`, so one of the two labels has no column.
          if (label === "Time") assert.notInclude(columns, "label_Time")
          else assert.include(columns, clashes ? `label_${label}` : label)
        }
        for (const stream of streams) {
          assert.deepStrictEqual(stream.supported_sync_modes, ["full_refresh", "incremental"])
          assert.strictEqual(stream.source_defined_cursor, true)
          assert.deepStrictEqual(stream.default_cursor_field, ["time"])
          assert.deepStrictEqual(stream.source_defined_primary_key, [["series_id"], ["time"]])
          assert.strictEqual(stream.is_resumable, true)
        }
      })
    )

    it.effect("reads everything once in a full refresh, in the server's digits", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const streams = yield* connector.discover(files, config(server))
        const output = yield* connector.read(
          files,
          config(server),
          connector.configure(streams, "full_refresh")
        )
        assertClean(output)
        assertSame(
          connector.byKey(output.records),
          yield* reference(server, streams, start, start + 10 * HOUR, 15)
        )
        // 2,401 points are more than any first window has.
        for (const { name } of streams) {
          const states = output.states.filter(({ stream }) => stream.stream_descriptor.name === name)
          assert.isAbove(states.length, 2)
          assert.deepStrictEqual(states.at(-1)!.stream.stream_state, {
            __ab_full_refresh_sync_complete: true
          })
          assert.strictEqual(
            states.reduce((sum, state) => sum + state.sourceStats.recordCount, 0),
            output.records.filter((record) => record.stream === name).length
          )
          assert.deepStrictEqual(
            output.statuses.filter(
              (status) =>
                status.startsWith(`${name}:`) && status.split(":").length === name.split(":").length + 1
            ),
            [`${name}:STARTED`, `${name}:RUNNING`, `${name}:COMPLETE`]
          )
        }
      })
    )

    it.effect("writes records that match the schemas of the catalog", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        for (const label_columns of [true, false]) {
          const settings = config(server, { step: 600, label_columns })
          const streams = yield* connector.discover(files, settings)
          const output = yield* connector.read(files, settings, connector.configure(streams, "full_refresh"))
          assertClean(output)
          const ajv = new Ajv({ strict: true, allowUnionTypes: true, keywords: ["airbyte_type"] })
          addFormats.default(ajv)
          const validators = new Map(
            streams.map(({ json_schema, name }) => [
              name,
              ajv.compile({
                ...json_schema,
                additionalProperties: false,
                required: ["time", "value", "series_id"]
              })
            ])
          )
          for (const record of output.records) {
            const validate = validators.get(record.stream)!
            assert.isTrue(validate(record.data), JSON.stringify([record, validate.errors]))
            assert.match(record.data.series_id as string, /^[0-9a-f]{32}$/)
            assert.strictEqual("labels" in record.data, !label_columns)
          }
          assertSame(
            connector.byKey(output.records),
            yield* reference(server, streams, start, start + 10 * HOUR, 600)
          )
        }
      })
    )

    it.effect("reads the same in two incremental syncs as in one long sync", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const streams = yield* connector.discover(files, config(server))
        const catalog = connector.configure(streams, "incremental")
        const first = yield* connector.read(
          files,
          config(server, { end_date: iso(start + 4 * HOUR + 7000) }),
          catalog
        )
        assertClean(first)
        const second = yield* connector.read(files, config(server), catalog, first.states)
        assertClean(second)
        // `byKey` throws if a record is repeated.
        assertSame(
          connector.byKey([...first.records, ...second.records]),
          yield* reference(server, streams, start, start + 10 * HOUR, 15)
        )
        const third = yield* connector.read(files, config(server), catalog, second.states)
        assertClean(third)
        assert.strictEqual(third.records.length, 0)
        assert.strictEqual(third.states.length, streams.length)
      })
    )

    it.effect("resumes from every state that it emitted", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const settings = config(server, { metrics: { include: ["special"] } })
        const streams = yield* connector.discover(files, settings)
        const expected = yield* reference(server, streams, start, start + 10 * HOUR, 15)
        for (const mode of ["incremental", "full_refresh"] as const) {
          const catalog = connector.configure(streams, mode)
          const complete = yield* connector.read(files, settings, catalog)
          const checkpoints = complete.states.filter(({ stream }) => stream.stream_state.time !== undefined)
          assert.isAbove(checkpoints.length, 2)
          for (const state of checkpoints) {
            const rest = yield* connector.read(files, settings, catalog, [state])
            assertClean(rest)
            const until = Date.parse(state.stream.stream_state.time as string)
            const after = [...expected].filter(([key]) => (JSON.parse(key) as [unknown, number])[1] > until)
            assertSame(connector.byKey(rest.records), new Map(after))
          }
        }
      })
    )

    it.effect("reads the look-back window again, under the same keys", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const settings = config(server, { step: 60, lookback_window: 1800 })
        const streams = yield* connector.discover(files, settings)
        const catalog = connector.configure(streams, "incremental")
        const first = yield* connector.read(files, { ...settings, end_date: iso(start + 4 * HOUR) }, catalog)
        const second = yield* connector.read(files, settings, catalog, first.states)
        assertClean(second)
        assertSame(
          connector.byKey(second.records),
          yield* reference(server, streams, start + 3.5 * HOUR + 60_000, start + 10 * HOUR, 60)
        )
        const keys = (records: ReadonlyArray<connector.ParsedRecord>) =>
          new Map(records.map(({ data, stream }) => [`${stream} ${data.series_id} ${data.time}`, data]))
        const again = keys(second.records)
        const overlap = [...keys(first.records)].filter(
          ([, { time }]) => Date.parse(time as string) > start + 3.5 * HOUR
        )
        assert.isAbove(overlap.length, 100)
        for (const [key, data] of overlap) assert.deepStrictEqual(again.get(key), data)
      })
    )

    it.effect("runs into a database of DuckDB, and a second run adds nothing", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const streams = yield* connector.discover(files, config(server))
        const expected = yield* reference(server, streams, start, start + 10 * HOUR, 60)
        const path = files.path("data.duckdb")
        const args = ["run", "--config", files.write("c.json", config(server, { step: 60 }))]
        for (let i = 0; i < 2; i++) {
          const result = yield* child.run([...args, "--to", `duckdb:${path}`])
          assert.strictEqual(result.code, 0, result.stderr)
          for (const { name } of streams) {
            const [counted] = yield* query(
              path,
              `SELECT count(*)::INT AS rows, count(DISTINCT (series_id, time))::INT AS keys FROM "${name}"`
            )
            const rows = [...expected.keys()].filter((key) =>
              key.includes(`["__name__",${JSON.stringify(name)}]`)
            )
            assert.deepStrictEqual(counted, { rows: rows.length, keys: rows.length }, name)
          }
        }
      })
    )

    it.effect("puts labels that appeared after discovery into other_labels", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const settings = config(server, { step: 600 })
        const streams = yield* connector.discover(files, settings)
        const later = ["code", "plain", "text", "label_time"]
        const narrowed = streams.map((stream) => connector.beforeLabels(stream, later))
        const output = yield* connector.read(files, settings, connector.configure(narrowed, "full_refresh"))
        assertClean(output)
        for (const { data, stream } of output.records) {
          const { properties } = narrowed.find(({ name }) => name === stream)!.json_schema
          for (const column of Object.keys(data)) assert.property(properties, column)
        }
        assertSame(
          connector.byKey(output.records),
          yield* reference(server, streams, start, start + 10 * HOUR, 600)
        )
      })
    )

    it.effect("reads only the metrics and series that are selected", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const settings = config(server, {
          step: 300,
          metrics: { include: ["requests_*", "special", "job:.*"], exclude: ["spec?al"] },
          selector: '{job=~"a.i"}'
        })
        const streams = yield* connector.discover(files, settings)
        assert.deepStrictEqual(
          streams.map(({ name }) => name),
          ["job:requests:rate5m", "requests_total"]
        )
        const output = yield* connector.read(files, settings, connector.configure(streams, "full_refresh"))
        assertClean(output)
        const all = yield* reference(server, streams, start, start + 10 * HOUR, 300)
        assertSame(
          connector.byKey(output.records),
          new Map([...all].filter(([key]) => key.includes('["job","api"]')))
        )
      })
    )

    it.effect("sends requests as forms if the selector is too long for a URL", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const others = Array.from({ length: 500 }, (_, n) => `other_${n}`)
        const settings = config(server, {
          step: 300,
          metrics: { include: ["requests_total"] },
          selector: `{job!~"web|${others.join("|")}"}`
        })
        assert.isAbove(settings.selector.length, 4000)
        const streams = yield* connector.discover(files, settings)
        const output = yield* connector.read(files, settings, connector.configure(streams, "full_refresh"))
        assertClean(output)
        const all = yield* reference(server, streams, start, start + 10 * HOUR, 300)
        assertSame(
          connector.byKey(output.records),
          new Map([...all].filter(([key]) => key.includes('["job","api"]')))
        )
      })
    )
  })
})
