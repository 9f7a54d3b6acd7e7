/** Remote reads of real servers through a proxy that ends a response between two frames, as if it were complete. */
import { buffer } from "node:stream/consumers"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { ofMetric } from "../../src/promql/Matcher.ts"
import { framesOf } from "../support/framesOf.ts"
import { minute } from "../support/gauge.ts"
import { send, serveRaw } from "../support/rawServer.ts"
import { describeEachConcurrently, prometheusServers } from "../support/servers.ts"

const now = Math.floor(Date.now() / minute) * minute - minute

const series = [
  ...["a", "b", "c"].map((job) => ({ __name__: "m", job })),
  { __name__: "m", job: "d", zone: "external" }
].map((labels) => ({
  labels,
  samples: Array.from({ length: 10 }, (_, i) => [now - (9 - i) * minute, i] as const)
}))

describeEachConcurrently(prometheusServers, "a cut remote read of a real $name", ({ make }) => {
  it.live.each([false, true])("is noticed after any frame (its body ends by close: %s)", (endsByClose) =>
    Effect.gen(function* () {
      const server = yield* make({ remoteWriteReceiver: true, externalLabels: { zone: "external" } })
      yield* server.remoteWrite(series)
      let passed: number | undefined
      const frames: Array<number> = []
      const baseUrl = yield* serveRaw(async (request, response) => {
        const { headers, method, url } = request
        const body = await buffer(request)
        const upstream = await fetch(`${server.baseUrl}${url}`, {
          method: method ?? "GET",
          headers: Object.entries(headers).flatMap(([name, value]) =>
            name.startsWith("content-") && name !== "content-length" ? [[name, `${value}`] as const] : []
          ),
          ...(method === "POST" ? { body } : {})
        })
        const bytes = new Uint8Array(await upstream.arrayBuffer())
        const parts = url?.endsWith("/read") ? framesOf(bytes) : [bytes]
        if (url?.endsWith("/read")) frames.push(parts.length)
        if (endsByClose) response.useChunkedEncodingByDefault = false
        const type = upstream.headers.get("content-type") ?? ""
        send(
          response,
          url?.endsWith("/read") ? parts.slice(0, passed) : parts,
          { "content-type": type },
          upstream.status
        )
      })
      const settings = { base_url: baseUrl, start_date: "2026-01-01", max_retries: 0 }
      const layer = Layer.provide(PrometheusClient.layer, ConnectorConfig.layerFrom(settings))
      yield* Effect.gen(function* () {
        const client = yield* PrometheusClient
        const read = client
          .remoteRead({ matchers: [ofMetric("m")], startMillis: now - 9 * minute, endMillis: now })
          .pipe(
            Effect.flatMap(Stream.runCollect),
            Effect.map((blocks) => blocks.reduce((sum, { length }) => sum + length, 0)),
            Effect.catch(({ message, reason }) => Effect.succeed(`${reason}: ${message}`)),
            Effect.scoped
          )
        for (passed = 0; passed <= 4; passed++) {
          assert.match(`${yield* read}`, /^BrokenResponse: .* it ends between two frames/, `${passed} frames`)
        }
        passed = undefined
        assert.strictEqual(yield* read, 40)
        // With the samples of the response before as the sentinel.
        assert.strictEqual(yield* read, 40)
        assert.deepStrictEqual(frames, [5, 5, 5, 5, 5, 5, 5])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
