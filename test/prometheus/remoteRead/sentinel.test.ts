/** Remote reads through a proxy that passes a broken connection on as a normal end, as nginx does with HTTP/1.0. */
import { buffer } from "node:stream/consumers"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Result, Stream } from "effect"
import { ConnectorConfig } from "../../../src/config/ConnectorConfig.ts"
import { makeRequest } from "../../../src/mock/http.ts"
import { MockPrometheus } from "../../../src/mock/MockPrometheus.ts"
import { type MockSeries, makeSeries } from "../../../src/mock/MockSeries.ts"
import { isRead, parseReadRequest } from "../../../src/mock/readRequest.ts"
import { PrometheusClient } from "../../../src/prometheus/PrometheusClient.ts"
import type { RemoteReadQuery } from "../../../src/prometheus/RangeQuery.ts"
import { type Matcher, ofMetric } from "../../../src/promql/Matcher.ts"
import { framesOf } from "../../support/framesOf.ts"
import { gauge, minute, start } from "../../support/gauge.ts"
import { send, serveRaw } from "../../support/rawServer.ts"

interface Proxied {
  readonly series: ReadonlyArray<MockSeries>
  /** The number of frames of a remote read that are passed on, by the number of reads before. */
  readonly frames?: (read: number) => number | undefined
  readonly endsByClose?: boolean
  readonly externalLabels?: Readonly<Record<string, string>>
  readonly excludeLabels?: ReadonlyArray<string>
}

const now = start + 9 * minute

/** Uses a client of a mock behind such a proxy. Returns the results, and the requests that the mock received. */
const through = Effect.fnUntraced(
  function* <A, E>(
    {
      endsByClose = false,
      excludeLabels = [],
      externalLabels = {},
      frames = () => undefined,
      series
    }: Proxied,
    use: (client: PrometheusClient["Service"]) => Effect.Effect<A, E>
  ) {
    const mock = new MockPrometheus({ series, metadata: new Map() }, { externalLabels })
    let reads = 0
    const baseUrl = yield* serveRaw((request, response) => {
      void buffer(request).then((sent) => {
        const url = new URL(request.url ?? "", "http://mock")
        const received = makeRequest(request.method ?? "", url, [], sent)
        const { body, headers, status } = mock.handle(received, now)
        const parts = isRead(received) ? framesOf(Buffer.concat([...body])) : [...body]
        const passed = isRead(received) ? parts.slice(0, frames(reads++) ?? parts.length) : parts
        if (endsByClose) response.useChunkedEncodingByDefault = false
        send(response, passed, headers, status)
      })
    })
    const settings = {
      base_url: baseUrl,
      start_date: "2026-01-01",
      max_retries: 0,
      exclude_labels: excludeLabels
    }
    const layer = Layer.provide(PrometheusClient.layer, ConnectorConfig.layerFrom(settings))
    const result = yield* Effect.flatMap(PrometheusClient, use).pipe(Effect.provide(layer))
    return {
      result,
      reads: mock.requests.filter(isRead).map(({ body }) => parseReadRequest(body).queries),
      queries: mock.requests
        .filter(({ path }) => path === "/api/v1/query")
        .map(({ params }) => [params.get("query"), params.get("time")])
    }
  },
  Effect.provide(Logger.layer([])),
  Effect.scoped
)

const read = (client: PrometheusClient["Service"], query: Partial<RemoteReadQuery> = {}) =>
  client.remoteRead({ matchers: [ofMetric("m")], startMillis: start, endMillis: now, ...query }).pipe(
    Effect.flatMap(Stream.runCollect),
    Effect.map((blocks) => blocks.reduce((sum, { length }) => sum + length, 0)),
    Effect.mapError((error) => `${error.reason}: ${error.message}`),
    Effect.result,
    Effect.scoped,
    Effect.map(Result.merge)
  )

const equal = (label: string, value: string): Matcher => ({ label, operator: "=", value })

