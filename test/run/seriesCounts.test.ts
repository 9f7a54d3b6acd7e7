/** The rows of a metric, counted on the server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { serverRows } from "../../src/run/seriesCounts.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { drive, onRange, rangeRequests, refusal, setUp } from "../sync/readMock.ts"

const YEAR = 365 * 86_400_000

describe("serverRows", () => {
  it.effect("counts all rows of years with few queries", () =>
    Effect.gen(function* () {
      const [first, second, last] = [start - 9 * YEAR, start - 4 * YEAR, start]
      const series = makeSeries({ __name__: "m" }, [
        ...[first, second, last].flatMap((at) =>
          Array.from({ length: 30 }, (_, i) => [at + i * minute, i] as const)
        )
      ])
      const { mock, services } = yield* setUp({ series: [series], points: 60 })
      const range = { firstMillis: start - 10 * YEAR, lastMillis: start + 60 * minute, stepMillis: minute }
      const contents = yield* drive(Effect.provide(serverRows("m", range), services))
      assert.deepStrictEqual(contents, { rows: 90, firstMillis: first, lastMillis: last + 29 * minute })
      // There are 478 windows of 11,000 points.
      assert.isBelow(rangeRequests(mock).length, 110)
    })
  )

  it.effect("fails if the expression of a query fails at a point", () =>
    Effect.gen(function* () {
      const { mock, services } = yield* setUp({
        series: gauge("m", 60),
        points: 60,
        config: { queries: [{ name: "q", expression: "m" }] },
        mock: {
          faults: onRange(({ from, points }) =>
            from <= 42 && 42 < from + points ? refusal(422, "many-to-many matching not allowed") : undefined
          )
        }
      })
      const range = { firstMillis: start, lastMillis: start + 59 * minute, stepMillis: minute }
      const error = yield* drive(Effect.flip(Effect.provide(serverRows("q", range), services)))
      assert.strictEqual(error._tag === "PrometheusError" && error.reason, "FailedExpression")
      assert.include(error.message, "It fails at 2026-01-01T00:42:00Z.")
      assert.isBelow(rangeRequests(mock).length, 20)
    })
  )
})
