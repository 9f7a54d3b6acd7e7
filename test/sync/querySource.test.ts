/** Queries: plain selectors, and expressions that fail at some points. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { parseSelector, select } from "../../src/mock/evaluate.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import {
  checkpoints,
  failuresOf,
  incremental,
  minutesOf,
  numbers,
  onRange,
  rangeRequests,
  readAll,
  refusal,
  samplesOf,
  story
} from "./readMock.ts"

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

describe("a selector that is refused", () => {
  /** Reads a query from a server that refuses more than some series, and returns the selectors that it accepted. */
  const readOf = Effect.fnUntraced(function* (expression: string, maxSeries: number, points: number) {
    const series = ["a", "b", "c"].flatMap((metric, m) =>
      numbers(0, 3 + m).map((n) =>
        makeSeries(
          { __name__: metric, n: `${n}`, odd: `${n % 2}` },
          numbers(0, points - 1).map((i) => [start + i * minute, i] as const)
        )
      )
    )
    const database = makeDatabase(series)
    const accepted = new Set<string>()
    const { events } = yield* readAll(incremental("q"), {
      series,
      points,
      config: { queries: [{ name: "q", expression }] },
      mock: {
        faults: ({ params, path }) => {
          if (path !== "/api/v1/query_range") return undefined
          const text = params.get("query") ?? ""
          const { length } = select(database, Result.getOrThrow(parseSelector(text, true)))
          if (length > maxSeries) {
            return refusal(422, "query processing would load too many samples into memory in query execution")
          }
          accepted.add(text)
          return undefined
        }
      }
    })
    const selected = select(database, Result.getOrThrow(parseSelector(expression, true)))
    return { accepted, events, selected }
  })

  it.effect("is split by labels, and by name only if there are several", () =>
    Effect.gen(function* () {
      const one = yield* readOf("c", 2, 3)
      assert.strictEqual(failuresOf(one.events), "")
      assert.strictEqual(samplesOf(one.events).size, 6 * 3)
      for (const text of one.accepted) assert.match(text, /^\{__name__="c",(n|odd)[=!]/)
      const several = yield* readOf('{__name__=~"a|b",odd="0"}', 1, 3)
      assert.strictEqual(failuresOf(several.events), "")
      assert.strictEqual(samplesOf(several.events).size, 5 * 3)
      assert.match([...several.accepted].join(), /__name__=~"a\|b",odd="0".*__name__/)
    })
  )

  it.effect.prop(
    "returns each of its samples once, however few series the server accepts",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const points = choices.between(1, 30)
        const expression = choices.pick([
          "a",
          '{n!="1",odd=~".+"}',
          '{__name__=~".+"}',
          '{odd="1"}',
          '{__name__!="",__name__!~"b.*"}'
        ])
        const { events, selected } = yield* readOf(expression, choices.between(1, 8), points)
        assert.strictEqual(failuresOf(events), "")
        assert.strictEqual(samplesOf(events).size, selected.length * points)
      }),
    { arbitrary: { runs: runs(5, 60) } }
  )
})

const duplicate =
  'found duplicate series for the match group {x="1"} on the right hand-side of the operation: [{y="1"}, {y="2"}];many-to-many matching not allowed: matching labels must be unique on one side'

describe("an expression that fails at some points", () => {
  // The mock evaluates selectors only.
  const queries = [{ name: "q", expression: "m" }]

  /** A read of the query from a server that refuses some ranges, given in minutes. */
  const readOf = (points: number, fails: (first: number, last: number) => boolean) =>
    readAll(incremental("q"), {
      series: gauge("m", points),
      points,
      config: { queries },
      mock: {
        faults: onRange(({ from, points }) =>
          fails(from, from + points - 1) ? refusal(422, duplicate) : undefined
        )
      }
    })

  it.effect.prop(
    "is read up to the first of them, and its stream fails there",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const points = choices.between(1, 400)
        const bad = Array.from({ length: choices.between(1, 4) }, () => choices.between(0, points - 1))
        const first = Math.min(...bad)
        const { events, mock } = yield* readOf(points, (from, last) =>
          bad.some((minute) => from <= minute && minute <= last)
        )
        assert.deepStrictEqual(minutesOf(events), numbers(0, first - 1))
        assert.strictEqual(
          failuresOf(events),
          `The expression of the query q fails: http://mock/api/v1/query_range returned HTTP 422: ${duplicate}. ` +
            `It fails at ${iso(start + first * minute)}, and the stream ends before this point. One side of the operator has several ` +
            "series with the same values of the labels that are matched: aggregate it with sum by (…), match more labels with on (…), " +
            "or use group_left or group_right if the other side has one series for them."
        )
        // The next sync resumes there.
        assert.strictEqual(
          checkpoints(events).at(-1)?.time,
          first === 0 ? undefined : iso(start + (first - 1) * minute)
        )
        assert.isBelow(rangeRequests(mock).length, 40)
      }),
    { arbitrary: { runs: runs(10, 150) } }
  )

  it.effect("is complete if it fails only for ranges", () =>
    Effect.gen(function* () {
      // Prometheus refuses series with the same labels in a response, although they have no point in common.
      const { events } = yield* readOf(300, (from, last) => from <= 99 && 100 <= last)
      assert.strictEqual(failuresOf(events), "")
      assert.deepStrictEqual(minutesOf(events), numbers(0, 299))
      assert.match(story(events), /Completed$/)
    })
  )
})