describe("a remote read with a sentinel", () => {
  it.live("fails wherever its response is cut", () =>
    Effect.gen(function* () {
      const { queries, reads, result } = yield* through(
        { series: gauge("m", 10, 3), frames: (read) => (read < 4 ? read : undefined) },
        (client) => Effect.forEach([0, 1, 2, 3, 4], () => read(client))
      )
      for (const cut of result.slice(0, 4)) assert.match(`${cut}`, /^BrokenResponse: .* between two frames/)
      assert.strictEqual(result[4], 30)
      const [first] = reads
      assert.lengthOf(first!, 2)
      assert.deepStrictEqual(first![1], {
        matchers: [ofMetric("m"), equal("n", "0")],
        startMillis: now - 10 * minute,
        endMillis: now
      })
      // A sentinel that was missing is not used again.
      assert.deepStrictEqual(
        queries,
        reads.map(() => ['topk(1, timestamp({__name__="m"}))', null])
      )
    })
  )

  it.live("takes later samples, and asks only if none is known", () =>
    Effect.gen(function* () {
      const series = [...gauge("m", 8), ...gauge("o", 10)]
      const { queries, reads, result } = yield* through({ series }, (client) =>
        Effect.gen(function* () {
          return [
            yield* read(client, { endMillis: start }),
            yield* read(client, { matchers: [ofMetric("o")] }),
            yield* read(client, { endMillis: start + minute })
          ]
        })
      )
      assert.deepStrictEqual(result, [1, 10, 2])
      assert.lengthOf(queries, 1)
      assert.deepStrictEqual(
        reads.map(([, sentinel]) => [sentinel!.matchers[0]!.value, (sentinel!.endMillis - start) / minute]),
        [
          ["m", 7],
          ["m", 7],
          ["o", 9]
        ]
      )
    })
  )

  it.live("takes no series without its excluded labels, which would select many", () =>
    Effect.gen(function* () {
      const series = [...gauge("m", 8, 3), ...gauge("o", 10, 3)]
      const { reads } = yield* through({ series, excludeLabels: ["n"] }, (client) =>
        Effect.andThen(read(client, { matchers: [ofMetric("o")] }), read(client))
      )
      for (const [, sentinel] of reads) {
        assert.include(
          sentinel!.matchers.map(({ label }) => label),
          "n"
        )
      }
    })
  )

  it.live("looks at the end of the range, too, and for any target", () =>
    Effect.gen(function* () {
      const old = makeSeries({ __name__: "m" }, [[start - 60 * minute, 1]])
      const range = { startMillis: start - 61 * minute, endMillis: start - 59 * minute }
      const found = yield* through({ series: [old] }, (client) => read(client, range))
      assert.strictEqual(found.result, 1)
      assert.strictEqual(found.reads[0]![1]!.endMillis, start - 60 * minute)
      const up = yield* through({ series: [old, ...gauge("up", 10)] }, (client) => read(client))
      assert.strictEqual(up.result, 0)
      assert.deepStrictEqual(
        up.queries.map(([query]) => query),
        ["m", "m", "up"].map((name) => `topk(1, timestamp({__name__="${name}"}))`)
      )
      assert.deepStrictEqual(up.reads[0]![1]!.matchers[0], ofMetric("up"))
    })
  )

  it.live("finds series by expressions, and omits external labels", () =>
    Effect.gen(function* () {
      const series = [makeSeries({ __name__: "m", job: "a", zone: "eu" }, [[now, 1]])]
      const matchers: ReadonlyArray<Matcher> = [{ label: "__name__", operator: "=~", value: "m|o" }]
      const { queries, reads, result } = yield* through(
        { series, externalLabels: { zone: "eu" } },
        (client) => read(client, { matchers })
      )
      assert.strictEqual(result, 1)
      assert.deepStrictEqual(queries[0], ['topk(1, {__name__=~"m|o"})', null])
      assert.deepStrictEqual(reads[0]![1]!.matchers, [ofMetric("m"), equal("job", "a")])
    })
  )

  it.live("has none where there are no samples: then the end of the body must be marked", () =>
    Effect.gen(function* () {
      for (const endsByClose of [false, true]) {
        const { reads, result } = yield* through({ series: [], endsByClose }, (client) => read(client))
        if (endsByClose) assert.match(`${result}`, /^BrokenResponse: .* has no marked end/)
        else assert.strictEqual(result, 0)
        assert.lengthOf(reads[0]!, 1)
      }
    })
  )
})
