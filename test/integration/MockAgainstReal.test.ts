/**
 * Compares the mock with a real server that has the same series and gets the same requests.
 *
 * Successful responses must be equal byte for byte, and so must errors whose text the mock imitates.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeRequest } from "../../src/mock/http.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { escapeName } from "../../src/promql/escapeName.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import type { RealServerError } from "../support/RealServer.ts"
import type { RemoteSeriesInput as AnySeriesInput } from "../support/remoteWrite.ts"
import { describeEach, prometheusServers } from "../support/servers.ts"

/** A seeded sequence of random numbers in [0, 1), so that failures can be reproduced. */
const randomNumbers = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

class Dice {
  readonly random: () => number
  constructor(seed: number) {
    this.random = randomNumbers(seed)
  }
  integer(from: number, to: number): number {
    return from + Math.floor(this.random() * (to - from + 1))
  }
  pick<A>(items: ReadonlyArray<A>): A {
    return items[this.integer(0, items.length - 1)]!
  }
  chance(probability: number): boolean {
    return this.random() < probability
  }
}

const startMillis = 1_700_000_000_000
const hours = 6
const endMillis = startMillis + hours * 3_600_000

const metrics = ["a", "a:b", "http_requests_total", "up"]
const labelNames = ["__proto__", "constructor", "instance", "time", "value"]
const labelValues = [
  ...["1", "2", "12", "", "é", "\uffee", "😀", '<a href="x">&', "back\\slash", "line\nfeed", "{}", " "],
  "10.0.0.1:9100"
]

const specialValues = [
  ...[0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324, -5e-324, 1e-7, 1e-6],
  ...[9.99999e-7, 1e20, 1e21, 999999999999999900000, 1.7976931348623157e308, 0.1, 0.1 + 0.2],
  ...[2 ** 53, 2 ** 63, 2.2250738585072014e-308, 1e15, 123456789.125]
]

const anyFloat = (dice: Dice): number => {
  const bits = new DataView(new ArrayBuffer(8))
  bits.setUint32(0, dice.integer(0, 2 ** 32 - 1))
  bits.setUint32(4, dice.integer(0, 2 ** 32 - 1))
  const value = bits.getFloat64(0)
  // One of the patterns of NaN is the stale marker.
  return Number.isNaN(value) ? 0 : value
}

const anyValue = (dice: Dice): number => {
  if (dice.chance(0.3)) return dice.pick(specialValues)
  if (dice.chance(0.3)) return anyFloat(dice)
  return dice.chance(0.5) ? dice.integer(0, 100_000) : dice.integer(-1e9, 1e9) / 2 ** dice.integer(0, 60)
}

/** Irregular times: regular and late scrapes, gaps of up to an hour, and a random start and end. */
const anyTimes = (dice: Dice, lastMillis: number): ReadonlyArray<number> => {
  const times: Array<number> = []
  const interval = dice.pick([1000, 15_000, 60_000, 300_000])
  const until = dice.chance(0.3) ? dice.integer(startMillis, lastMillis) : lastMillis
  let time = dice.chance(0.3) ? dice.integer(startMillis, until) : startMillis
  while (time <= until && times.length < 1000) {
    times.push(time)
    time += dice.chance(0.5) ? interval : dice.integer(1, 2 * interval)
    if (dice.chance(0.02)) time += dice.pick([300_000, 300_001, 299_999, dice.integer(0, 3_600_000)])
  }
  return times
}

const anySeries = (
  dice: Dice,
  values: (dice: Dice) => number | "stale",
  lastMillis = endMillis
): ReadonlyArray<RemoteSeriesInput> => {
  const series = new Map<string, RemoteSeriesInput>()
  for (let i = 0; i < 40; i++) {
    const labels: Array<readonly [string, string]> = [["__name__", dice.pick(metrics)]]
    for (const name of labelNames) if (dice.chance(0.4)) labels.push([name, dice.pick(labelValues)])
    const present = labels.filter(([, value]) => value !== "")
    const samples = anyTimes(dice, lastMillis).map((time) => [time, values(dice)] as const)
    if (samples.length > 0) series.set(JSON.stringify(present), { labels: present, samples })
  }
  return [...series.values()]
}

