/** Where VictoriaMetrics differs from Prometheus by design: what is read, and that it is complete. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Fault } from "../../src/mock/http.ts"
import * as backends from "../support/backends.ts"
import type { VictoriaMetricsRelease } from "../support/binaries.ts"
import * as connector from "../support/connector.ts"
import type { SeriesInput } from "../support/openMetrics.ts"
import { describeEach, victoriaMetricsServers } from "../support/servers.ts"

const minute = 60_000
const day = 86_400_000

/** 2026-01-02T10:00:00Z, in milliseconds. */
const start = Date.UTC(2026, 0, 2, 10)

const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const series = (name: string, samples: SeriesInput["samples"], labels = {}): SeriesInput => ({
  labels: { __name__: name, ...labels },
  samples
})

/** A request that the server refuses under a flag. */
interface Refusal {
  readonly flag: string
  readonly words: string
  /** What the mock responds. */
  readonly said: Fault
  /** The status of a current release, if it is another one. */
  readonly currentStatus?: number
  /** The only release that does this. */
  readonly only?: VictoriaMetricsRelease
}

/** Reads all streams that `discover` finds with the given settings. */
const readAll = Effect.fnUntraced(function* (settings: object) {
  const files = yield* connector.workspace
  const streams = yield* connector.discover(files, settings)
  const output = yield* connector.read(files, settings, connector.configure(streams, "full_refresh"))
  assert.deepStrictEqual(output.errors, [])
  assert.strictEqual(output.code, 0)
  return { names: streams.map(({ name }) => name), records: output.records }
})

