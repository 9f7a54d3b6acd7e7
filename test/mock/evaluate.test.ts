import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import {
  defaultOptions,
  type EvaluateOptions,
  hasSampleBetween,
  parseQuery,
  parseSelector,
  range,
  select
} from "../../src/mock/evaluate.ts"
import { type MockSeries, type MockValue, makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"

const minute = 60_000
const leftOpen = { ...defaultOptions, lookbackClosed: false }

const series = (...samples: ReadonlyArray<readonly [number, MockValue]>) =>
  makeSeries({ __name__: "m" }, samples)
const grid = (startMillis: number, endMillis: number, stepMillis: number) => ({
  startMillis,
  endMillis,
  stepMillis
})
const instant = (from: MockSeries, timeMillis: number, options?: EvaluateOptions) =>
  range(from, grid(timeMillis, timeMillis, 1), options).values[0]
const points = (...args: Parameters<typeof range>) => {
  const { times, values } = range(...args)
  return times.map((time, i) => [time, values[i]])
}

describe("look-back", () => {
  const one = series([1000, 7])

  it("is five minutes, including the end in version 2", () => {
    assert.isUndefined(instant(one, 999))
    assert.strictEqual(instant(one, 1000), 7)
    assert.strictEqual(instant(one, 1000 + 5 * minute), 7)
    assert.isUndefined(instant(one, 1001 + 5 * minute))
  })

  it("excludes the end in version 3", () => {
    assert.strictEqual(instant(one, 1000, leftOpen), 7)
    assert.strictEqual(instant(one, 999 + 5 * minute, leftOpen), 7)
    assert.isUndefined(instant(one, 1000 + 5 * minute, leftOpen))
  })

  it("can be set", () => {
    const options = { ...defaultOptions, lookbackMillis: 10 }
    assert.strictEqual(instant(one, 1010, options), 7)
    assert.isUndefined(instant(one, 1011, options))
  })

  it("finds nothing in a series without samples", () => {
    assert.deepStrictEqual(points(series(), grid(0, 1000, 100)), [])
  })
})

describe("range", () => {
  it("includes start and an end that is on the grid", () => {
    const always = series([0, 1])
    assert.deepStrictEqual(range(always, grid(0, 30, 10)).times, [0, 10, 20, 30])
    assert.deepStrictEqual(range(always, grid(5, 30, 10)).times, [5, 15, 25])
    assert.deepStrictEqual(range(always, grid(7, 7, 10)).times, [7])
  })

  it("returns the latest sample at or before each point", () => {
    const several = series([5, 1], [10, 2], [11, 3], [25, 4])
    assert.deepStrictEqual(points(several, grid(0, 30, 10)), [
      [10, 2],
      [20, 3],
      [30, 4]
    ])
  })

  it("leaves a gap if the last sample is too old", () => {
    const gap = series([0, 1], [20 * minute, 2])
    assert.deepStrictEqual(points(gap, grid(0, 22 * minute, 2 * minute)), [
      [0, 1],
      [2 * minute, 1],
      [4 * minute, 1],
      [20 * minute, 2],
      [22 * minute, 2]
    ])
  })

  it("ends at a stale marker and restarts after it", () => {
    const restarted = series([0, 1], [minute, "stale"], [3 * minute, 2])
    assert.deepStrictEqual(points(restarted, grid(0, 4 * minute, minute / 2)), [
      [0, 1],
      [minute / 2, 1],
      [3 * minute, 2],
      [3.5 * minute, 2],
      [4 * minute, 2]
    ])
  })

  it("keeps NaN, which is a value", () => {
    assert.deepStrictEqual(points(series([0, Number.NaN]), grid(0, 0, 1)), [[0, Number.NaN]])
  })

  it("ignores samples that do not exist yet", () => {
    const several = series([0, 1], [10, 2], [20, 3])
    const options = { ...defaultOptions, untilMillis: 10 }
    assert.deepStrictEqual(points(several, grid(0, 30, 10), options), [
      [0, 1],
      [10, 2],
      [20, 2],
      [30, 2]
    ])
    assert.deepStrictEqual(points(several, grid(20, 30, 10), options), [
      [20, 2],
      [30, 2]
    ])
    assert.deepStrictEqual(points(several, grid(0, 30, 10), { ...options, untilMillis: -1 }), [])
  })

  const integer = (minimum: number, maximum: number) =>
    Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  const times = Schema.Array(integer(0, 3_000_000))
  const start = integer(-1_000_000, 1_000_000)
  const step = integer(1, 200_000)

  it.prop("agrees with a search per point", [times, start, step], ([raw, startMillis, stepMillis]) => {
    const unique = [...new Set(raw)].sort((a, b) => a - b)
    const samples = unique.map((time, i) => [time, i % 5 === 4 ? "stale" : i] as const)
    const endMillis = startMillis + 20 * stepMillis + 3
    for (const options of [defaultOptions, leftOpen]) {
      const expected: Array<[number, number]> = []
      for (let time = startMillis; time <= endMillis; time += stepMillis) {
        const sample = samples.findLast(([t]) => t <= time)
        if (sample === undefined || sample[1] === "stale") continue
        const age = time - sample[0]
        if (age < 5 * minute || (options.lookbackClosed && age === 5 * minute)) {
          expected.push([time, sample[1]])
        }
      }
      assert.deepStrictEqual(
        points(series(...samples), grid(startMillis, endMillis, stepMillis), options),
        expected
      )
    }
  })
})

describe("hasSampleBetween", () => {
  it("is closed on both ends", () => {
    const two = series([10, 1], [20, 2])
    const cases = [
      [0, 9, false],
      [0, 10, true],
      [11, 19, false],
      [11, 20, true],
      [20, 20, true],
      [21, 30, false],
      [30, 5, false]
    ] as const
    for (const [start, end, expected] of cases) {
      assert.strictEqual(hasSampleBetween(two, start, end), expected, `${start} to ${end}`)
    }
    assert.isTrue(hasSampleBetween(two, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY))
  })
})

describe("selectors", () => {
  const database = makeDatabase(
    [
      [
        ["__name__", "a"],
        ["x", "1"],
        ["y", "left"]
      ],
      [
        ["__name__", "a"],
        ["x", "2"]
      ],
      [
        ["__name__", "a:b"],
        ["x", "12"]
      ],
      [
        ["__name__", "http.status"],
        ["__proto__", "p"]
      ]
    ].map((labels) =>
      makeSeries(
        labels.map(([name, value]) => [name!, value!] as const),
        [[0, 1]]
      )
    )
  )
  const names = (text: string, modern = false) =>
    select(database, Result.getOrThrow(parseSelector(text, modern))).map((s) =>
      s.labels.map((l) => l[1]).join(" ")
    )

  it.each([
    ["a", ["a 1 left", "a 2"]],
    [" a ", ["a 1 left", "a 2"]],
    ["a:b", ["a:b 12"]],
    ['{__name__="a"}', ["a 1 left", "a 2"]],
    ['a{x="1"}', ["a 1 left"]],
    ['a {x="1",}', ["a 1 left"]],
    ["a{}", ["a 1 left", "a 2"]],
    ['a{x!="1"}', ["a 2"]],
    ['{__proto__="p"}', ["http.status p"]],
    ['{constructor="p"}', []],
    ["{__name__='a',y=`left`}", ["a 1 left"]],
    // An expression must match the complete value.
    ['{x=~"1"}', ["a 1 left"]],
    ['{x=~"1.*"}', ["a 1 left", "a:b 12"]],
    ['{x=~"1|2"}', ["a 1 left", "a 2"]],
    ['{x!~"1|2",x!=""}', ["a:b 12"]],
    // An absent label is an empty one.
    ['a{y=""}', ["a 2"]],
    ['a{y!=""}', ["a 1 left"]],
    ['a{y=~".*"}', ["a 1 left", "a 2"]],
    ['a{y=~".+"}', ["a 1 left"]],
    ['a{y!~".+"}', ["a 2"]],
    ['a{y!="left"}', ["a 2"]],
    ['{__name__!=""}', ["a 1 left", "a 2", "a:b 12", "http.status p"]]
  ])("%s selects", (text, expected) => {
    assert.deepStrictEqual(names(text), expected)
  })

  it.each([
    ["", "1:1: parse error: no expression found in input"],
    ["  ", "1:1: parse error: no expression found in input"],
    ["{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"],
    ['{x=""}', "1:1: parse error: vector selector must contain at least one non-empty matcher"],
    ['{__name__=~".*"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"],
    ['{x!="1"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"],
    ['{x="",y=~"a?"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"]
  ])("refuses %s with Prometheus' message", (text, message) => {
    assert.deepStrictEqual(parseQuery(text), Result.fail(message))
  })

  it.each([
    "a{",
    "a}",
    "a b",
    "a{x}",
    'a{x="1"',
    'a{x=~"("}',
    'a{__name__="b"}',
    'x="1"',
    '"a"',
    "1",
    "NaN",
    "Inf",
    "bool",
    "sum(a)",
    "count()",
    "count(time())",
    "count(count(a))",
    "count(a) + 1",
    "count by (x) (a)",
    "count by (__name__) (time())",
    "rate(a[5m])",
    "a[5m:1m]",
    "a offset 5m",
    "a + a",
    "-a",
    "vector(1)",
    "time() + 1"
  ])("refuses %s as a parse error", (text) => {
    const result = parseQuery(text)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) assert.match(result.failure, /^1:\d+: parse error: /)
  })

  it.each(['{"http.status"}', '{"__proto__"="p"}', "{'http.status',__proto__=~`p|\"`}"])(
    "understands the quoted names of %s since version 3",
    (text) => {
      assert.deepStrictEqual(names(text, true), ["http.status p"])
      assert.isTrue(Result.isFailure(parseSelector(text)))
    }
  )

  it("lets a dot match a line feed since version 3", () => {
    const matches = (modern: boolean) =>
      Result.getOrThrow(parseSelector('{x=~"a.b"}', modern)).matches([["x", "a\nb"]])
    assert.isFalse(matches(false))
    assert.isTrue(matches(true))
  })

  it.each(["count(a)", " COUNT ( a ) ", 'count({__name__="a"})'])("supports %s", (text) => {
    assert.strictEqual(Result.getOrThrow(parseQuery(text))._tag, "Count")
  })

  it.each(["time()", " time ( ) "])("supports %s", (text) => {
    assert.deepStrictEqual(parseQuery(text), Result.succeed({ _tag: "Time" as const }))
  })
})