/** Without histograms: `live.test.ts` tests those. */
type RemoteSeriesInput = AnySeriesInput<number | "stale">

const mockWith = (series: ReadonlyArray<RemoteSeriesInput>, options: MockOptions = {}) =>
  new MockPrometheus(makeDatabase(series.map((s) => makeSeries(s.labels, s.samples))), options)

/** Slices the samples by time, since a server refuses samples that are an hour older than its newest one. */
const slices = (series: ReadonlyArray<RemoteSeriesInput>, lengthMillis: number) =>
  Array.from({ length: Math.ceil((endMillis + 1 - startMillis) / lengthMillis) }, (_, i) => {
    const from = startMillis + i * lengthMillis
    const within = ([time]: readonly [number, unknown]) => time >= from && time < from + lengthMillis
    return series
      .map(({ labels, samples }) => ({ labels, samples: samples.filter(within) }))
      .filter(({ samples }) => samples.length > 0)
  })

/** Replaces stale markers by NaN: blocks are made from text, which cannot express them. */
const floats = (series: ReadonlyArray<RemoteSeriesInput>) =>
  series.map(({ labels, samples }) => ({
    labels,
    samples: samples.map(([time, value]) => [time, value === "stale" ? Number.NaN : value] as const)
  }))

const expressions = [
  ...[
    "1",
    "1.*",
    ".*2",
    "1|2",
    ".+",
    ".*",
    "",
    "(?i)É",
    ".",
    "..",
    "[0-9]+",
    "\\d+\\.0\\..*",
    ".*\n.*",
    "(?s).+"
  ],
  ...[
    "[[:digit:]]+",
    "[^[:alpha:]]",
    "[^1]+",
    "\\pL",
    "\\PL+",
    "\\p{L}",
    "[]1]",
    "[[]",
    "{}",
    "\\{\\}",
    "[{}]+"
  ],
  ...[
    "\\Q{}\\E",
    "(?P<x>1|2)",
    "(?:1)(2)?",
    "(1|12)",
    "\\s",
    "\\S+",
    "[\\s\\d]+",
    "\\x{e9}",
    "\\<.*",
    "\\A1\\z"
  ],
  ...[
    "<.*&",
    "1{1,2}2?",
    "\\w+",
    "back\\\\slash",
    "line\\nfeed",
    "(?is)LINE.FEED",
    "[😀é]",
    "\\.*",
    "a]?",
    "^1$"
  ],
  ...[".*\\-.*|.*:.*", ".*?", "1\\{", "1{", "1{,2}", "[\\w.:]+", "\\x31", "(?i)a|É", "\r", "1\\r2", "1.2"]
]
/** RE2 refuses these, and so must the mock. */
const badExpressions = [
  ...["(", ")", "[", "*", "a**", "\\", "(?=1)", "(?!1)", "(?<=1)", "\\1", "\\e", "[b-a]", "a{2,1}", "(?z)"],
  ...["\\p{Nope}", "[[:nope:]]"]
]
const inQuotes = (text: string) => JSON.stringify(text)

const anySelector = (dice: Dice): string => {
  const matchers: Array<string> = []
  while (dice.chance(0.6)) {
    const name = dice.pick([...labelNames, "missing"])
    matchers.push(
      dice.chance(0.5)
        ? `${name}${dice.pick(["=", "!="])}${inQuotes(dice.pick(labelValues))}`
        : `${name}${dice.pick(["=~", "!~"])}${inQuotes(dice.pick(expressions))}`
    )
  }
  const list = matchers.join(dice.pick([",", ", "]))
  const metric = dice.pick([...metrics, "nothing"])
  const form = dice.integer(0, 3)
  if (form === 0) return `${metric}{${list}}`
  if (form === 1) return list === "" ? metric : `${metric} {${list},}`
  const names = dice.chance(0.5)
    ? `__name__=${inQuotes(metric)}`
    : `__name__${dice.pick(["=~", "!~", "!="])}${inQuotes(dice.pick(["a.*", "a|up", "", "a:b"]))}`
  return form === 2 ? `{${[names, ...matchers].join(",")}}` : `{${[...matchers, names].join(",")}}`
}