describeEach(victoriaMetricsServers, "a real $name", ({ make, release }) => {
  it.effect("drops NaN and the sign of zero, keeps a dozen digits, and prints no exponents", () =>
    Effect.gen(function* () {
      const values = [
        [0.1, "0.1"],
        [1 / 3, /^0\.3{12,16}$/],
        [-0, "0"],
        [Number.NaN, undefined],
        [Number.POSITIVE_INFINITY, "+Inf"],
        [Number.NEGATIVE_INFINITY, "-Inf"],
        [-1.2345678901234567, /^-1\.234567890123\d{0,4}$/],
        [2 ** 53 - 1, "9007199254740991"],
        [1e21, "1000000000000000000000"],
        [-1.5e300, `-15${"0".repeat(299)}`],
        [1.5e-9, "0.0000000015"],
        [5e-324, "0"]
      ] as const
      const server = yield* make({
        series: [
          // One series per value: the samples of a block share an exponent, so large values cost small ones their digits.
          ...values.map(([value], i) => series("alone", [[start, value]], { i: `${i}` })),
          series("together", [
            [start, 1e12],
            [start + minute, 1 / 3],
            [start + 2 * minute, 1e-9]
          ])
        ]
      })
      const { records } = yield* readAll({
        base_url: server.baseUrl,
        start_date: iso(start),
        end_date: iso(start + 2 * minute),
        step: 60
      })
      const alone = records.filter(({ data, stream }) => stream === "alone" && data.time === iso(start))
      const read = new Map(
        alone.map(({ data, valueText }) => [Number(data.i), data.special_value ?? valueText])
      )
      values.forEach(([value, text], i) => {
        if (text instanceof RegExp) assert.match(read.get(i) as string, text)
        else assert.strictEqual(read.get(i), text, `${value}`)
      })
      assert.deepStrictEqual(
        records.filter(({ stream }) => stream === "together").map(({ valueText }) => valueText),
        ["1000000000000", "0.333333", "0"]
      )
    })
  )

  it.effect("repeats values over gaps for five minutes, whatever the intervals of the samples are", () =>
    Effect.gen(function* () {
      // With a plain selector, it would estimate its look-back from the first intervals of each response.
      const gaps = [5, 60, 15, 900, 60, 400, 5, 5, 60, 15, 60, 900, 400, 15]
      const samples: Array<readonly [number, number]> = []
      for (let time = start, i = 0; i < 400; time += gaps[(i * i + 3 * i) % gaps.length]! * 1000, i++) {
        samples.push([time, i])
      }
      const server = yield* make({ series: [series("irregular", samples)] })
      const end = samples.at(-1)![0]
      for (const step of [15, 60, 300]) {
        const { records } = yield* readAll({
          base_url: server.baseUrl,
          start_date: iso(start),
          end_date: iso(end),
          step
        })
        const expected: Array<Array<number | string>> = []
        for (let time = start; time <= end; time += step * 1000) {
          const [sampled, value] = samples.findLast(([sampled]) => sampled <= time)!
          if (time - sampled < 5 * minute) expected.push([time, `${value}`])
        }
        assert.deepStrictEqual(
          records.map(({ data, valueText }) => [Date.parse(data.time as string), valueText]),
          expected
        )
      }
    })
  )

  it.effect("lists metrics by full days, and those without samples in the range are empty", () =>
    Effect.gen(function* () {
      const at = (name: string, time: number) => series(name, [[time, 1]])
      const server = yield* make({
        series: [
          at("day_before", start - day),
          at("earlier_that_day", start - 60 * minute),
          at("inside", start),
          at("later_that_day", start + 120 * minute),
          at("day_after", start + day)
        ]
      })
      const { names, records } = yield* readAll({
        base_url: server.baseUrl,
        start_date: iso(start),
        end_date: iso(start + 60 * minute),
        step: 60
      })
      assert.deepStrictEqual(names, ["earlier_that_day", "inside", "later_that_day"])
      assert.deepStrictEqual([...new Set(records.map(({ stream }) => stream))], ["inside"])
    })
  )

  it.effect("is requested in parts for the labels and the samples of series that come and go", () =>
    Effect.gen(function* () {
      const pods = [0, 1, 2, 3].flatMap((d) =>
        Array.from({ length: 10 }, (_, n) =>
          series(
            "pods",
            Array.from({ length: 12 }, (_, hour) => [start + d * day + hour * 60 * minute, hour]),
            { pod: `${d}-${n}`, [`label_${d}`]: "x" }
          )
        )
      )
      // The limit allows the pods of two days, but not of all four.
      const server = yield* make({
        series: pods,
        flags: ["-search.maxUniqueTimeseries=25"]
      })
      const settings = {
        base_url: server.baseUrl,
        start_date: iso(start),
        end_date: iso(start + 4 * day),
        step: 3600
      }
      const files = yield* connector.workspace
      const [stream] = yield* connector.discover(files, settings)
      assert.includeMembers(Object.keys(stream!.json_schema.properties), [
        "pod",
        ...["label_0", "label_1", "label_2", "label_3"]
      ])
      const { records } = yield* readAll(settings)
      assert.strictEqual(connector.byKey(records).size, 40 * 12)
      assert.strictEqual(new Set(records.map(({ data }) => `${data.pod} ${data.value}`)).size, 40 * 12)
    })
  )

  it.effect("is read completely when its queue is shorter than the concurrency", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 24 }, (_, n) => `m${n}`)
      const server = yield* make({
        series: names.flatMap((name) =>
          ["a", "b", "c"].map((host) =>
            series(
              name,
              Array.from({ length: 200 }, (_, i) => [start + i * minute, i]),
              { host }
            )
          )
        ),
        flags: ["-search.maxConcurrentRequests=1"]
      })
      const { records } = yield* readAll({
        base_url: server.baseUrl,
        start_date: iso(start),
        end_date: iso(start + 199 * minute),
        step: 60,
        concurrency: 16
      })
      assert.strictEqual(connector.byKey(records).size, names.length * 3 * 200)
    })
  )

  it.effect("is read only up to the time for which it is complete, even without a settle delay", () =>
    Effect.gen(function* () {
      // The value of each sample is its time. For points newer than 30 s, the server repeats old values.
      const first = Math.floor(Date.now() / minute - 5) * minute
      const server = yield* make({
        series: [
          series(
            "clock",
            Array.from({ length: 1200 }, (_, i) => [first + i * 1000, (first + i * 1000) / 1000])
          )
        ]
      })
      const { records } = yield* readAll({
        base_url: server.baseUrl,
        start_date: iso(first),
        step: 5,
        settle_delay: 0
      })
      assert.isAbove(records.length, 40)
      for (const { data } of records) assert.strictEqual(data.value, Date.parse(data.time as string) / 1000)
    })
  )

  it.effect("is read in parts if a range has too many samples, which it counts by storage blocks", () =>
    Effect.gen(function* () {
      const count = 40_000
      const server = yield* make({
        series: ["a", "b"].map((host) =>
          series(
            "dense",
            Array.from({ length: count }, (_, i) => [start + i * 1000, i]),
            { host }
          )
        ),
        flags: ["-search.maxSamplesPerQuery=33000"]
      })
      const until = start + (count - 1) * 1000
      const refused = yield* server.request("/api/v1/query_range", {
        params: { query: "dense", start: `${start / 1000}`, end: `${until / 1000}`, step: "20" }
      })
      assert.strictEqual(refused.status, 422)
      const settings = { base_url: server.baseUrl, start_date: iso(start), end_date: iso(until), step: 20 }
      const { records } = yield* readAll(settings)
      assert.strictEqual(connector.byKey(records).size, 2 * (count / 20))
      for (const { data } of records) {
        assert.strictEqual(data.value, (Date.parse(data.time as string) - start) / 1000)
      }
    })
  )

  it.effect("returns a series whose first sample is at midnight, at the end of a window", () =>
    Effect.gen(function* () {
      const midnight = Date.UTC(2026, 0, 3)
      const server = yield* make({
        series: [
          series("new", [[midnight, 7]]),
          series("old", [
            [midnight - day, 1],
            [midnight, 2]
          ])
        ]
      })
      const { records } = yield* readAll({
        base_url: server.baseUrl,
        start_date: iso(midnight - 2 * day),
        end_date: iso(midnight),
        step: 86_400
      })
      assert.deepStrictEqual(
        records.map(({ data, stream }) => `${stream} ${data.time} ${data.value}`).sort(),
        [`new ${iso(midnight)} 7`, `old ${iso(midnight - day)} 1`, `old ${iso(midnight)} 2`]
      )
    })
  )

  // The words identify the limit. The rest of the message depends on the version of the server.
  const refusals: ReadonlyArray<Refusal> = [
    {
      flag: "-search.maxSamplesPerQuery=1000",
      words: "cannot select more than",
      said: backends.victoriaMetrics.maxSamplesPerQuery
    },
    {
      flag: "-search.maxUniqueTimeseries=20",
      words: "the number of matching timeseries exceeds 20",
      said: backends.victoriaMetrics.maxUniqueTimeseries,
      // A current release does not apply it to few series of one metric.
      only: "Debian"
    },
    {
      flag: "-search.maxResponseSeries=20",
      words: "the response contains more than -search.maxResponseSeries=20 time series",
      said: backends.victoriaMetrics.maxResponseSeries,
      only: "current"
    },
    {
      flag: "-search.maxPointsPerTimeseries=50",
      words: "too many points for the given",
      said: backends.victoriaMetrics.maxPointsPerTimeseries
    },
    {
      flag: "-search.maxSamplesPerSeries=30",
      words: "cannot process more than 30 samples per series",
      said: backends.victoriaMetrics.maxSamplesPerSeries
    },
    {
      flag: "-memory.allowedBytes=100000",
      words: "not enough memory for processing",
      said: backends.victoriaMetrics.memory
    },
    {
      flag: "-search.maxQueryLen=3",
      words: "too long query",
      said: backends.victoriaMetrics.maxQueryLen,
      currentStatus: 400
    }
  ]
  it.effect.each(refusals.filter(({ only = release }) => only === release))(
    "returns the error that the mock imitates: $flag",
    ({ currentStatus, flag, said, words }) =>
      Effect.gen(function* () {
        const first = Date.UTC(2026, 0, 1)
        const server = yield* make({
          series: Array.from({ length: 30 }, (_, n) =>
            series(
              "wide",
              Array.from({ length: 61 }, (_, i) => [first + i * minute, i]),
              { n: `${n}` }
            )
          ),
          flags: [flag]
        })
        const { headers, status, text } = yield* server.request("/api/v1/query_range", {
          params: { query: "wide", start: `${first / 1000}`, end: `${first / 1000 + 3600}`, step: "60" }
        })
        const expectedStatus = release === "current" ? (currentStatus ?? said.status) : said.status
        assert.deepStrictEqual(
          [status, headers.get("content-type")],
          [expectedStatus, said.headers?.["content-type"] ?? null]
        )
        for (const [body, status] of [
          [text, expectedStatus],
          [said.body as string, said.status]
        ] as const) {
          const response = JSON.parse(body) as Readonly<Record<string, string>>
          assert.deepInclude(response, { status: "error", errorType: `${status}` })
          assert.include(response.error!, words)
        }
      })
  )
})
