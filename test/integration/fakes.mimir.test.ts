/** Mimir and Cortex in front of a real Prometheus: look-backs, lists of a part of the range, limits, and connections that are reset. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  assertFails,
  assertRecords,
  assertWhole,
  check,
  day,
  discover,
  expectedFrom,
  hour,
  iso,
  LivelySource,
  LongSource,
  lives,
  longConfig,
  longEnd,
  longMetrics,
  read,
  rowsOf,
  run,
  said,
  start,
  stateOf
} from "../support/fakes/basic.ts"
import { type Ask, fake, isRange, pointsOf } from "../support/fakes/fake.ts"
import * as faults from "../support/fakes/faults.ts"
import { samplesOf } from "../support/fakes/faults.ts"
import { clampLists, cortex, limitRanges, longerThan, lookback, mimir } from "../support/fakes/mimir.ts"

const tenant = { headers: [{ name: "X-Scope-OrgID", value: "team-a" }] }
const config = { ...longConfig, ...tenant }

const readLong = (baseUrl: string, more: object = {}, names: ReadonlyArray<string> = longMetrics) =>
  read(baseUrl, { names, config: { ...config, ...more } })

const expectedLong = (
  server: { readonly baseUrl: string },
  range: { from?: number; metrics?: Array<string> } = {}
) => expectedFrom(server, { metrics: longMetrics, stepSeconds: 3600, to: longEnd, ...range })

describe("Mimir", { concurrent: true }, () => {
  layer(LivelySource.layer, { timeout: 120_000 })((it) => {
    it.effect("is named by check, and read completely", () =>
      Effect.gen(function* () {
        const server = yield* LivelySource
        const { baseUrl } = yield* fake(server.baseUrl, mimir())
        const { output, status } = yield* check(baseUrl, config)
        assert.strictEqual(status, "SUCCEEDED")
        assert.match(output.stdout, /Mimir/)
        assertWhole(yield* readLong(baseUrl), yield* expectedLong(server))
      })
    )

    it.effect("without a tenant is said to need one", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* LivelySource).baseUrl, mimir())
        const { message = "", status } = yield* check(baseUrl, longConfig)
        assert.strictEqual(status, "FAILED")
        assert.match(message, /no org id/)
        assert.match(message, /X-Scope-OrgID/)
      })
    )
  })
})

/** How a server may be called that clamps its lists. */
const kinds = [
  ["Mimir", mimir()],
  ["Cortex", cortex],
  [
    "a server that does not say what it is",
    faults.answerTo(
      () => false,
      () => "silence"
    )
  ]
] as const

describe("lists of the last part of the range", { concurrent: true }, () => {
  layer(LongSource.layer, { timeout: 120_000 })((it) => {
    for (const [kind, layerOf] of kinds) {
      for (const clamp of [30 * day, 7 * day, day]) {
        it.effect(`have the names of all parts: ${kind}, ${clamp / day} days`, () =>
          Effect.gen(function* () {
            const { baseUrl } = yield* fake((yield* LongSource).baseUrl, layerOf, clampLists(clamp))
            const found = yield* discover(baseUrl, config)
            assert.strictEqual(found.code, 0, said(found))
            assert.deepStrictEqual(found.names, longMetrics)
            for (const { json_schema } of found.streams) assert.property(json_schema.properties, "instance")
          })
        )
      }
    }

    it.effect("of an hour have the names of metrics that lived for days", () =>
      Effect.gen(function* () {
        const { baseUrl, requests } = yield* fake((yield* LongSource).baseUrl, mimir(), clampLists(hour))
        const found = yield* discover(baseUrl, config)
        const lasting = longMetrics.filter((name) => name !== "long_short")
        assert.includeMembers([...found.names], lasting, said(found))
        assert.isBelow(requests.length, 2000)
      })
    )

    it.effect("do not keep run from reading what ended earlier", () =>
      Effect.gen(function* () {
        const server = yield* LongSource
        const { baseUrl } = yield* fake(server.baseUrl, mimir(), clampLists(7 * day))
        const { code, stderr, summary } = yield* run(baseUrl, config)
        assert.strictEqual(code, 0, stderr)
        const rows = Object.entries(lives).map(([name, [from, to]]) => [name, 2 * ((to - from) * 24 + 1)])
        assert.deepStrictEqual(rowsOf(summary), Object.fromEntries(rows))
      })
    )

    it.effect("that are not clamped cost few requests", () =>
      Effect.gen(function* () {
        const { baseUrl, requestsOf } = yield* fake((yield* LongSource).baseUrl)
        const found = yield* discover(baseUrl, config)
        assert.deepStrictEqual(found.names, longMetrics)
        assert.isBelow(requestsOf(/label/).length, 60)
      })
    )
  })
})

/** When the server's look-back begins: not on the grid. */
const earliests = [
  ["in the first windows", start + 5.5 * day + 123],
  ["in the middle", start + 30 * day + 1234],
  ["a millisecond after a point at midnight", start + 30 * day + 1],
  ["a millisecond before a point at midnight", start + 30 * day - 1],
  ["a millisecond after a point", start + 30.5 * day + 1],
  ["in the last window", start + 59.9 * day + 777]
] as const

