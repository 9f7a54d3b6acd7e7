/** Servers that leave something out and say so, in whichever way: it counts as `partial_data` says, and never passes in silence. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  assertFails,
  assertRecords,
  assertWhole,
  discover,
  expectedFrom,
  metrics,
  RECORDS,
  read,
  Source,
  said,
  start,
  stateOf
} from "../support/fakes/basic.ts"
import { type Ask, fake, isList, isNames, isRange, type Layer, spanOf } from "../support/fakes/fake.ts"
import { loseWithHeader, loseWithMembers, victoriaCluster } from "../support/fakes/partial.ts"

const firstOnly = 'store="first"'
const isSecond = ({ store }: Readonly<Record<string, string>>) => store === "second"

/** How a server says that samples are missing. */
const signs: ReadonlyArray<readonly [string, (endpoints: (ask: Ask) => boolean) => Layer]> = [
  [
    "a warning",
    (endpoints) =>
      loseWithMembers({ endpoints, series: isSecond }, { warnings: ["receive series from Addr: 10.0.0.7"] })
  ],
  ["isPartial", (endpoints) => loseWithMembers({ endpoints, series: isSecond }, { isPartial: true })],
  [
    "M3's header",
    (endpoints) =>
      loseWithHeader(
        { endpoints, series: isSecond },
        { "M3-Results-Limited": "max_fetch_series_limit_applied" }
      )
  ],
  [
    "M3's header in lower case, with another limit",
    (endpoints) =>
      loseWithHeader(
        { endpoints, series: isSecond },
        { "m3-results-limited": "max_fetch_docs_limit_applied,remote_store_cluster-a_fetch_data_error" }
      )
  ],
  ["VictoriaMetrics' cluster", () => victoriaCluster({ series: isSecond })]
]

