/** The Parquet files of a run, read by Arrow, an independent implementation. */
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination } from "../../src/destinations/Destination.ts"
import { fileName } from "../../src/destinations/folder/fileName.ts"
import { layer } from "../../src/destinations/parquet/ParquetFolder.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import {
  floats,
  histogramsOf,
  put,
  putBlocks,
  seriesOf,
  start,
  temporaryFolder
} from "../destinations/drive.ts"
import * as S3 from "../support/s3.ts"
import { script } from "./fixture.ts"
import { runPython } from "./python.ts"

const python = inject("python")

describe.runIf(python !== undefined)("Parquet files", () => {
  it.live("are read by Arrow as partitions, times with a zone, numbers, strings and histograms", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.scoped(
        Effect.gen(function* () {
          const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", "incremental_append"))
          const day = 86_400_000
          yield* writer.write([
            floats(seriesOf("up", { job: "a" }), [
              [start, "1.5"],
              [start + day + 1, "NaN"]
            ]),
            histogramsOf(seriesOf("up", { job: "a" }), start + day + 2, [
              {
                count: "4",
                sum: "NaN",
                buckets: [
                  { boundaries: 1, lower: "-0.5", upper: "-0.25", count: "1" },
                  { boundaries: 3, lower: "-1e-07", upper: "1e-07", count: "0.1" },
                  { boundaries: 0, lower: "8", upper: "+Inf", count: "2" }
                ]
              }
            ])
          ])
          yield* writer.commit(new StreamState({ time: "2026-01-02T00:00:00Z", step: 60, version: 1 }))
          yield* writer.complete
        })
      ).pipe(Effect.provide(layer({ path: join(folder, "data"), source: "http://mock", labelColumns: true })))
      const { code, stderr, stdout } = yield* runPython(python ?? "", folder, [
        script("parquet_read.py"),
        join(folder, "data", "up")
      ])
      assert.strictEqual(code, 0, stderr)
      const series_id = seriesOf("up", { job: "a" }).id
      const common = { series_id, histogram: null, job: "a", other_labels: null }
      assert.deepStrictEqual(JSON.parse(stdout), {
        columns: {
          series_id: "string",
          time: "timestamp[us, tz=UTC]",
          value: "double",
          special_value: "string",
          histogram:
            "struct<count: double, sum: double, buckets: list<element: struct<boundaries: uint8, lower: double, upper: double, count: double>>>",
          job: "string",
          other_labels: "string",
          day: "string"
        },
        rows: [
          {
            ...common,
            time: "2026-01-01T00:00:00+00:00",
            value: 1.5,
            special_value: null,
            day: "2026-01-01"
          },
          {
            ...common,
            time: "2026-01-02T00:00:00.001000+00:00",
            value: null,
            special_value: "NaN",
            day: "2026-01-02"
          },
          {
            ...common,
            time: "2026-01-02T00:00:00.002000+00:00",
            value: null,
            special_value: null,
            histogram: {
              count: 4,
              sum: "nan",
              buckets: [
                { boundaries: 1, lower: -0.5, upper: -0.25, count: 1 },
                { boundaries: 3, lower: -1e-7, upper: 1e-7, count: 0.1 },
                { boundaries: 0, lower: 8, upper: "inf", count: 2 }
              ]
            },
            day: "2026-01-02"
          }
        ]
      })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("are read by Arrow in a bucket", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const server = yield* S3.make()
      Object.assign(process.env, server.environment)
      const stream = "Http:Requests"
      const place = layer({ path: "s3://metrics/a b/c", source: "http://mock", labelColumns: true })
      yield* put(stream, "incremental_append_deduped", 0, 1, 2000).pipe(Effect.provide(place))
      yield* put(stream, "incremental_append_deduped", 1, 2000, 2001).pipe(Effect.provide(place))
      const histogram = {
        count: "2",
        sum: "0.5",
        buckets: [{ boundaries: 0, lower: "0.25", upper: "0.5", count: "2" }]
      }
      const histograms = histogramsOf(
        seriesOf(stream, { job: "h" }),
        start + 3_600_000,
        Array.from({ length: 7 }, () => histogram)
      )
      yield* putBlocks(stream, "incremental_append_deduped", [histograms], 2002).pipe(Effect.provide(place))
      const { code, stderr, stdout } = yield* runPython(python ?? "", folder, [
        script("parquet_s3_read.py"),
        new URL(server.endpoint).host,
        S3.s3Region,
        S3.s3Keys.accessKeyId,
        S3.s3Keys.secretAccessKey,
        `metrics/a b/c/${fileName(stream)}`
      ])
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(JSON.parse(stdout), { rows: 11, sum: 0 + 1 + 2000 + 2001, upper: 7 * 0.5 })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
