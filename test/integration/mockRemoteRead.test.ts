/** The mock's remote read beside that of a real server with the same samples: the decoded responses are equal. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeRequest } from "../../src/mock/http.ts"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type MockValue, makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import type { RemoteReadQuery, ResponseForm } from "../../src/prometheus/RangeQuery.ts"
import { ChunkedDecoder } from "../../src/prometheus/remoteRead/ChunkedDecoder.ts"
import { readRequest } from "../../src/prometheus/remoteRead/readRequest.ts"
import { SamplesDecoder } from "../../src/prometheus/remoteRead/SamplesDecoder.ts"
import type { Matcher } from "../../src/promql/Matcher.ts"
import { type Histogram, textAt } from "../../src/samples/Sample.ts"
import { Choices } from "../choices.ts"
import { minute } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import type { RemoteSeriesInput, RemoteValue } from "../support/remoteWrite.ts"
import { describeEachConcurrently, prometheusServers } from "../support/servers.ts"

const requestFor = (query: RemoteReadQuery, form: ResponseForm) => readRequest([query], [form])

const headers = {
  "content-type": "application/x-protobuf",
  "content-encoding": "snappy",
  "x-prometheus-remote-read-version": "0.1.0"
}

interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | null>>
  readonly bytes: Uint8Array
}

const fromReal = (server: RealServer, body: Uint8Array<ArrayBuffer>, method = "POST") =>
  Effect.promise(async (): Promise<Reply> => {
    const content = method === "POST" ? { body } : {}
    const response = await fetch(`${server.baseUrl}/api/v1/read`, { method, headers, ...content })
    const header = (name: string) => response.headers.get(name)
    return {
      status: response.status,
      headers: {
        "content-type": header("content-type"),
        "content-encoding": header("content-encoding"),
        allow: header("allow")
      },
      bytes: new Uint8Array(await response.arrayBuffer())
    }
  })

const fromMock = (mock: MockPrometheus, body: Uint8Array, method = "POST"): Reply => {
  const url = new URL("http://mock/api/v1/read")
  const reply = mock.handle(makeRequest(method, url, Object.entries(headers), body), Date.now())
  const header = (name: string) => reply.headers[name] ?? null
  return {
    status: reply.status,
    headers: {
      "content-type": header("content-type"),
      "content-encoding": header("content-encoding"),
      allow: header("allow")
    },
    bytes: Buffer.concat([...reply.body])
  }
}

/** The decoded samples in the order of the response. In the form without chunks, series have no order. */
const decoded = ({ bytes }: Reply, range: RemoteReadQuery, form: ResponseForm) => {
  const decoding = { range, series: undefined, excludedLabels: new Set<string>() }
  const decoder = form === "chunks" ? new ChunkedDecoder(decoding) : new SamplesDecoder(decoding)
  const blocks = [...decoder.push(bytes), ...decoder.finish()]
  if (form === "samples")
    blocks.sort((a, b) => (a.series.id < b.series.id ? -1 : a.series.id > b.series.id ? 1 : 0))
  return blocks.flatMap((block) =>
    Array.from(block.times, (time, i) => ({
      labels: block.series.labels,
      time,
      value: block._tag === "HistogramBlock" ? block.histograms[i] : textAt(block, i)
    }))
  )
}

const external = { region: "eu", zone: "external" }

const histogramOf = (i: number): readonly [RemoteValue, Histogram] => [
  {
    count: 3 + i,
    sum: i / 4,
    schema: 0,
    zeroThreshold: 2 ** -10,
    zeroCount: 1,
    offset: 1,
    counts: [i, 2]
  },
  {
    count: `${3 + i}`,
    sum: `${i / 4}`,
    buckets: [
      { boundaries: 3, lower: `${-(2 ** -10)}`, upper: `${2 ** -10}`, count: "1" },
      ...(i === 0 ? [] : [{ boundaries: 0 as const, lower: "1", upper: "2", count: `${i}` }]),
      { boundaries: 0, lower: "2", upper: "4", count: "2" }
    ]
  }
]

