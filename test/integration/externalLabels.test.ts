/** The external labels of a real server: without them, series of a remote read are those of the query API. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { type Matcher, ofMetric, render } from "../../src/promql/Matcher.ts"
import { textAt } from "../../src/samples/Sample.ts"
import { makeLabelCheck } from "../../src/sync/externalLabels.ts"
import { minute } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import { describeEachConcurrently, prometheusServers } from "../support/servers.ts"

const external = {
  region: "eu",
  zone: "external",
  yes: "yes",
  number: "1",
  quotes: `it's "q" \\`,
  home: "$HOME",
  dollar: "$$",
  long: `${"word ".repeat(40)}end`,
  longQuoted: `${'"word": '.repeat(20)}end`,
  odd: "\ufeffx😀é\t",
  like: "a: b #c"
}

const now = Math.floor(Date.now() / minute) * minute

const series = [
  { __name__: "plain", job: "a" },
  { __name__: "own", zone: "own" },
  { __name__: "own", job: "b" },
  { __name__: "same", zone: "external", n: "1" },
  { __name__: "same", n: "1" },
  { __name__: "same", n: "2" }
].map((labels, n) => ({ labels, samples: [[now, n] as const] }))

const connect = (server: RealServer) =>
  Layer.provide(
    PrometheusClient.layer,
    ConnectorConfig.layerFrom({ base_url: server.baseUrl, start_date: "2026-01-01", max_retries: 0 })
  )

const equal = (label: string, value: string): Matcher => ({ label, operator: "=", value })

/** The values by series, by remote read without the labels that may be dropped, and by the query API. */
const both = Effect.fnUntraced(function* (matchers: ReadonlyArray<Matcher>) {
  const client = yield* PrometheusClient
  const range = { startMillis: now, endMillis: now }
  const labels = yield* makeLabelCheck(client).droppable(matchers, range)
  const values = <E, R>(
    blocks: Effect.Effect<
      Stream.Stream<Parameters<typeof textAt>[0] | { readonly _tag: "HistogramBlock" }, E>,
      E,
      R
    >
  ) =>
    Effect.scoped(
      Effect.map(Effect.flatMap(blocks, Stream.runCollect), (found) =>
        found
          .flatMap((block) =>
            block._tag === "HistogramBlock" ? [] : [`${block.series.id} ${textAt(block, 0)}`]
          )
          .sort()
      )
    )
  return {
    isCertain: labels !== undefined,
    read: yield* values(
      client.remoteRead({ ...range, matchers, ...(labels === undefined ? {} : { externalLabels: labels }) })
    ),
    queried: yield* values(client.queryRange({ ...range, query: render(matchers), stepMillis: 1000 }))
  }
})

describeEachConcurrently(prometheusServers, "the external labels of a real $name", ({ make, release }) => {
  it.effect("are found out, and dropped where that is certain", () =>
    Effect.gen(function* () {
      const server = yield* make({
        remoteWriteReceiver: true,
        externalLabels: external,
        flags: release === 2 ? ["--enable-feature=expand-external-labels"] : []
      })
      yield* server.remoteWrite(series)
      yield* Effect.gen(function* () {
        const client = yield* PrometheusClient
        const found = yield* client.externalLabels
        assert.deepStrictEqual(found && Object.fromEntries(found), {
          ...external,
          home: process.env.HOME ?? "",
          dollar: "$"
        })
        const certain: ReadonlyArray<readonly [ReadonlyArray<Matcher>, number]> = [
          [[ofMetric("plain")], 1],
          [[ofMetric("own")], 2],
          [[ofMetric("own"), equal("zone", "own")], 1],
          [[ofMetric("own"), equal("zone", "")], 1],
          [[ofMetric("same"), equal("n", "2")], 1],
          [[{ label: "__name__", operator: "=~", value: "own|plain" }], 3],
          [[ofMetric("plain"), { label: "zone", operator: "!=", value: "external" }], 1],
          [[ofMetric("plain"), { label: "zone", operator: "=~", value: "external" }], 0]
        ]
        for (const [matchers, count] of certain) {
          const { isCertain, queried, read } = yield* both(matchers)
          assert.isTrue(isCertain, render(matchers))
          assert.deepStrictEqual(read, queried, render(matchers))
          assert.lengthOf(read, count)
        }
        for (const matchers of [
          [ofMetric("same")],
          [ofMetric("same"), equal("n", "1")],
          [ofMetric("plain"), equal("zone", "external")]
        ]) {
          const { isCertain, queried, read } = yield* both(matchers)
          assert.isFalse(isCertain, render(matchers))
          assert.notDeepEqual(read, queried, render(matchers))
        }
      }).pipe(Effect.provide(connect(server)))
    })
  )

  it.effect("may be none", () =>
    Effect.gen(function* () {
      const server = yield* make()
      const found = yield* Effect.flatMap(PrometheusClient, (client) => client.externalLabels).pipe(
        Effect.provide(connect(server))
      )
      assert.deepStrictEqual(found, new Map())
    })
  )
})
