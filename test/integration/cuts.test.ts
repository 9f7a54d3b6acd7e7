/** The rows of a range are the same however it is cut into windows and syncs: those of Prometheus' rule. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import {
  ConnectorConfig,
  encodeStreamState,
  PrometheusClient,
  read,
  StateReader,
  type StreamRequest,
  samplesOf
} from "../../src/index.ts"
import { Choices } from "../choices.ts"
import * as faultProxy from "../support/faultProxy.ts"
import { iso, minute, start } from "../support/gauge.ts"
import { anySeries, latestSample, slices } from "../support/randomSeries.ts"
import { recordKey } from "../support/referenceRecords.ts"
import { runs } from "../support/runs.ts"
import { describeEach, servers } from "../support/servers.ts"

/** How much data a metric has. */
const hours = 2

/** Reads a metric in a range, in this process: after a state if there is one. Fails if the read fails. */
const readRange = Effect.fnUntraced(function* (
  request: { readonly baseUrl: string; readonly metric: string; readonly step: number },
  mode: StreamRequest["mode"],
  toMillis: number,
  state?: object
) {
  const samples = new Map<string, string>()
  let last = state
  const config = ConnectorConfig.layer({
    base_url: request.baseUrl,
    start_date: iso(start),
    end_date: iso(toMillis),
    step: request.step
  })
  yield* read([{ name: request.metric, mode }]).pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event._tag === "Failed") throw event.error
        if (event._tag === "Checkpoint") last = encodeStreamState(event.state)
        if (event._tag !== "Samples") return
        for (const block of event.blocks) {
          for (const { labels, time, value } of samplesOf(block)) {
            const key = recordKey({ ...labels, __name__: request.metric }, time.getTime())
            assert.isFalse(samples.has(key), `${key} was read twice`)
            samples.set(key, `${value}`)
          }
        }
      })
    ),
    Effect.provide(
      PrometheusClient.layer.pipe(
        Layer.provideMerge(config),
        Layer.merge(StateReader.layerJson(() => Effect.succeed(state))),
        Layer.merge(Logger.layer([]))
      )
    )
  )
  return { samples, state: last }
})

/** A proxy that refuses range queries of more points than it allows. */
const refusing = (upstream: string, allowed: { points: number }) =>
  faultProxy.make({
    upstream,
    plan: ({ params, path }) => {
      if (!path.endsWith("/query_range")) return undefined
      const [from, to, step] = ["start", "end", "step"].map((name) => Number(params.get(name)))
      if (Math.floor((to! - from!) / step!) < allowed.points) return undefined
      return faultProxy.response(422, {
        status: "error",
        errorType: "execution",
        error: "query processing would load too many samples into memory in query execution"
      })
    }
  })

const assertSame = (
  actual: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
  context: string
): void => {
  const missing = [...expected].filter(([key]) => !actual.has(key))
  const surplus = [...actual].filter(([key]) => !expected.has(key))
  const different = [...expected].filter(([key, value]) => actual.has(key) && actual.get(key) !== value)
  const some = (entries: ReadonlyArray<readonly [string, string]>) => [entries.length, ...entries.slice(0, 3)]
  assert.deepStrictEqual(
    { missing: some(missing), surplus: some(surplus), different: some(different) },
    { missing: [0], surplus: [0], different: [0] },
    context
  )
}

/** Another seed generates other series and cuts. */
const seed = Number(process.env.CUTS_SEED ?? "0") * 1000

describeEach(servers, "a range on a real $name", ({ lookback, makeWritable }) => {
  it.live(
    "has the same rows in one full refresh, in windows of any size and in any syncs",
    () =>
      Effect.gen(function* () {
        const server = yield* makeWritable()
        const allowed = { points: 11_000 }
        const proxy = yield* refusing(server.baseUrl, allowed)
        const end = start + hours * 60 * minute
        const metrics = Array.from({ length: runs(3, 8) }, (_, run) => {
          const choices = new Choices(seed + run, Number.POSITIVE_INFINITY)
          const step = choices.pick([15, 20, 60, 75, 300, 420])
          const metric = `cut_${run}`
          return { choices, metric, series: anySeries(choices, metric, start, end, step * 1000), step }
        })
        for (const slice of slices(
          metrics.flatMap(({ series }) => series),
          30 * minute
        )) {
          yield* server.remoteWrite(slice)
        }
        for (const { choices, metric, series, step } of metrics) {
          const expected = new Map<string, string>()
          for (const one of series) {
            for (let point = start; point <= end; point += step * 1000) {
              const value = latestSample(one, point, lookback)
              if (value !== undefined) {
                expected.set(recordKey(one.labels as Record<string, string>, point), `${value}`)
              }
            }
          }
          const context = `${metric}, step ${step}`
          const request = { baseUrl: server.baseUrl, metric, step }
          const full = yield* readRange(request, "full_refresh", end)
          assertSame(full.samples, expected, `${context}, one full refresh`)

          for (const points of [choices.pick([1, 2, 3]), choices.between(4, 60)]) {
            allowed.points = points
            const windows = yield* readRange({ ...request, baseUrl: proxy.baseUrl }, "full_refresh", end)
            assertSame(windows.samples, expected, `${context}, windows of at most ${points} points`)
          }

          // Their ends are anywhere, between two points of the grid or on one, and may follow each other closely.
          const cuts = Array.from({ length: choices.between(1, 24) }, () =>
            choices.oneIn(3)
              ? start + step * 1000 * choices.below(Math.floor((end - start) / step / 1000))
              : start + 1000 * choices.below((end - start) / 1000)
          ).toSorted((a, b) => a - b)
          allowed.points = choices.pick([2, 7, 11_000])
          const joined = new Map<string, string>()
          let state: object | undefined
          for (const cut of [...cuts, end]) {
            const sync = yield* readRange({ ...request, baseUrl: proxy.baseUrl }, "incremental", cut, state)
            state = sync.state
            for (const [key, value] of sync.samples) {
              assert.isFalse(joined.has(key), `${context}: two syncs read ${key}`)
              joined.set(key, value)
            }
          }
          assertSame(joined, expected, `${context}, ${cuts.length + 1} syncs`)
        }
      }),
    600_000
  )
})
