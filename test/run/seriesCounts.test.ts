/** The rows of a metric, counted on the server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { serverRows } from "../../src/run/seriesCounts.ts"
import { minute, start } from "../support/gauge.ts"
import { drive, rangeRequests, setUp } from "../sync/readMock.ts"

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
})
