/** The mock's remote read: its responses have exactly the stored samples, from which the points of range queries follow. */
import { assert, describe, it } from "@effect/vitest"
import { evaluate, parseQuery } from "../../src/mock/evaluate.ts"
import { onMetric } from "../../src/mock/faults.ts"
import { generate } from "../../src/mock/generate.ts"
import { makeRequest } from "../../src/mock/http.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import {
  labelValue,
  type MockDatabase,
  type MockValue,
  makeDatabase,
  makeSeries
} from "../../src/mock/MockSeries.ts"
import { parseReadRequest } from "../../src/mock/readRequest.ts"
import type { ResponseForm } from "../../src/prometheus/RangeQuery.ts"
import { ChunkedDecoder } from "../../src/prometheus/remoteRead/ChunkedDecoder.ts"
import { readRequest } from "../../src/prometheus/remoteRead/readRequest.ts"
import { SamplesDecoder } from "../../src/prometheus/remoteRead/SamplesDecoder.ts"
import { hasLabel, type Matcher, ofMetric } from "../../src/promql/Matcher.ts"
import { type Histogram, textAt } from "../../src/samples/Sample.ts"
import { type Choices, choices } from "../choices.ts"
import { runs } from "../support/runs.ts"

const start = 1_767_225_600_000
const all = [hasLabel("__name__")]

interface Read {
  readonly matchers?: ReadonlyArray<Matcher>
  readonly startMillis?: number
  readonly endMillis?: number
  readonly form?: ResponseForm
}

const send = (mock: MockPrometheus, { endMillis, form, matchers, startMillis }: Read = {}, nowMillis = 0) => {
  const query = {
    matchers: matchers ?? all,
    startMillis: startMillis ?? -1e15,
    endMillis: endMillis ?? 1e15
  }
  const body = readRequest([query], [form ?? "chunks"])
  const response = mock.handle(makeRequest("POST", new URL("http://mock/api/v1/read"), [], body), nowMillis)
  return { ...response, query, bytes: Buffer.concat([...response.body]) }
}

/** The samples of a response, as text. */
const read = (mock: MockPrometheus, query: Read = {}, nowMillis = 0) => {
  const { bytes, headers, query: range, status } = send(mock, query, nowMillis)
  assert.strictEqual(status, 200, `${bytes}`)
  const Decoder = headers["content-type"]!.includes("streamed") ? ChunkedDecoder : SamplesDecoder
  const decoder = new Decoder({ range, series: undefined, excludedLabels: new Set() })
  const blocks = [...decoder.push(bytes), ...decoder.finish()]
  return blocks.flatMap((block) =>
    Array.from(block.times, (time, i) => [
      JSON.stringify(block.series.labels),
      time,
      block._tag === "HistogramBlock" ? block.histograms[i] : textAt(block, i)
    ])
  )
}

const shown = (value: MockValue): string | Histogram =>
  typeof value === "object"
    ? value
    : value === Number.POSITIVE_INFINITY
      ? "+Inf"
      : value === Number.NEGATIVE_INFINITY
        ? "-Inf"
        : Object.is(value, -0)
          ? "-0"
          : `${value}`

/** The stored samples in the order of a response, without stale markers. */
const stored = (database: MockDatabase, startMillis = -1e15, endMillis = 1e15) =>
  database.series.flatMap(({ labels, times, values }) =>
    Array.from(times, (time, i) => [JSON.stringify(labels), time, values[i]!] as const)
      .filter(([, time, value]) => value !== "stale" && time >= startMillis && time <= endMillis)
      .map(([labels, time, value]) => [labels, time, shown(value)])
  )

const exponential: Histogram = {
  count: "17",
  sum: "-2.5",
  buckets: [
    { boundaries: 1, lower: "-4", upper: "-2", count: "2" },
    { boundaries: 1, lower: "-1", upper: "-0.5", count: "1" },
    { boundaries: 3, lower: "-0.25", upper: "0.25", count: "4" },
    { boundaries: 0, lower: "0.25", upper: "0.5", count: "3.5" },
    { boundaries: 0, lower: "1", upper: "2", count: "6.5" },
    { boundaries: 0, lower: "2", upper: "4", count: "0.5" }
  ]
}

const custom: Histogram = {
  count: "6",
  sum: "+Inf",
  buckets: [
    { boundaries: 3, lower: "-Inf", upper: "0.1", count: "1" },
    { boundaries: 0, lower: "0.1", upper: "0.3", count: "2" },
    { boundaries: 0, lower: "5", upper: "+Inf", count: "3" }
  ]
}