const anyTime = (dice: Dice, from = startMillis - 900_000, to = endMillis + 900_000): number => {
  const time = dice.integer(from, to)
  return dice.chance(0.5) ? Math.floor(time / 60_000) * 60_000 : time
}

const timeText = (dice: Dice, time: number): string =>
  dice.chance(0.2) ? new Date(time).toISOString() : `${time / 1000}`

const anyRange = (dice: Dice, lastMillis = endMillis): Record<string, string> => {
  const start = anyTime(dice, startMillis - 900_000, lastMillis + 900_000)
  const end = start + dice.pick([0, 1000, 3_600_000, dice.integer(0, 7 * 3_600_000)])
  const step = dice.pick([`${dice.integer(1, 600)}`, "0.5", "7.25", "15", "60", "1m", "1h", "90.001", "5m1s"])
  return { query: anySelector(dice), start: timeText(dice, start), end: timeText(dice, end), step }
}

type Params = ReadonlyArray<readonly [string, string]>

/** Sends the same request to both servers. Compares errors by kind, and by text too if `exact`. */
const compare = Effect.fnUntraced(function* (
  real: RealPrometheus.RealPrometheus,
  mock: MockPrometheus,
  path: string,
  params: Params,
  { exact = false, method = "GET" }: { readonly exact?: boolean; readonly method?: "GET" | "POST" } = {}
) {
  const expected = yield* real.request(`/api/v1/${path}`, { method, params })
  const isModern = !(mock.options.version ?? "2").startsWith("2")
  const url = new URL(`http://mock${mock.options.pathPrefix ?? ""}/api/v1/${path}`)
  const form = new URLSearchParams(params.map(([name, value]): [string, string] => [name, value]))
  if (method === "GET") url.search = form.toString()
  const headers = method === "GET" ? [] : ([["content-type", "application/x-www-form-urlencoded"]] as const)
  const response = mock.handle(makeRequest(method, url, headers, `${form}`), Date.now())
  const body = Buffer.concat([...response.body]).toString("utf8")
  const asked = `${method} ${path}?${form}`
  assert.strictEqual(response.status, expected.status, `${asked}\n${expected.text}\n${body}`)
  assert.strictEqual(response.headers["content-type"], expected.headers.get("content-type"), asked)
  if (isModern && expected.text.startsWith("{")) {
    // It escapes other characters, and words its errors anew from version to version.
    const meaning = (text: string) => {
      const json = JSON.parse(text)
      return expected.status === 200 ? JSON.stringify(json) : { ...json, error: "" }
    }
    assert.deepStrictEqual(meaning(body), meaning(expected.text), asked)
  } else if (expected.status === 200 || exact) assert.strictEqual(body, expected.text, asked)
  else {
    const kind = (text: string) => ({ ...JSON.parse(text), error: "" })
    assert.deepStrictEqual(kind(body), kind(expected.text), asked)
  }
  return { status: expected.status, text: expected.text }
})

const pairs = (params: Record<string, string>): Params => Object.entries(params)

/** Another seed generates other series and requests. */
const seed = Number(process.env.MOCK_SEED ?? "0") * 1_000_000
const dice = new Dice(seed + 1)
const series = anySeries(dice, anyValue)

/** Compares many random requests. Returns how many had a result, so that a test can check that it compared enough. */
const compareMany = Effect.fnUntraced(function* (
  count: number,
  one: (index: number) => Effect.Effect<{ text: string }, RealServerError>
) {
  const responses = yield* Effect.forEach(
    Array.from({ length: count }, (_, i) => i),
    one,
    { concurrency: 8 }
  )
  return responses.filter(({ text }) => !/"(?:data|result)":\[\]/.test(text) && !text.includes('"error"'))
    .length
})

