/** Queries that are plain selectors. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { parseSelector, select } from "../../src/mock/evaluate.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { minute, start } from "../support/gauge.ts"
import { failuresOf, incremental, readAll, refusal, samplesOf } from "./readMock.ts"

describe("a selector of several metrics", () => {
  it.effect.each(['{job="x"}', '{__name__=~"m.*"}'])(
    "is split by their names if nothing else distinguishes the series: %s",
    (expression) =>
      Effect.gen(function* () {
        const series = Array.from({ length: 20 }, (_, i) =>
          makeSeries({ __name__: `m${i}`, job: "x" }, [
            [start, i],
            [start + minute, i + 1]
          ])
        )
        const database = makeDatabase(series)
        const { events } = yield* readAll(incremental("all"), {
          series,
          points: 2,
          config: { queries: [{ name: "all", expression }] },
          mock: {
            faults: ({ params, path }) => {
              if (path !== "/api/v1/query_range") return undefined
              const selector = Result.getOrThrow(parseSelector(params.get("query") ?? "", true))
              return select(database, selector).length > 3
                ? refusal(422, "expanding series: exceeded series limit")
                : undefined
            }
          }
        })
        assert.strictEqual(failuresOf(events), "")
        assert.strictEqual(samplesOf(events).size, 40)
      })
  )
})