const fine: Histogram = {
  count: "1",
  sum: "1",
  buckets: [{ boundaries: 0, lower: "1", upper: "1.0027112750502025", count: "1" }]
}

const histograms = [exponential, custom, fine, { count: "0", sum: "0", buckets: [] }]

const anyValue = (choices: Choices): MockValue => {
  switch (choices.below(6)) {
    case 0:
      return choices.below(1000) / 100
    case 1:
      return choices.pick([0, -0, 5e-324, Number.NaN, Infinity, -Infinity, 1.7976931348623157e308])
    case 2:
      return "stale"
    case 3:
      return choices.pick(histograms)
    case 4:
      return choices.below(2 ** 32) * choices.below(2 ** 32)
    default:
      return 42
  }
}

const anyDatabase = (choices: Choices): MockDatabase =>
  makeDatabase(
    Array.from({ length: choices.between(1, 4) }, (_, n) => {
      let time = start
      return makeSeries(
        { __name__: choices.pick(["a", "b"]), n: `${n}` },
        Array.from({ length: choices.pick([1, 7, 300]) }, () => {
          time += choices.pick([15_000, 1, 15_001, 10_000_000, 100_000_000])
          return [time, anyValue(choices)] as const
        })
      )
    })
  )

describe("the mock's remote read", () => {
  it.prop(
    "has the stored samples of the range",
    [choices],
    ([choices]) => {
      const database = anyDatabase(choices)
      const mock = new MockPrometheus(database, { version: "3.1.0" })
      assert.deepStrictEqual(read(mock), stored(database))
      const times = database.series.flatMap(({ times }) => [...times])
      const [startMillis, endMillis] = [choices.pick(times), choices.pick(times)]
      assert.deepStrictEqual(read(mock, { startMillis, endMillis }), stored(database, startMillis, endMillis))
      assert.deepStrictEqual(
        read(mock, { form: "samples" })
          .map(([, time]) => time)
          .sort(),
        stored(database)
          .map(([, time]) => time)
          .sort()
      )
    },
    { arbitrary: { runs: runs(30, 200) } }
  )

  it.prop(
    "has the samples from which the points of range queries follow",
    [choices],
    ([choices]) => {
      const database = anyDatabase(choices)
      for (const closed of [true, false]) {
        const options = { lookbackMillis: 300_000, lookbackClosed: closed, untilMillis: 1e15 }
        const grid = { startMillis: start, endMillis: start + 100 * 60_000, stepMillis: 60_000 }
        const query = parseQuery("a")
        if (query._tag === "Failure") return assert.fail(query.failure)
        const points = Array.from(
          evaluate(query.success, database, grid, options),
          ({ labels, times, values }) => times.map((time, i) => [JSON.stringify(labels), time, values[i]])
        ).flat()
        const expected = database.series
          .filter(({ labels }) => labelValue(labels, "__name__") === "a")
          .flatMap(({ labels, times, values }) =>
            Array.from({ length: 101 }, (_, i) => start + i * 60_000).flatMap((time) => {
              const last = times.findLastIndex((own) => own <= time)
              const age = time - (times[last] ?? Number.NEGATIVE_INFINITY)
              const isOld = closed ? age > 300_000 : age >= 300_000
              return isOld || values[last] === "stale" ? [] : [[JSON.stringify(labels), time, values[last]]]
            })
          )
        assert.deepStrictEqual(points, expected)
      }
    },
    { arbitrary: { runs: runs(20, 100) } }
  )

  it("has the samples of the demo, in chunks smaller than text", () => {
    const database = generate({ endMillis: start, hours: 25 })
    const mock = new MockPrometheus(database)
    const expected = stored(database)
    assert.deepStrictEqual(read(mock), expected)
    assert.isBelow(send(mock).bytes.length, 6 * expected.length)
  })

  const small = makeDatabase([
    makeSeries({ __name__: "a", region: "own" }, [[start, 1]]),
    makeSeries({ __name__: "a", zone: "z" }, [
      [start, 2],
      [start + 1, "stale"],
      [start + 2, exponential],
      [start + 3, 3]
    ]),
    makeSeries({ __name__: "b" }, [[start, -0]])
  ])
  const make = (options: MockOptions = {}) => new MockPrometheus(small, options)
  const valuesOf = (mock: MockPrometheus, query: Read = {}, nowMillis = 0) =>
    read(mock, query, nowMillis).map(([, , value]) => value)

  it("contains stale markers", () => {
    const { bytes } = send(make(), { matchers: [ofMetric("a"), hasLabel("zone")], endMillis: start + 1 })
    // The second value differs from the first one, 2, in all bits that it has.
    const marker = 0x4000000000000000n ^ 0x7ff0000000000002n
    const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("")
    assert.include(bits, marker.toString(2).slice(0, -1))
  })

  it("selects by all kinds of matchers", () => {
    const select = (...matchers: ReadonlyArray<Matcher>) => valuesOf(make(), { matchers, form: "samples" })
    assert.deepStrictEqual(select(ofMetric("b")), ["0"])
    assert.deepStrictEqual(select({ label: "__name__", operator: "=~", value: "a|c" }), ["1", "2"])
    assert.deepStrictEqual(select({ label: "zone", operator: "!=", value: "z" }), ["1", "0"])
    assert.deepStrictEqual(select({ label: "__name__", operator: "!~", value: "[b-z]" }), ["1", "2"])
    assert.deepStrictEqual(select(ofMetric("none")), [])
  })

  it("ends a series before its first histogram in version 2, if samples are requested", () => {
    const query: Read = { matchers: [hasLabel("zone")], form: "samples" }
    assert.deepStrictEqual(valuesOf(make(), query), ["2"])
    assert.deepStrictEqual(valuesOf(make({ version: "3.0.0" }), query), ["2", exponential, "3"])
  })

  it("adds external labels, and for matchers of them selects series without such a label", () => {
    const mock = make({ externalLabels: { region: "eu", zone: "x" } })
    const labels = (...matchers: ReadonlyArray<Matcher>) => [
      ...new Set(read(mock, { matchers }).map(([labels]) => labels))
    ]
    const own = '[["__name__","a"],["region","own"],["zone","x"]]'
    const other = '[["__name__","a"],["region","eu"],["zone","z"]]'
    assert.deepStrictEqual(labels(ofMetric("a")), [own, other])
    assert.deepStrictEqual(labels(ofMetric("a"), { label: "region", operator: "=", value: "eu" }), [other])
    assert.deepStrictEqual(labels(ofMetric("a"), { label: "region", operator: "=", value: "own" }), [own])
    assert.deepStrictEqual(labels(ofMetric("a"), { label: "region", operator: "=~", value: "eu" }), [])
  })

  it("hides the future", () => {
    assert.deepStrictEqual(valuesOf(make({ hideFuture: true }), {}, start), ["1", "2", "-0"])
    assert.deepStrictEqual(valuesOf(make({ hideFuture: true }), {}, start - 1), [])
  })

  it("refuses other methods and bodies", () => {
    const mock = make()
    const status = (method: string, body: string | Uint8Array) =>
      mock.handle(makeRequest(method, new URL("http://mock/api/v1/read"), [], body), 0).status
    assert.strictEqual(status("GET", ""), 405)
    assert.strictEqual(status("OPTIONS", ""), 204)
    assert.strictEqual(status("POST", "not snappy"), 400)
    assert.strictEqual(
      status("POST", readRequest([{ matchers: all, startMillis: 0, endMillis: 1 }], [])),
      200
    )
    const bad = [{ label: "a", operator: "=~", value: "(" } as const]
    assert.strictEqual(send(mock, { matchers: bad }).status, 500)
  })

  it("is not offered if the mock says so", () => {
    assert.strictEqual(send(make({ remoteRead: false })).status, 404)
  })

  it("has faults, by metric too, and counts attempts by what is requested", () => {
    const fault = { status: 503 }
    const mock = make({ faults: onMetric("a", fault) })
    assert.strictEqual(send(mock, { matchers: [ofMetric("a")] }).status, 503)
    assert.strictEqual(send(mock, { matchers: [ofMetric("a")] }).status, 503)
    assert.strictEqual(send(mock, { matchers: [ofMetric("b")] }).status, 200)
    assert.deepStrictEqual(
      mock.requests.map(({ attempt, body }) => [
        parseReadRequest(body).queries[0]!.matchers[0]!.value,
        attempt
      ]),
      [
        ["a", 1],
        ["a", 2],
        ["b", 1]
      ]
    )
    const cut = send(make({ faults: () => ({ cutAfterBytes: 10 }) }))
    assert.deepStrictEqual([cut.ending, cut.bytes.length], ["cut", 10])
  })
})