/** Some days around a moment, of the metric that has samples in all of them. */
const around = (earliest: number) => {
  const from = Math.max(start, Math.floor((earliest - 2 * day) / day) * day)
  const to = Math.min(longEnd, from + 5 * day)
  return { from, to, config: { start_date: iso(from), end_date: iso(to) } }
}

describe("a look-back that begins off the grid", { concurrent: true }, () => {
  layer(LivelySource.layer, { timeout: 120_000 })((it) => {
    for (const [where, earliest] of earliests) {
      it.effect(`is read from its first point on: ${where}`, () =>
        Effect.gen(function* () {
          const server = yield* LivelySource
          const { baseUrl } = yield* fake(server.baseUrl, mimir(), lookback(earliest))
          const { config, to } = around(earliest)
          const output = yield* readLong(baseUrl, config, ["long_all"])
          const range = { metrics: ["long_all"], from: earliest, to, stepSeconds: 3600 }
          assertWhole(output, yield* expectedFrom(server, range))
          assert.strictEqual(stateOf(output, "long_all"), to)
        })
      )

      it.effect(`and resets connections before it (Cortex) is read from there on: ${where}`, () =>
        Effect.gen(function* () {
          const server = yield* LivelySource
          const { baseUrl } = yield* fake(server.baseUrl, cortex, lookback(earliest, "reset"))
          // Few points before it, because each of them is tried.
          const from = Math.max(start, Math.floor(earliest / hour - 3) * hour)
          const to = Math.min(longEnd, from + day)
          const config = { start_date: iso(from), end_date: iso(to) }
          const output = yield* readLong(baseUrl, config, ["long_all"])
          const range = { metrics: ["long_all"], from: earliest, to, stepSeconds: 3600 }
          assertRecords(output, yield* expectedFrom(server, range))
          // What it did before cannot be told from a server that fails there.
          assertFails(output, /1 of 1 streams? failed: long_all\./, /reset/)
          assert.isUndefined(stateOf(output, "long_all"))
        })
      )
    }

    for (const step of [60, 86_400]) {
      it.effect(`is read at a step of ${step} s`, () =>
        Effect.gen(function* () {
          const server = yield* LivelySource
          const earliest = start + 59.5 * day + 41_234
          const from = step === 60 ? start + 59 * day : start + 50 * day
          const { baseUrl } = yield* fake(server.baseUrl, mimir(), lookback(earliest))
          const output = yield* readLong(baseUrl, { step, start_date: iso(from) }, ["long_all"])
          const range = { metrics: ["long_all"], from: earliest, to: longEnd, stepSeconds: step }
          assertWhole(output, yield* expectedFrom(server, range))
        })
      )
    }

    it.effect("and resets connections of one metric fails that stream only, not the sync", () =>
      Effect.gen(function* () {
        const server = yield* LivelySource
        const isMiddle = (ask: Ask) => isRange(ask) && `${ask.params.get("query")}`.includes("long_middle")
        const { baseUrl } = yield* fake(
          server.baseUrl,
          cortex,
          faults.answerTo(isMiddle, () => "reset")
        )
        const output = yield* readLong(baseUrl)
        assertFails(output, /1 of 5 streams failed: long_middle\./)
        const others = longMetrics.filter((name) => name !== "long_middle")
        assertRecords(output, yield* expectedLong(server, { metrics: others }))
      })
    )
  })
})

/** The limits of a tenant, as Mimir and Cortex say them. */
const limits = [
  [
    422,
    "the query time range exceeds the limit (query length: 1440h0m0s, limit: 168h0m0s) (err-mimir-max-query-length)"
  ],
  [
    400,
    "the total query time range exceeds the limit (query length: 1440h0m0s, limit: 168h0m0s) (err-mimir-max-total-query-length). To adjust the related per-tenant limit, configure -query-frontend.max-total-query-length, or contact your service administrator."
  ],
  [400, "invalid query, length > limit (1440h0m0s > 168h0m0s)"],
  [422, "the query length exceeds what tenant team-a may ask for: 60 days > 7 days"],
  [413, "expanded matching posting: request of 60d is too large"]
] as const

describe("limits of a tenant", { concurrent: true }, () => {
  layer(LivelySource.layer, { timeout: 120_000 })((it) => {
    for (const [status, error] of limits) {
      it.effect(`on the range are kept to: HTTP ${status}, ${error}`, () =>
        Effect.gen(function* () {
          const server = yield* LivelySource
          const { baseUrl } = yield* fake(
            server.baseUrl,
            mimir(),
            limitRanges(longerThan(7 * day), status, error)
          )
          assertWhole(yield* readLong(baseUrl), yield* expectedLong(server))
        })
      )
    }

    it.effect("on chunks, series and points at once are kept to", () =>
      Effect.gen(function* () {
        const server = yield* LivelySource
        const tooLarge = (words: string) => () => ({
          status: 422,
          headers: { "content-type": "application/json" },
          body: Buffer.from(JSON.stringify({ status: "error", errorType: "execution", error: words }))
        })
        const { baseUrl } = yield* fake(
          server.baseUrl,
          mimir(),
          limitRanges((ask) => pointsOf(ask) > 700, 400, "too many points", "bad_data"),
          faults.limitResponses(samplesOf, 300, tooLarge("the query hit the aggregated chunks size limit"))
        )
        assertWhole(yield* readLong(baseUrl), yield* expectedLong(server))
      })
    )
  })
})