describeEach(prometheusServers, "the mock and a real $name", ({ make, release }) => {
  const mockOf = (series: ReadonlyArray<RemoteSeriesInput>, options: MockOptions = {}) =>
    mockWith(series, release === 2 ? options : { version: "3.16.0", ...options })
  const mock = mockOf(series)

  it.effect("agree on range queries", () =>
    Effect.gen(function* () {
      const real = yield* make({ series: floats(series) })
      const filled = yield* compareMany(600, (i) =>
        compare(real, mock, "query_range", pairs(anyRange(new Dice(seed + 1000 + i))), {
          method: i % 2 === 0 ? "GET" : "POST"
        })
      )
      assert.isAbove(filled, 200)
      // All series together, at points where a sample just enters or leaves the look-back.
      for (const { samples } of series) {
        const times = samples
          .slice(0, 20)
          .flatMap(([time]) => [299_999, 300_000, 300_001].map((d) => time + d))
        for (const time of times.slice(0, 10)) {
          const at = `${time / 1000}`
          yield* compare(real, mock, "query_range", [
            ["query", '{__name__!=""}'],
            ["start", at],
            ["end", at],
            ["step", "1"]
          ])
        }
      }
    })
  )

  it.effect("agree on instant queries", () =>
    Effect.gen(function* () {
      const real = yield* make({ series: floats(series) })
      const filled = yield* compareMany(300, (i) => {
        const dice = new Dice(seed + 5000 + i)
        const selector = anySelector(dice)
        const length = dice.pick([1, 1000, 60_000, 300_000, 3_600_000, dice.integer(1, 7_200_000)])
        const query = dice.pick([
          "time()",
          `count(${selector})`,
          ...Array.from({ length: 4 }, () => selector),
          ...Array.from({ length: 4 }, () => `${selector}[${length}ms]`)
        ])
        return compare(real, mock, "query", pairs({ query, time: timeText(dice, anyTime(dice)) }))
      })
      assert.isAbove(filled, 100)
      yield* compare(
        real,
        mock,
        "query_range",
        pairs({ query: "time()", start: "1.5", end: "9", step: "0.5" })
      )
      // Both ends of the window at samples, and a millisecond beside them.
      for (const { samples } of series.slice(0, 10)) {
        const [first, last] = [samples[0]![0], samples[Math.min(9, samples.length - 1)]![0]]
        for (const shift of [-1, 0, 1]) {
          for (const length of [last - first - 1, last - first, last - first + 1].filter((ms) => ms > 0)) {
            const query = `{__name__!=""}[${length}ms]`
            yield* compare(real, mock, "query", pairs({ query, time: `${(last + shift) / 1000}` }))
          }
        }
      }
      yield* compare(real, mock, "query_range", pairs({ query: "a[5m]", start: "1", end: "9", step: "1" }))
    })
  )

  it.effect("agree on the number of series", () =>
    Effect.gen(function* () {
      const real = yield* make({ series: floats(series) })
      const filled = yield* compareMany(200, (i) => {
        const params = anyRange(new Dice(seed + 7000 + i))
        const query = `${i % 2 === 0 ? "count" : "count by (__name__) "}(${params.query})`
        return compare(real, mock, "query_range", pairs({ ...params, query }))
      })
      assert.isAbove(filled, 50)
    })
  )

  it.effect("agree on the parts of a range that have samples", () =>
    Effect.gen(function* () {
      const real = yield* make({ series: floats(series) })
      const filled = yield* compareMany(200, (i) => {
        const dice = new Dice(seed + 8000 + i)
        const params = anyRange(dice)
        const query = `count by (__name__) (last_over_time(${params.query}[${dice.integer(1, 3_600_000)}ms]))`
        return compare(real, mock, "query_range", pairs({ ...params, query }))
      })
      assert.isAbove(filled, 50)
    })
  )

  it.effect("agree on regular expressions", () =>
    Effect.gen(function* () {
      const texts = [...labelValues.filter((value) => value !== ""), "a", "a]", "1\r2", "É", "1{", "\u2028"]
      const all = texts.map((value) => ({ labels: { __name__: "m", value }, samples: [[0, 1]] as const }))
      const real = yield* make({ series: all })
      const allMock = mockOf(all)
      for (const operator of ["=~", "!~"]) {
        for (const expression of [...expressions, ...badExpressions]) {
          const query = `m{value${operator}${inQuotes(expression)}}`
          const { status } = yield* compare(real, allMock, "query", pairs({ query, time: "1" }))
          assert.strictEqual(status, badExpressions.includes(expression) ? 400 : 200, expression)
        }
      }
    })
  )

  it.effect("agree on labels, label values and series", () =>
    Effect.gen(function* () {
      const real = yield* make({ series: floats(series) })
      // A real server selects by chunks and blocks, not samples, so only ranges before, over and after all of them are compared.
      const spans: ReadonlyArray<Params> = [
        [],
        pairs({ start: `${startMillis / 1000}`, end: `${endMillis / 1000}` }),
        pairs({ start: new Date(0).toISOString(), end: `${(startMillis - 1) / 1000}` }),
        pairs({ start: `${endMillis / 1000 + 86_400}` })
      ]
      const filled = yield* compareMany(300, (i) => {
        const dice = new Dice(seed + 9000 + i)
        const path = dice.pick(["labels", "series", ...labelNames.map((name) => `label/${name}/values`)])
        const matches = Array.from(
          { length: dice.integer(0, 2) },
          () => ["match[]", anySelector(dice)] as const
        )
        return compare(real, mock, path, [...matches, ...dice.pick(spans)])
      })
      assert.isAbove(filled, 50)
      yield* compare(real, mock, "label/__name__/values", [])
      yield* compare(real, mock, "metadata", [])
    })
  )

  it.effect("refuse the same requests with the same errors", () =>
    Effect.gen(function* () {
      const real = yield* make({ series: floats(series) })
      const range = { query: "a", start: "1", end: "10", step: "1" }
      const exact: ReadonlyArray<readonly [string, Record<string, string>]> = [
        ...["foo", "", "2023-01-01", "2023-02-30T00:00:00Z", "1:2"].map(
          (start) => ["query_range", { ...range, start }] as const
        ),
        ["query_range", { ...range, end: 'x"y<' }],
        ["query_range", { ...range, end: "0.5" }],
        ...["", "0", "-1", "1x", "1.5h", "h", "0s"].map(
          (step) => ["query_range", { ...range, step }] as const
        ),
        ["query_range", { ...range, end: "11001" }],
        ["query_range", { ...range, end: "11002" }],
        ["query_range", { ...range, end: "11001.999" }],
        ["query_range", { ...range, end: "5501", step: "0.5" }],
        ["query_range", { ...range, end: "5501.5", step: "500ms" }],
        ["query_range", { ...range, timeout: "soon" }],
        ["query_range", { ...range, timeout: "1m" }],
        ["query_range", { ...range, query: "" }],
        ["query_range", { ...range, query: "{}" }],
        ["query_range", { ...range, query: '{a=""}' }],
        ["query_range", { ...range, query: '{__name__=~".*"}' }],
        ["query_range", { ...range, query: '{a!="b",c=~"d?"}' }],
        ["query_range", {}],
        ["query", { query: "a", time: "foo" }],
        ["query", { query: "" }],
        ["query", {}],
        ["labels", { start: "foo" }],
        ["labels", { end: "foo" }],
        ["labels", { start: "2", end: "1" }],
        ["labels", { "match[]": "{}" }],
        ["label/b-c/values", {}],
        ["label/0/values", {}],
        ["label/%C3%A9/values", {}],
        ["label/a/values", { start: "foo" }],
        ["label/a/values", { "match[]": '{a=""}' }],
        ["series", {}],
        ["series", { "match[]": "{}" }],
        ["series", { "match[]": "" }],
        ["series", { "match[]": "a", end: "foo" }],
        ["metadata", { limit: "x" }],
        ["metadata", { limit: "1", metric: "a" }],
        ["nope", {}],
        // Version 3 is built without its web interface, to which it leaves this one.
        ...(release === 2 ? [["query/", {}] as const] : []),
        ["label/a", {}]
      ]
      for (const [path, params] of exact) {
        yield* compare(real, mock, path, pairs(params), { exact: true })
      }
      for (const path of ["metadata", "label/a/values", "status/flags", "status/buildinfo", "nope"]) {
        yield* compare(real, mock, path, [], { exact: true, method: "POST" })
      }
      const unparsable = [
        ...[
          "a{",
          "a}",
          "{",
          "a b",
          "a{x}",
          'a{x="1"',
          "a{x=1}",
          'a{x=~"("}',
          'a{__name__="b"}',
          'x="1"',
          "sum("
        ],
        ...[
          'a{"x"',
          'a{x="\\q"}',
          "a{,}",
          '{"a"}',
          '{"a"="b"}',
          "a{'b'=~\"c\"}",
          "NaN{}",
          "bool",
          "on",
          "a..b",
          "time(",
          "inf{}",
          "$",
          'a{x=="1"}'
        ]
      ]
      for (const query of unparsable) {
        const { status } = yield* compare(real, mock, "query_range", pairs({ ...range, query }))
        // Version 3 takes names in quotes, and so must the mock.
        if (release === 2) assert.strictEqual(status, 400, query)
        yield* compare(real, mock, "series", [["match[]", query]])
      }
      for (const query of ["by", "sum", "offset", "without", "start", "atan2_x", "a{}", "infinity"]) {
        yield* compare(real, mock, "query_range", pairs({ ...range, query }))
      }
    })
  )

  it.effect("count samples against the limit in the same way", () =>
    Effect.gen(function* () {
      const real = yield* make({
        series: floats(series),
        flags: ["--query.max-samples=2000"]
      })
      const limited = mockOf(series, { maxSamples: 2000 })
      const filled = yield* compareMany(200, (i) => {
        const params = anyRange(new Dice(seed + 20_000 + i))
        // Version 3 counts those of aggregations in another way.
        const query = i % 4 === 0 && release === 2 ? `count(${params.query})` : params.query!
        return compare(real, limited, "query_range", pairs({ ...params, query }), { exact: true })
      })
      assert.isTrue(filled > 50 && filled < 180, `${filled}`)
      // A query that loads exactly the limit succeeds, one sample more fails.
      const one = '{__name__="exact"}'
      const exact = { labels: { __name__: "exact" }, samples: [[startMillis, 1]] as const }
      const tight = yield* make({ series: [exact], flags: ["--query.max-samples=10"] })
      const tightMock = mockOf([exact], { maxSamples: 10 })
      for (const [query, most] of [
        [one, 10],
        ["time()", 10],
        // The result of `count` and its inputs are counted too, not only the loaded samples.
        ...(release === 2 ? [[`count(${one})`, 4] as const] : [])
      ] as const) {
        for (const points of [most - 1, most, most + 1]) {
          const params = {
            query,
            start: `${startMillis / 1000}`,
            end: `${startMillis / 1000 + points - 1}`,
            step: "1"
          }
          const { status } = yield* compare(tight, tightMock, "query_range", pairs(params), { exact: true })
          assert.strictEqual(status, points > most ? 422 : 200)
        }
      }
    })
  )

  it.effect("end series at stale markers", () =>
    Effect.gen(function* () {
      // After three hours of data, a server starts to compact. With late samples, a response once lacked one, presumably
      // for that reason.
      const lastMillis = startMillis + 2.5 * 3_600_000
      const values = (dice: Dice) => (dice.chance(0.1) ? "stale" : anyValue(dice))
      const stale = anySeries(new Dice(seed + 2), values, lastMillis)
      const real = yield* make({ remoteWriteReceiver: true })
      for (const slice of slices(stale, 1_800_000)) yield* real.remoteWrite(slice)
      const staleMock = mockOf(stale)
      const filled = yield* compareMany(300, (i) =>
        compare(real, staleMock, "query_range", pairs(anyRange(new Dice(seed + 30_000 + i), lastMillis)))
      )
      const all = { query: '{__name__!=""}[3h]', time: `${lastMillis / 1000}` }
      yield* compare(real, staleMock, "query", pairs(all))
      assert.isAbove(filled, 100)
    })
  )

  it.effect("look back as far as configured", () =>
    Effect.gen(function* () {
      const real = yield* make({
        series: floats(series),
        flags: ["--query.lookback-delta=47s"],
        routePrefix: "/team/prometheus"
      })
      const short = mockOf(series, { lookbackMillis: 47_000, pathPrefix: "/team/prometheus" })
      yield* compareMany(200, (i) =>
        compare(real, short, "query_range", pairs(anyRange(new Dice(seed + 40_000 + i))))
      )
      const flags = yield* real.get("/api/v1/status/flags")
      const { data } = flags as { data: Record<string, string> }
      const response = short.handle(
        makeRequest("GET", new URL("http://mock/team/prometheus/api/v1/status/flags"), [], ""),
        0
      )
      const mine: { data: Record<string, string> } = JSON.parse(
        Buffer.concat([...response.body]).toString("utf8")
      )
      for (const [name, value] of Object.entries(mine.data)) assert.strictEqual(value, data[name], name)
    })
  )

  // Version 2 has no selectors for them.
  if (release === 3) {
    it.effect("agree on names of any text", () =>
      Effect.gen(function* () {
        const names = ["k8s.pod", "a/b", "..", "é😀", "line\nfeed", "a:b", "0", "U__x", "a_b"]
        const named = names.map((name, i) => ({
          labels: [["__name__", name] as const, [name, `${i}`] as const],
          samples: [[startMillis, i]] as const
        }))
        const real = yield* make({ remoteWriteReceiver: true })
        yield* real.remoteWrite(named)
        const namedMock = mockOf(named)
        const at = { time: `${startMillis / 1000}` }
        for (const name of names) {
          for (const query of [`{${JSON.stringify(name)}}`, `{"${escapeName(name)}"}`]) {
            yield* compare(real, namedMock, "query", pairs({ query, ...at }))
          }
          for (const path of [escapeName(name), `U__${name.replace(/\W/g, "")}_`, "U___d800_", "U__a_zz_"]) {
            yield* compare(real, namedMock, `label/${path}/values`, [])
          }
          yield* compare(real, namedMock, "labels", [["match[]", `{${JSON.stringify(name)}=~".+"}`]])
        }
      })
    )
  }

  it.effect("require a password in the same way", () =>
    Effect.gen(function* () {
      const real = yield* make({ basicAuth: true })
      const guarded = mockOf([], {
        basicAuth: { user: RealPrometheus.basicAuthUser, password: RealPrometheus.basicAuthPassword }
      })
      const wrong = { Authorization: `Basic ${btoa("a:b")}` }
      const right = { Authorization: RealPrometheus.basicAuthHeader }
      for (const headers of [{}, wrong, right]) {
        const expected = yield* real.request("/api/v1/labels", { authenticate: false, headers })
        const url = new URL("http://mock/api/v1/labels")
        const response = guarded.handle(makeRequest("GET", url, Object.entries(headers), ""), 0)
        assert.strictEqual(response.status, expected.status)
        assert.strictEqual(Buffer.concat([...response.body]).toString("utf8"), expected.text)
        for (const name of ["content-type", "www-authenticate"]) {
          assert.strictEqual(response.headers[name] ?? null, expected.headers.get(name), name)
        }
      }
    })
  )
})