describe("samples that are missing in a success", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [name, lose] of signs) {
      it.effect(`fail the stream by default: ${name}`, () =>
        Effect.gen(function* () {
          const { baseUrl } = yield* fake((yield* Source).baseUrl, lose(isRange))
          const output = yield* read(baseUrl)
          assertFails(output, /3 of 3 streams failed/)
          for (const metric of metrics) assert.isUndefined(stateOf(output, metric))
        })
      )

      it.effect(`are replicated with a warning if partial_data is accept: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, lose(isRange))
          const output = yield* read(baseUrl, { config: { partial_data: "accept" } })
          assertWhole(output, yield* expectedFrom(server, { matchers: firstOnly }))
          assert.isTrue(
            output.logs.some((line) => line.startsWith("WARN")),
            said(output)
          )
        })
      )
    }

    it.effect("are found on a later response only: the records and the state stand before it", () =>
      Effect.gen(function* () {
        const server = yield* Source
        // The windows of 7,201 points do not fit into one response.
        const isLate = (ask: Ask) => isRange(ask) && spanOf(ask).start > start
        const sign = { "M3-Results-Limited": "max_fetch_series_limit_applied" }
        const { baseUrl } = yield* fake(
          server.baseUrl,
          loseWithHeader({ endpoints: isLate, series: isSecond }, sign)
        )
        const output = yield* read(baseUrl, { config: { step: 1 } })
        assertFails(output, /3 of 3 streams failed/)
        for (const metric of metrics) {
          const to = stateOf(output, metric) ?? Number.NaN
          assert.isAtLeast(to, start, metric)
          const own = { ...output, records: output.records.filter(({ stream }) => stream === metric) }
          const upTo = own.records.filter(({ data }) => Date.parse(data.time as string) <= to)
          assertRecords(
            { ...own, records: upTo },
            yield* expectedFrom(server, { metrics: [metric], to, stepSeconds: 1 })
          )
        }
      })
    )

    it.effect("are not missing if the server says that it has everything", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(
          server.baseUrl,
          loseWithMembers({ endpoints: () => true }, { isPartial: false, warnings: null, infos: [] })
        )
        assertWhole(yield* read(baseUrl), yield* expectedFrom(server))
      })
    )
  })
})

/** How a server says that a list is not complete. */
const listSigns: ReadonlyArray<readonly [string, object]> = [
  ["warnings of a store", { warnings: ["fetch label values from 10.0.0.7: rpc error: code = Unavailable"] }],
  ["warnings of remote read", { warnings: ["not implemented"] }],
  ["a limit", { warnings: ["results truncated due to limit"] }],
  ["isPartial", { isPartial: true }]
]

describe("lists that are not complete", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [name, members] of listSigns) {
      const losing = loseWithMembers({ endpoints: isList, name: (entry) => entry === "basic_total" }, members)

      it.effect(`fail discovery by default: ${name}`, () =>
        Effect.gen(function* () {
          const { baseUrl } = yield* fake((yield* Source).baseUrl, losing)
          const found = yield* discover(baseUrl)
          assert.strictEqual(found.code, 1, found.names.join())
          assert.deepStrictEqual(found.names, [])
        })
      )

      it.effect(`are used with a warning if partial_data is accept: ${name}`, () =>
        Effect.gen(function* () {
          const { baseUrl } = yield* fake((yield* Source).baseUrl, losing)
          const found = yield* discover(baseUrl, { partial_data: "accept" })
          assert.deepStrictEqual(found.names, ["basic_bytes", "basic_ratio"])
          assert.isTrue(
            found.logs.some((line) => line.startsWith("WARN")),
            said(found)
          )
        })
      )
    }

    for (const metric of metrics) {
      it.effect(`do not matter for a metric that is included by its exact name: ${metric}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(
            server.baseUrl,
            loseWithMembers(
              { endpoints: isNames, name: (entry) => entry === metric },
              { warnings: ["not implemented"] }
            )
          )
          const found = yield* discover(baseUrl, { metrics: { include: [metric] } })
          assert.deepStrictEqual([found.code, found.names], [0, [metric]], said(found))
        })
      )
    }

    it.effect("of labels fail discovery, too: a metric would lose its columns", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake(
          (yield* Source).baseUrl,
          loseWithMembers(
            { endpoints: ({ path }) => path.endsWith("/labels"), name: (entry) => entry === "instance" },
            { warnings: ["not implemented"] }
          )
        )
        assert.strictEqual((yield* discover(baseUrl)).code, 1)
      })
    )

    it.effect("ask VictoriaMetrics' cluster for complete lists", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake(
          (yield* Source).baseUrl,
          victoriaCluster({ name: (entry) => entry === "basic_total" })
        )
        const found = yield* discover(baseUrl)
        assert.strictEqual(found.code, 1)
        assert.deepStrictEqual(found.names, [])
      })
    )

    it.effect("take what VictoriaMetrics' cluster has if partial_data is accept", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(
          server.baseUrl,
          victoriaCluster({ name: (entry) => entry === "basic_total", series: isSecond })
        )
        const found = yield* discover(baseUrl, { partial_data: "accept" })
        assert.deepStrictEqual([found.code, found.names], [0, ["basic_bytes", "basic_ratio"]], said(found))
        const output = yield* read(baseUrl, { config: { partial_data: "accept" } })
        assertWhole(output, yield* expectedFrom(server, { matchers: firstOnly }))
      })
    )
  })
})

describe("warnings that are about the query, not about the data", () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    it.effect("neither fail a stream nor a list", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(
          server.baseUrl,
          loseWithMembers(
            { endpoints: isRange },
            {
              infos: [
                'PromQL info: metric might not be a counter, name does not end in _total: "basic_bytes"'
              ]
            }
          )
        )
        const output = yield* read(baseUrl)
        assertWhole(output, yield* expectedFrom(server))
        assert.strictEqual(output.records.length, 3 * RECORDS)
      })
    )
  })
})
