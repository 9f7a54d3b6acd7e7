import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { catalogStream, readCatalog } from "../../src/airbyte/Catalog.ts"
import type { DiscoveredStream } from "../../src/sync/Discovery.ts"
import { inputFile } from "./inputFile.ts"

const read = (content: unknown) =>
  Effect.flatMap(inputFile(content), readCatalog).pipe(Effect.provide(NodeServices.layer))

const stream = (name: string, more: object = {}) => ({
  stream: { name, json_schema: {} },
  sync_mode: "incremental",
  ...more
})

describe("readCatalog", () => {
  it.effect("reads names, modes, generations and columns", () =>
    Effect.gen(function* () {
      const streams = yield* read({
        streams: [
          {
            stream: {
              name: "up",
              json_schema: { type: "object", properties: { time: {}, job: { type: "x" } } }
            },
            sync_mode: "full_refresh",
            generation_id: 12
          },
          stream("down")
        ]
      })
      assert.deepStrictEqual(streams, [
        {
          name: "up",
          mode: "full_refresh",
          generationId: 12,
          properties: ["time", "job"],
          discoveredLabels: undefined
        },
        {
          name: "down",
          mode: "incremental",
          generationId: undefined,
          properties: [],
          discoveredLabels: undefined
        }
      ])
    })
  )

  it.effect("knows the queries, groups and tables among its streams", () =>
    Effect.gen(function* () {
      const discovered: ReadonlyArray<readonly [DiscoveredStream, string | undefined]> = [
        [{ name: "a", labels: ["metric", "record_id"], metadata: undefined }, undefined],
        [{ name: "b", labels: ["job"], metadata: undefined, expression: "rate(a[5m])" }, "query"],
        [{ name: "c", labels: [], metadata: undefined, group: { patterns: "a*", metrics: 2 } }, "group"],
        [{ name: "prometheus_targets", labels: [], metadata: undefined, table: "targets" }, "table"]
      ]
      const streams = yield* Effect.forEach(discovered, ([stream]) => catalogStream(stream, true))
      const kindsOf = Effect.fnUntraced(function* (streams: ReadonlyArray<object>) {
        const found = yield* read({
          streams: streams.map((stream) => ({ stream, sync_mode: "full_refresh" }))
        })
        return found.map(({ kind }) => kind)
      })
      assert.deepStrictEqual(
        yield* kindsOf(streams),
        discovered.map(([, kind]) => kind)
      )
      // A schema without properties, as some clients send it, shows nothing.
      const bare = streams.map(({ name }) => ({ name, json_schema: { description: "PromQL: a" } }))
      assert.deepStrictEqual(
        yield* kindsOf(bare),
        bare.map(() => undefined)
      )
    })
  )

  it.effect("accepts null for optional keys, and unknown keys", () =>
    Effect.gen(function* () {
      const streams = yield* read({
        streams: [
          {
            stream: {
              name: "up",
              json_schema: null,
              supported_sync_modes: null,
              source_defined_cursor: null,
              default_cursor_field: null,
              source_defined_primary_key: null,
              namespace: null,
              is_resumable: null,
              from_the_future: 1
            },
            sync_mode: "incremental",
            destination_sync_mode: null,
            cursor_field: null,
            primary_key: null,
            generation_id: null,
            minimum_generation_id: null,
            sync_id: null,
            include_files: null
          },
          { stream: { name: "b", json_schema: { properties: null } }, sync_mode: "incremental" },
          { stream: { name: "c" }, sync_mode: "incremental" }
        ],
        more: null
      })
      assert.deepStrictEqual(
        streams.map(({ generationId, name, properties }) => [
          name,
          generationId === undefined,
          properties.length
        ]),
        [
          ["up", true, 0],
          ["b", true, 0],
          ["c", true, 0]
        ]
      )
    })
  )

  it.effect("reads the list of discovered labels, if it is valid", () =>
    Effect.gen(function* () {
      const listOf = (other_labels: unknown) =>
        Effect.map(
          read({
            streams: [stream("m", { stream: { name: "m", json_schema: { properties: { other_labels } } } })]
          }),
          ([only]) => only?.discoveredLabels
        )
      assert.deepStrictEqual(yield* listOf({ $comment: 'discovered_labels: ["a","b"]' }), ["a", "b"])
      const lost = ["", "a", "discovered_labels: ", 'discovered_labels: "a"', 'discovered_labels: ["a",1]']
      for (const other of [{}, null, [], "x", { $comment: 1 }, ...lost.map(($comment) => ({ $comment }))]) {
        assert.isUndefined(yield* listOf(other))
      }
    })
  )

  it.effect(
    "reads 100,000 streams in linear time",
    () =>
      Effect.gen(function* () {
        const streams = Array.from({ length: 100_000 }, (_, i) => stream(`metric_${i}`))
        assert.lengthOf(yield* read({ streams }), streams.length)
        const twice = yield* Effect.flip(read({ streams: [...streams, streams[99_999]] }))
        assert.match(twice.message, /has the stream metric_99999 twice/)
      }),
    60_000
  )

  it.effect("keeps columns named like members of Object.prototype", () =>
    Effect.gen(function* () {
      const [only] = yield* read(
        '{"streams":[{"stream":{"name":"m","json_schema":{"properties":{"__proto__":{},"constructor":{}}}},"sync_mode":"incremental"}]}'
      )
      assert.deepStrictEqual(only?.properties, ["__proto__", "constructor"])
    })
  )

  it.effect("reads a catalog without streams", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read({ streams: [] }), [])
    })
  )

  const wrong: ReadonlyArray<readonly [what: string, content: unknown, where: RegExp]> = [
    [
      "an unknown sync mode",
      { streams: [stream("a"), stream("b", { sync_mode: "INVALID" })] },
      /streams\.1\.sync_mode/
    ],
    ["no sync mode", { streams: [{ stream: { name: "a", json_schema: {} } }] }, /streams\.0\.sync_mode/],
    ["no stream", { streams: [{ sync_mode: "incremental" }] }, /streams\.0\.stream/],
    [
      "a stream without a name",
      { streams: [{ stream: {}, sync_mode: "incremental" }] },
      /streams\.0\.stream\.name/
    ],
    ["a name that is not a string", { streams: [stream("a"), { stream: { name: 5 } }] }, /streams\.1/],
    [
      "a generation that is not a number",
      { streams: [stream("a", { generation_id: "7" })] },
      /streams\.0\.generation_id/
    ],
    ["no streams at all", {}, /streams/],
    ["a duplicate stream", { streams: [stream("a"), stream("b"), stream("a")] }, /stream a twice/],
    ["a list", [], /not a configured catalog/],
    ["null", "null", /not a configured catalog/]
  ]
  for (const [what, content, where] of wrong) {
    it.effect(`reports where a catalog is wrong: ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(read(content))
        assert.strictEqual(error._tag, "ConfigError")
        assert.match(error.message, where)
        assert.match(error.message, /The catalog file .*input\.json/)
      })
    )
  }

  it.effect("reports a file that is missing or not JSON", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(
        Effect.provide(readCatalog("/no/such/file.json"), NodeServices.layer)
      )
      assert.deepStrictEqual(
        [missing._tag, missing.message],
        ["InputFileError", "The catalog file /no/such/file.json cannot be read: it does not exist."]
      )
      const broken = yield* Effect.flip(read('{\n"streams": [\n}'))
      assert.strictEqual(broken._tag, "InputFileError")
      assert.match(broken.message, /is not JSON/)
    })
  )
})

describe("catalogStream", () => {
  const warnings: Array<unknown> = []
  const collect = Logger.layer([Logger.make(({ message }) => void warnings.push(message))])

  it.effect("declares the sync modes, cursor and primary key", () =>
    Effect.gen(function* () {
      const { json_schema, ...rest } = yield* catalogStream(
        { name: "up", labels: ["job"], metadata: { type: "gauge", help: "Is it up?", unit: "" } },
        true
      )
      assert.deepStrictEqual(rest, {
        name: "up",
        supported_sync_modes: ["full_refresh", "incremental"],
        source_defined_cursor: true,
        default_cursor_field: ["time"],
        source_defined_primary_key: [["series_id"], ["time"]],
        is_resumable: true
      })
      assert.deepInclude(json_schema, { description: "gauge. Is it up?" })
    })
  )

  it.effect("warns about labels without a column, but not without label columns", () =>
    Effect.gen(function* () {
      const metric = { name: "m", labels: ["Job", "job", "label_time"], metadata: undefined }
      warnings.length = 0
      yield* catalogStream(metric, false)
      assert.deepStrictEqual(warnings, [])
      yield* catalogStream(metric, true)
      assert.strictEqual(warnings.length, 1)
      assert.match(String(warnings[0]), /^m: .*other_labels.*: .*Job \(job\)/)
      assert.match(String(warnings[0]), /label_time/)
      yield* catalogStream({ ...metric, labels: ["job"] }, true)
      assert.strictEqual(warnings.length, 1)
    }).pipe(Effect.provide(collect))
  )
})
