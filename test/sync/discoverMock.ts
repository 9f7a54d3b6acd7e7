import { Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import type { MockRequest } from "../../src/mock/http.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import type { LabelsInput } from "../../src/mock/MockLabels.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type FamilyMetadata, makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { discover } from "../../src/sync/Discovery.ts"

export const start = Date.UTC(2026, 0, 1)
export const DAY = 86_400_000
export const HOUR = 3_600_000
export const LOOKBACK = 300_000
export const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

/** A series with one sample, by default an hour after the start. */
export const series = (labels: LabelsInput, at = start + HOUR) => makeSeries(labels, [[at, 1]])

export const shop = [
  series({ __name__: "up", job: "api", instance: "a:1" }),
  series({ __name__: "up", job: "web", zone: "z" }),
  series({ __name__: "requests_total", job: "api", code: "200" }),
  series({ __name__: "latency_bucket", job: "api", le: "1" }),
  series({ __name__: "latency_sum", job: "api" }),
  series({ __name__: "go_gc", job: "web" })
]

export const metadata: ReadonlyArray<readonly [string, FamilyMetadata]> = [
  ["up", { type: "gauge", help: "Is it up?", unit: "" }],
  ["up", { type: "gauge", help: "Another target's word.", unit: "" }],
  ["requests", { type: "counter", help: "Requests.", unit: "" }],
  ["latency", { type: "histogram", help: "Latency.", unit: "seconds" }]
]

export interface Setting {
  readonly config?: object
  readonly mock?: MockOptions
  readonly series?: ReadonlyArray<ReturnType<typeof makeSeries>>
  readonly now?: number
  /** Changes the range of a request for names, as some servers do without a sign. */
  readonly clamp?: (range: Range) => Range
  readonly logs?: Array<string>
}

export interface Range {
  readonly start: number
  readonly end: number
}

/** A mock that lists the names of another range than the requested one. */
export class ClampedPrometheus extends MockPrometheus {
  clamp: (range: Range) => Range = (range) => range

  override handle(request: MockRequest, nowMillis: number) {
    if (!/label/.test(request.path)) return super.handle(request, nowMillis)
    const params = new URLSearchParams(request.params)
    const end = params.get("end")
    const range = this.clamp({
      start: Number(params.get("start")) * 1000,
      end: end === null ? Number.POSITIVE_INFINITY : Number(end) * 1000
    })
    params.set("start", `${range.start / 1000}`)
    if (range.end !== Number.POSITIVE_INFINITY) params.set("end", `${range.end / 1000}`)
    return super.handle({ ...request, params }, nowMillis)
  }
}

export const provide = Effect.fnUntraced(function* <A, E>(
  effect: Effect.Effect<A, E, ConnectorConfig | Layer.Success<ReturnType<typeof MockHttpClient.layerClient>>>,
  setting: Setting
) {
  yield* TestClock.setTime(setting.now ?? start + DAY)
  const mock = new ClampedPrometheus(makeDatabase(setting.series ?? shop, metadata), setting.mock)
  if (setting.clamp !== undefined) mock.clamp = setting.clamp
  const logger = Logger.make(({ message }) => void setting.logs?.push(String(message)))
  const config = { base_url: "http://mock", start_date: iso(start), ...setting.config }
  const services = Layer.provideMerge(MockHttpClient.layerClient(mock), ConnectorConfig.layerFrom(config))
  const fiber = yield* Effect.forkChild(
    effect.pipe(Effect.provide(services), Effect.provide(Logger.layer([logger])))
  )
  for (let hours = 0; hours < 20 && fiber.pollUnsafe() === undefined; hours++) {
    yield* Effect.repeat(Effect.yieldNow, { times: 2000 })
    yield* TestClock.adjust("1 hour")
  }
  return { mock, result: yield* Fiber.join(fiber) }
})

export const run = (setting: Setting = {}) => provide(discover, setting)

export const namesOf = Effect.fnUntraced(function* (setting: Setting = {}) {
  const { result } = yield* run(setting)
  return result.map(({ name }) => name)
})

export const requestsTo = (mock: MockPrometheus, path: string) =>
  mock.requests.filter((request) => request.path === path)
