/** A response is read even if its samples would not fit into the heap. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import * as MockServer from "../../src/mock/MockServer.ts"
import * as connector from "../support/connector.ts"

const start = Date.UTC(2026, 0, 1)
const minute = 60_000

/** As objects, the samples of the window would need several times as much. */
const HEAP_MEGABYTES = 48

describe("memory", () => {
  it.live("does not grow with the samples of a response: 640,000 need a heap of 48 MB at most", () =>
    Effect.gen(function* () {
      const seriesCount = 20_000
      const points = 32
      const series = Array.from({ length: seriesCount }, (_, n) =>
        makeSeries(
          { __name__: "wide", pod: `pod-${n}`, namespace: "production" },
          Array.from({ length: points }, (_, i) => [start + i * minute, n + i / 7] as const)
        )
      )
      const mock = new MockPrometheus(makeDatabase(series))
      const { baseUrl } = yield* MockServer.make(mock)
      const files = yield* connector.workspace
      const output = yield* connector.read(
        files,
        {
          base_url: baseUrl,
          start_date: "2026-01-01",
          end_date: new Date(start + (points - 1) * minute).toISOString().replace(".000Z", "Z"),
          step: 60
        },
        {
          streams: [{ stream: { name: "wide", json_schema: {} }, sync_mode: "full_refresh" }]
        },
        undefined,
        { nodeOptions: [`--max-old-space-size=${HEAP_MEGABYTES}`] }
      )
      assert.deepStrictEqual([output.code, output.signal, output.errors], [0, null, []])
      assert.strictEqual(
        mock.requests.filter(({ path }) => path === "/api/v1/query_range").length,
        1,
        "one response"
      )
      assert.strictEqual(
        new Set(output.records.map(({ data }) => `${data.series_id} ${data.time}`)).size,
        seriesCount * points
      )
    })
  )
})
