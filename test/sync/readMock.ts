import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import type { Fault } from "../../src/mock/http.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type MockSeries, makeDatabase } from "../../src/mock/MockSeries.ts"
import { type SampleBlock, textAt } from "../../src/samples/Sample.ts"
import type { BlockSource } from "../../src/sync/BlockSource.ts"
import { plan, type StreamRequest } from "../../src/sync/plan.ts"
import { read, readPlanned } from "../../src/sync/Read.ts"
import type { ReadEvent } from "../../src/sync/ReadEvent.ts"
import { StateStore } from "../../src/sync/StateStore.ts"
import { iso, minute, start } from "../support/gauge.ts"

export const DELAY = 60_000

/** The start of a test: `points` grid points have settled by now. */
export interface Setting {
  readonly series: ReadonlyArray<MockSeries>
  readonly points: number
  readonly config?: object
  readonly mock?: MockOptions
  readonly states?: Readonly<Record<string, unknown>>
}

// A sample is the value of a single grid point.
export const exact: MockOptions = { lookbackMillis: 1000, version: "3.0.0" }

export const setUp = Effect.fnUntraced(function* (setting: Setting) {
  yield* TestClock.setTime(start + (setting.points - 1) * minute + DELAY)
  const mock = new MockPrometheus(makeDatabase(setting.series), { ...exact, ...setting.mock })
  // Most tests are about the windows of queries. Those of `auto` are in `eitherApi.test.ts`.
  const api = "query_range"
  const config = { base_url: "http://mock", start_date: iso(start), step: 60, api, ...setting.config }
  const store = StateStore.layerMemory(Object.entries(setting.states ?? {}))
  const base = Layer.merge(store, ConnectorConfig.layerFrom(config))
  return { base, mock, services: Layer.provideMerge(MockHttpClient.layerClient(mock), base) }
})

export const incremental = (...names: ReadonlyArray<string>): ReadonlyArray<StreamRequest> =>
  names.map((name) => ({ name, mode: "incremental" }))

export const fullRefresh = (name: string, generation?: number): ReadonlyArray<StreamRequest> => [
  { name, mode: "full_refresh", generationId: generation }
]

/** Runs all fibers until they wait for time. */
export const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

/** Starts an effect and runs it until it waits. */
export const launch = <A, X, R>(effect: Effect.Effect<A, X, R>): Effect.Effect<Fiber.Fiber<A, X>, never, R> =>
  Effect.tap(Effect.forkChild(effect), settle)

/** Advances the clock until the effect ends. */
export const drive = <A, X, R>(effect: Effect.Effect<A, X, R>): Effect.Effect<A, X, R> =>
  Effect.gen(function* () {
    const fiber = yield* launch(effect)
    for (let hours = 0; fiber.pollUnsafe() === undefined; hours++) {
      if (hours === 100) throw new Error("The read does not end.")
      yield* TestClock.adjust("1 hour")
      yield* settle
    }
    return yield* Fiber.join(fiber)
  })

export const collect = (requests: ReadonlyArray<StreamRequest>) => drive(Stream.runCollect(read(requests)))

/** Reads to the end, and returns the events and the mock. */
export const readAll = Effect.fnUntraced(function* (
  requests: ReadonlyArray<StreamRequest>,
  setting: Setting
) {
  const { mock, services } = yield* setUp(setting)
  const events = yield* Effect.provide(collect(requests), services)
  return { events, mock }
})

/** Reads from a source other than a server, to the end, and returns the events. */
export const readFrom = (
  source: Layer.Layer<BlockSource>,
  points: number,
  requests: ReadonlyArray<StreamRequest>
) =>
  Effect.gen(function* () {
    const settings = yield* ConnectorConfig
    const streams = plan(requests, new Map(), settings, start + (points - 1) * minute + DELAY)
    return yield* drive(Stream.runCollect(readPlanned(streams)))
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        source,
        ConnectorConfig.layerFrom({ base_url: "http://mock", start_date: iso(start), step: 60 })
      )
    )
  )

export const rangeRequests = (mock: MockPrometheus) =>
  mock.requests.filter(({ path }) => path === "/api/v1/query_range")

/** The requested windows, in minutes from the start. */
export const windows = (mock: MockPrometheus): ReadonlyArray<readonly [first: number, last: number]> =>
  rangeRequests(mock).map(({ params }) => [
    (Number(params.get("start")) * 1000 - start) / minute,
    (Number(params.get("end")) * 1000 - start) / minute
  ])

export const textsOf = (block: SampleBlock): ReadonlyArray<string> =>
  block._tag === "HistogramBlock"
    ? block.histograms.map((histogram) => JSON.stringify(histogram))
    : Array.from({ length: block.length }, (_, i) => textAt(block, i))

/** All samples by series and time, as JSON. Throws if one is repeated. */
export const samplesOf = (events: Iterable<ReadEvent>): Map<string, string> => {
  const samples = new Map<string, string>()
  for (const event of events) {
    if (event._tag !== "Samples") continue
    for (const block of event.blocks) {
      const labels = JSON.stringify(block.series.labels)
      for (const [i, text] of textsOf(block).entries()) {
        const key = `[${labels},${block.times[i]}]`
        if (samples.has(key)) throw new Error(`${key} comes twice`)
        samples.set(key, text)
      }
    }
  }
  return samples
}

/** The times of all samples, in minutes from the start, ascending. */
export const minutesOf = (events: Iterable<ReadEvent>): ReadonlyArray<number> =>
  [...samplesOf(events).keys()]
    .map((key) => ((JSON.parse(key) as [unknown, number])[1] - start) / minute)
    .sort((a, b) => a - b)

export const of = (events: ReadonlyArray<ReadEvent>, stream: string) =>
  events.filter((event) => event.stream === stream)

/** The tags of one stream's events, with repeated ones as one. */
export const story = (events: ReadonlyArray<ReadEvent>): string =>
  events
    .map(({ _tag }) => _tag)
    .filter((tag, i, tags) => tag !== tags[i - 1])
    .join(" ")

export const checkpoints = (events: ReadonlyArray<ReadEvent>) =>
  events.flatMap((event) => (event._tag === "Checkpoint" ? [event.state] : []))

export const failuresOf = (events: ReadonlyArray<ReadEvent>): string =>
  events.map((event) => (event._tag === "Failed" ? event.error.message : "")).join("")

export const numbers = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** A fault of range queries only. */
export const onRange =
  (
    fault: (query: {
      readonly metric: string
      readonly from: number
      readonly attempt: number
      readonly points: number
    }) => Fault | undefined
  ) =>
  (
    request: { readonly path: string; readonly params: URLSearchParams },
    attempt: number
  ): Fault | undefined => {
    if (request.path !== "/api/v1/query_range") return undefined
    const metric = /__name__="([^"]*)"/.exec(request.params.get("query") ?? "")?.[1] ?? ""
    const from = (Number(request.params.get("start")) * 1000 - start) / minute
    const until = (Number(request.params.get("end")) * 1000 - start) / minute
    return fault({ metric, from, attempt, points: until - from + 1 })
  }

export const refusal = (status: number, error: string, headers: Record<string, string> = {}): Fault => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify({ status: "error", errorType: "test", error })
})
