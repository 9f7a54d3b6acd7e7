import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { SummaryDocument, summaryDocument, summaryJson } from "../../src/report/summaryJson.ts"
import { failedStream, runOf, streamOf } from "./summaries.ts"

describe("summaryJson", () => {
  const run = runOf([streamOf("up", { retries: 1 }), failedStream("gone", "It is gone.")])

  it("has stable keys", () => {
    assert.deepStrictEqual(JSON.parse(summaryJson(run)), {
      version: 1,
      succeeded: false,
      source: "http://localhost:9090",
      destination: "prometheus.duckdb",
      mode: "incremental_append",
      step_seconds: 60,
      started_at: "2026-01-02T00:00:00Z",
      seconds: 2.5,
      rows: 2880,
      bytes: 1234567,
      cost: { requests: 12, received_bytes: 34_567, samples: 8640, server_cpu_seconds: 0.31 },
      look_into: "duckdb prometheus.duckdb 'from up'",
      streams: [
        {
          name: "up",
          succeeded: true,
          error: null,
          notice: null,
          series: 2,
          rows: 2880,
          first_time: "2026-01-01T00:00:00Z",
          last_time: "2026-01-01T23:59:00Z",
          seconds: 1.25,
          retries: 1
        },
        {
          name: "gone",
          succeeded: false,
          error: "It is gone.",
          notice: null,
          series: 0,
          rows: 0,
          first_time: null,
          last_time: null,
          seconds: 1.25,
          retries: 0
        }
      ]
    })
  })

  it("says why a stream has no rows", () => {
    const { streams } = summaryDocument(runOf([streamOf("up", { rows: 0, notice: "It has none." })]))
    assert.deepStrictEqual([streams[0]!.succeeded, streams[0]!.notice], [true, "It has none."])
  })

  it("matches its schema, which documents every key", () => {
    const decoded = Schema.decodeUnknownSync(SummaryDocument)(JSON.parse(summaryJson(run)))
    assert.deepStrictEqual(decoded, summaryDocument(run))
    const { schema } = Schema.toJsonSchemaDocument(SummaryDocument)
    const described = JSON.stringify(schema).match(/"description":/g)
    assert.isAtLeast(described?.length ?? 0, 20)
  })

  it("reports success if all streams succeeded", () => {
    assert.isTrue(summaryDocument(runOf([streamOf("up")])).succeeded)
  })
})
