/** Groups in the catalog, and warnings about catalogs that are larger than a platform takes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { check } from "../../src/airbyte/check.ts"
import { discover } from "../../src/airbyte/discover.ts"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { layerQuick } from "../../src/sync/quickCheck.ts"
import { iso, start } from "../support/gauge.ts"
import { makeCollector } from "./collector.ts"

interface CatalogMessage {
  readonly catalog: {
    readonly streams: ReadonlyArray<{
      readonly name: string
      readonly json_schema: {
        readonly description?: string
        readonly properties: Readonly<Record<string, { readonly type: unknown }>>
      }
    }>
  }
}

/** Runs `discover` and `check` on a server with these metrics. */
const outputOf = Effect.fnUntraced(function* (names: ReadonlyArray<string>, config: object) {
  yield* TestClock.setTime(start + 3_600_000)
  const series = names.map((__name__, i) =>
    makeSeries({ __name__, job: "a", [`l${i % 3}`]: "b" }, [[start, 1]])
  )
  const mock = new MockPrometheus(makeDatabase(series))
  const logs: Array<string> = []
  const logger = Logger.make(({ message }) => void logs.push(String(message)))
  const settings = ConnectorConfig.layerFrom({
    base_url: "http://mock",
    start_date: iso(start),
    step: 60,
    ...config
  })
  const client = MockHttpClient.layerClient(mock).pipe(Layer.provideMerge(settings))
  const collector = makeCollector()
  yield* discover.pipe(
    Effect.provide(Layer.merge(client, collector.layer)),
    Effect.provide(Logger.layer([logger]))
  )
  const ofDiscover = logs.splice(0)
  const checked = Effect.result(
    check.pipe(
      Effect.provide(
        Layer.provideMerge(MockHttpClient.layerClient(mock), Layer.provideMerge(layerQuick, settings))
      ),
      Effect.provide(makeCollector().layer),
      Effect.provide(Logger.layer([logger]))
    )
  )
  assert.strictEqual((yield* checked)._tag, "Success")
  const [message] = collector.messages() as unknown as ReadonlyArray<CatalogMessage>
  return { streams: message!.catalog.streams, ofDiscover, ofCheck: logs, mock }
})

describe("groups in a catalog", () => {
  it.effect("are streams, and their metrics have none of their own", () =>
    Effect.gen(function* () {
      const { ofCheck, ofDiscover, streams, mock } = yield* outputOf(
        ["app_up", "app_requests_total", "up", "x_total"],
        {
          groups: [
            { name: "apps", metrics: { include: ["app_*"], exclude: ["app_secret"] } },
            { name: "none", metrics: { include: ["nothing", "app_requests_totl"] } },
            { name: "late", metrics: { include: ["app_up"] } }
          ]
        }
      )
      assert.deepStrictEqual(
        streams.map(({ name }) => name),
        ["up", "x_total", "apps"]
      )
      const [up, apps] = [streams[0], streams[2]!]
      assert.strictEqual(apps.json_schema.description, "Metrics: app_*, but not app_secret")
      assert.sameMembers(Object.keys(apps.json_schema.properties), [
        "time",
        "value",
        "special_value",
        "series_id",
        "histogram",
        "metric",
        "labels"
      ])
      assert.strictEqual(apps.json_schema.properties.metric?.type, "string")
      assert.property(up?.json_schema.properties, "job")
      assert.include(ofCheck, "Streams to read: 2 metrics and 1 group (2 metrics).")
      for (const logs of [ofDiscover, ofCheck]) {
        assert.deepStrictEqual(
          logs.filter((text) => text.includes("no stream")),
          [
            "The group none has no metrics, and thus no stream. No metric is named nothing. No metric is named app_requests_totl. Did you mean app_requests_total or app_up?",
            "The group late has no metrics, and thus no stream. Groups before it may have them, or exclude leaves none."
          ]
        )
      }
      // Labels of metrics in a group are in one object, so that nobody asks for them.
      assert.isTrue(
        mock.requests.every(({ params }) => !/app_(up|requests)/.test(params.get("match[]") ?? ""))
      )
    })
  )

  it.effect("must not have the name of a metric outside of groups", () =>
    Effect.gen(function* () {
      const groups = (name: string) => ({ groups: [{ name, metrics: { include: ["app_*"] } }] })
      const error = yield* Effect.flip(outputOf(["app_up", "up"], groups("up")))
      assert.strictEqual(
        error.message,
        "Streams would have the same name: the group up and the metric up. Give the group another name, or exclude the metric with metrics.exclude."
      )
      const { streams } = yield* outputOf(["app_up", "up"], groups("app_up"))
      assert.deepStrictEqual(
        streams.map(({ name }) => name),
        ["up", "app_up"]
      )
    })
  )

  it.effect("make a catalog small enough for a platform, as a warning says", () =>
    Effect.gen(function* () {
      const names = [...Array.from({ length: 1100 }, (_, i) => `node_${i}`), "up"]
      const found = yield* outputOf(names, {})
      assert.lengthOf(found.streams, 1101)
      const warning = (fields: string) =>
        `The catalog has 1,101 streams${fields}. Airbyte Cloud takes at most 1,000 streams, and 20,000 fields in a connection. This group of metrics makes it small enough: node_* (1,100 metrics in one stream). Or select fewer metrics with metrics.`
      assert.include(found.ofDiscover, warning(" and 8,808 fields"))
      assert.include(found.ofCheck, warning(""))
      const grouped = yield* outputOf(names, { groups: [{ name: "node", metrics: { include: ["node_*"] } }] })
      assert.lengthOf(grouped.streams, 2)
      assert.isFalse(
        [...grouped.ofDiscover, ...grouped.ofCheck].some((text) => text.includes("Airbyte Cloud"))
      )
    })
  )
})
