/** Empty years before the first samples cost a handful of requests, and no record. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  assertWhole,
  day,
  every,
  expectedFrom,
  hour,
  iso,
  LivelySource,
  longConfig,
  longEnd,
  longMetrics,
  read,
  rowsOf,
  run,
  start,
  stateOf
} from "../support/fakes/basic.ts"
import { fake } from "../support/fakes/fake.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"

/** How long before the first sample a range begins. */
const years = [1, 5, 20]

describe("years before the first data", { concurrent: true }, () => {
  layer(LivelySource.layer, { timeout: 120_000 })((it) => {
    for (const count of years) {
      it.effect(`cost a handful of requests: ${count}`, () =>
        Effect.gen(function* () {
          const server = yield* LivelySource
          const { baseUrl, requests, requestsOf } = yield* fake(server.baseUrl)
          const config = { ...longConfig, start_date: iso(start - count * 365 * day) }
          const output = yield* read(baseUrl, { names: longMetrics, config })
          assertWhole(
            output,
            yield* expectedFrom(server, { metrics: longMetrics, stepSeconds: 3600, to: longEnd })
          )
          for (const metric of longMetrics) assert.strictEqual(stateOf(output, metric), longEnd)
          const inVain = requestsOf(/query_range/).filter(
            ({ params }) => Number(params.get("end")) * 1000 < start - day
          )
          assert.isBelow(inVain.length, 12 * longMetrics.length)
          assert.isBelow(requests.length, 60 * longMetrics.length)
        })
      )

      it.effect(`at a step of 15 s, too: ${count}`, () =>
        Effect.gen(function* () {
          const server = yield* LivelySource
          const { baseUrl, requests } = yield* fake(server.baseUrl)
          const end_date = iso(start + hour)
          const config = { step: 15, start_date: iso(start - count * 365 * day), end_date }
          const output = yield* read(baseUrl, { names: ["long_all"], config })
          assertWhole(
            output,
            yield* expectedFrom(server, { metrics: ["long_all"], stepSeconds: 15, to: start + hour })
          )
          assert.isBelow(requests.length, 60)
        })
      )
    }

    it.effect("are skipped by run, too", () =>
      Effect.gen(function* () {
        const { baseUrl, requests } = yield* fake((yield* LivelySource).baseUrl)
        const { code, stderr, summary } = yield* run(baseUrl, {
          ...longConfig,
          start_date: iso(start - 3650 * day)
        })
        assert.strictEqual(code, 0, stderr)
        assert.deepStrictEqual(rowsOf(summary), {
          long_all: 2882,
          long_early: 482,
          long_late: 482,
          long_middle: 482,
          long_short: 26
        })
        assert.isBelow(requests.length, 60 * longMetrics.length)
      })
    )

    it.effect("and a long hole in the middle are read right", () =>
      Effect.gen(function* () {
        const first = start - 2000 * day
        const server = yield* RealPrometheus.make({
          series: [
            {
              labels: { __name__: "holes" },
              samples: [...every(hour, first, first + day), ...every(hour, start, start + day)]
            }
          ]
        })
        const to = start + 100 * day
        const config = { step: 3600, start_date: iso(first - 1000 * day), end_date: iso(to) }
        const { baseUrl, requests } = yield* fake(server.baseUrl)
        const output = yield* read(baseUrl, { names: ["holes"], config })
        const expected = yield* expectedFrom(server, {
          metrics: ["holes"],
          from: first,
          stepSeconds: 3600,
          to
        })
        assertWhole(output, expected)
        assert.strictEqual(output.records.length, 50)
        assert.isBelow(requests.length, 60)
      })
    )
  })
})
