/** Labels are dropped from remote reads only where that gives the labels of queries. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { anyOf, onPath } from "../../src/mock/faults.ts"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { type Matcher, ofMetric } from "../../src/promql/Matcher.ts"
import { makeLabelCheck } from "../../src/sync/externalLabels.ts"
import { start } from "../support/gauge.ts"
import { failuresOf, incremental, readAll, type Setting, samplesOf, setUp } from "./readMock.ts"

const equal = (label: string, value: string): Matcher => ({ label, operator: "=", value })

const series = [
  makeSeries({ __name__: "plain", job: "a" }, [[start, 1]]),
  makeSeries({ __name__: "other", zone: "z" }, [[start, 1]]),
  makeSeries({ __name__: "some" }, [[start, 1]]),
  makeSeries({ __name__: "some", zone: "external", n: "1" }, [[start, 1]]),
  makeSeries({ __name__: "some", n: "2" }, [[start, 1]])
]

/** Which labels are dropped for each list of matchers, and the lists that were requested for that. */
const check = Effect.fnUntraced(function* (
  mock: Setting["mock"],
  ...streams: ReadonlyArray<ReadonlyArray<Matcher>>
) {
  const { mock: server, services } = yield* setUp({
    series,
    points: 2,
    mock: { externalLabels: { region: "eu", zone: "external" }, ...mock },
    config: { max_retries: 0 }
  })
  const found = yield* Effect.gen(function* () {
    const labelCheck = makeLabelCheck(yield* PrometheusClient)
    return yield* Effect.forEach(streams, (matchers) =>
      labelCheck.droppable(matchers, { startMillis: start, endMillis: start + 1 })
    )
  }).pipe(Effect.provide(services))
  return {
    found: found.map((labels) => labels && Object.fromEntries(labels)),
    lists: server.requests.filter(({ path }) => path.includes("/label/")).length,
    configs: server.requests.filter(({ path }) => path.endsWith("/config")).length
  }
})

const external = { region: "eu", zone: "external" }

describe("the check of labels", () => {
  it.effect("costs one request on a server without external labels", () =>
    Effect.gen(function* () {
      const result = yield* check({ externalLabels: {} }, [ofMetric("plain")], [equal("zone", "external")])
      assert.deepStrictEqual(result, { found: [{}, {}], lists: 0, configs: 1 })
    })
  )

  it.effect("finds the streams whose own labels have no such name and value", () =>
    Effect.gen(function* () {
      const result = yield* check(
        {},
        [ofMetric("plain")],
        [ofMetric("other")],
        [ofMetric("some")],
        [ofMetric("some"), equal("n", "1")],
        [ofMetric("some"), equal("n", "2")]
      )
      assert.deepStrictEqual(result.found, [external, external, undefined, undefined, external])
      // One per external label, one per stream for the one that series have, and one for its value in three of them.
      assert.strictEqual(result.lists, 2 + 5 + 3)
      assert.strictEqual(result.configs, 1)
    })
  )

  it.effect("refuses matchers for the value of an external label, and no others", () =>
    Effect.gen(function* () {
      const { found } = yield* check(
        {},
        [ofMetric("plain"), equal("region", "eu")],
        [ofMetric("plain"), equal("region", "us")],
        [ofMetric("plain"), equal("region", "")],
        [ofMetric("plain"), { label: "region", operator: "=~", value: "eu" }],
        [ofMetric("plain"), { label: "region", operator: "!=", value: "eu" }]
      )
      assert.deepStrictEqual(found, [undefined, external, external, external, external])
    })
  )

  it.effect("is not certain if the server shows neither its configuration nor lists", () =>
    Effect.gen(function* () {
      const hidden = onPath("/api/v1/status/config", { status: 403 })
      assert.deepStrictEqual((yield* check({ faults: hidden }, [ofMetric("plain")])).found, [undefined])
      const lists = onPath("/values", { status: 500 })
      assert.deepStrictEqual((yield* check({ faults: lists }, [ofMetric("plain")])).found, [undefined])
      const html = onPath("/api/v1/status/config", { body: "<html></html>" })
      assert.deepStrictEqual((yield* check({ faults: anyOf(html) }, [ofMetric("plain")])).found, [undefined])
    })
  )

  it.effect("needs no configuration of servers that add no labels", () =>
    Effect.gen(function* () {
      const mimir = onPath("/buildinfo", {
        body: '{"status":"success","data":{"application":"Grafana Mimir","version":"2.10.0"}}',
        headers: { "content-type": "application/json" }
      })
      const result = yield* check({ faults: mimir }, [ofMetric("plain")])
      assert.deepStrictEqual(result, { found: [{}], lists: 0, configs: 0 })
    })
  )

  it.effect("lets no series pass whose external labels are those of another replica", () =>
    Effect.gen(function* () {
      const plain = [makeSeries({ __name__: "plain", job: "a" }, [[start, 1]])]
      const own = [...plain, makeSeries({ __name__: "plain", replica: "c" }, [[start, 1]])]
      const readFrom = (series: Setting["series"], others: Readonly<Record<string, string>>) =>
        readAll(incremental("plain"), {
          series,
          points: 2,
          config: { sampling: "raw", max_retries: 0 },
          mock: {
            externalLabels: others,
            faults: onPath("/api/v1/status/config", {
              body: JSON.stringify({
                status: "success",
                data: { yaml: "global:\n  external_labels:\n    replica: a\n" }
              }),
              headers: { "content-type": "application/json" }
            })
          }
        })
      const failed = yield* readFrom(plain, { replica: "b" })
      assert.match(
        failuresOf(failed.events),
        /a series has the external label \{replica="b"\}, but the server's configuration has \{replica="a"\}\. Set base_url to one replica/
      )
      const lacking = yield* readFrom(plain, {})
      assert.match(failuresOf(lacking.events), /a series lacks the external label \{replica="a"\}/)
      for (const { events } of [failed, lacking]) assert.strictEqual(samplesOf(events).size, 0)
      const passed = yield* readFrom(plain, { replica: "a" })
      assert.strictEqual(samplesOf(passed.events).size, 1)
      // Where series have such a label, it may be missing.
      const owned = yield* readFrom(own, { replica: "a" })
      assert.strictEqual(failuresOf(owned.events), "")
      assert.strictEqual(samplesOf(owned.events).size, 2)
    })
  )
})