/** The same series for both servers. */
const seriesFrom = (choices: Choices, from: number) => {
  const real: Array<RemoteSeriesInput> = []
  const mock: Array<ReturnType<typeof makeSeries>> = []
  const add = (labels: Record<string, string>, values: ReadonlyArray<readonly [RemoteValue, MockValue]>) => {
    let time = from
    const times = values.map(() => {
      time += choices.pick([1000, 1000, 1000, 999, 1001, 17, 9000])
      return time
    })
    real.push({ labels, samples: times.map((time, i) => [time, values[i]![0]] as const) })
    mock.push(
      makeSeries(
        labels,
        times.map((time, i) => [time, values[i]![1]] as const)
      )
    )
  }
  const float = (value: number | "stale") => [value, value] as const
  const values = (length: number, of: (i: number) => number | "stale") =>
    Array.from({ length }, (_, i) => float(of(i)))
  add(
    { __name__: "walk" },
    values(400, () => choices.below(1e9) / 1e6)
  )
  add(
    { __name__: "walk", zone: "own" },
    values(100, (i) => i)
  )
  add(
    { __name__: "walk", zone: "external", é: "ü" },
    values(10, (i) => i)
  )
  add(
    { __name__: "ends" },
    values(50, (i) => (i % 5 === 4 ? "stale" : i / 3))
  )
  add(
    { __name__: "odd" },
    values(40, (i) => [Number.NaN, Infinity, -Infinity, -0, 0, 5e-324][i % 6]!)
  )
  add(
    { __name__: "native" },
    Array.from({ length: 30 }, (_, i) => histogramOf(i))
  )
  add(
    { __name__: "native", mixed: "yes" },
    Array.from({ length: 40 }, (_, i) => (i % 10 < 5 ? float(i) : histogramOf(i)))
  )
  return { real, mock }
}

describeEachConcurrently(
  prometheusServers,
  "the mock's remote read beside a real $name",
  ({ make, release }) => {
    it.effect("has the same samples, and the same headers and statuses", () =>
      Effect.gen(function* () {
        const from = Math.floor(Date.now() / minute) * minute - 30 * minute
        const series = seriesFrom(new Choices(11, 1e9), from)
        const server = yield* make({
          remoteWriteReceiver: true,
          externalLabels: external,
          flags: ["--enable-feature=native-histograms"]
        })
        // Of a series in one request, a server takes the floats first, and then refuses earlier histograms.
        const isMixed = ({ labels }: RemoteSeriesInput) => "mixed" in labels
        yield* server.remoteWrite(series.real.filter((one) => !isMixed(one)))
        for (const { labels, samples } of series.real.filter(isMixed)) {
          for (let i = 0; i < samples.length; i += 5) {
            yield* server.remoteWrite([{ labels, samples: samples.slice(i, i + 5) }])
          }
        }
        const mock = new MockPrometheus(makeDatabase(series.mock), {
          version: `${release}.0.0`,
          externalLabels: external
        })
        const equal = (label: string, value: string): Matcher => ({ label, operator: "=", value })
        const matching: ReadonlyArray<ReadonlyArray<Matcher>> = [
          [{ label: "__name__", operator: "!=", value: "" }],
          [{ label: "__name__", operator: "=~", value: "wal.|od." }],
          [equal("__name__", "walk"), equal("zone", "external")],
          [equal("__name__", "walk"), equal("zone", "own")],
          [equal("__name__", "walk"), { label: "zone", operator: "!=", value: "external" }],
          [equal("__name__", "walk"), equal("zone", "")],
          [equal("__name__", "none")]
        ]
        const ranges = [
          [from, from + 30 * minute],
          [from + 20_000, from + 20_000],
          [from + 20_001, from + 190_017],
          [from - minute, from]
        ] as const
        let samples = 0
        for (const matchers of matching) {
          for (const [startMillis, endMillis] of ranges) {
            const query = { matchers, startMillis, endMillis }
            for (const form of ["chunks", "samples"] as const) {
              const expected = yield* fromReal(server, requestFor(query, form))
              const actual = fromMock(mock, requestFor(query, form))
              assert.deepStrictEqual([actual.status, actual.headers], [expected.status, expected.headers])
              const found = decoded(actual, query, form)
              assert.deepStrictEqual(found, decoded(expected, query, form))
              samples += found.length
            }
          }
        }
        assert.isAbove(samples, 2000)
        const odd: ReadonlyArray<readonly [Uint8Array<ArrayBuffer>, string]> = [
          [new Uint8Array(0), "GET"],
          [new Uint8Array(0), "PUT"],
          [Uint8Array.of(1, 2, 3), "POST"],
          [
            requestFor(
              { matchers: [{ label: "a", operator: "=~", value: "(" }], startMillis: 0, endMillis: 1 },
              "chunks"
            ),
            "POST"
          ]
        ]
        for (const [body, method] of odd) {
          const [expected, actual] = [yield* fromReal(server, body, method), fromMock(mock, body, method)]
          assert.deepStrictEqual([actual.status, actual.headers], [expected.status, expected.headers], method)
        }
      })
    )
  }
)
