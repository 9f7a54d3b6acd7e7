/** The command `check` in-process, with timeouts on the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { check } from "../../src/airbyte/check.ts"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { layerQuick, quickCheck } from "../../src/sync/quickCheck.ts"
import { makeCollector } from "./collector.ts"

/** The error of a check against a silent server, and after how many seconds it occurs. */
const giveUp = Effect.fnUntraced(function* (config: object) {
  const mock = new MockPrometheus(makeDatabase([]), {
    faults: () => ({ delayMillis: Number.POSITIVE_INFINITY })
  })
  const settings = ConnectorConfig.layerFrom({
    base_url: "http://mock",
    start_date: "2026-01-01",
    step: 60,
    ...config
  })
  const fiber = yield* check.pipe(
    Effect.provide(
      MockHttpClient.layerClient(mock).pipe(Layer.provideMerge(layerQuick), Layer.provideMerge(settings))
    ),
    Effect.provide(makeCollector().layer),
    Effect.provide(Logger.layer([])),
    Effect.flip,
    Effect.forkChild
  )
  let seconds = 0
  for (; fiber.pollUnsafe() === undefined; seconds++) yield* TestClock.adjust("1 second")
  return { message: (yield* Fiber.join(fiber)).message, seconds }
})

/** The names that a check finds with such faults, and after how many seconds at most. */
const foundIn = Effect.fnUntraced(function* (config: object, faults: MockOptions["faults"]) {
  const at = Date.UTC(2026, 0, 1)
  yield* TestClock.setTime(at + 86_400_000)
  const up = makeSeries({ __name__: "up" }, [[at + 3_600_000, 1]])
  const mock = new MockPrometheus(makeDatabase([up]), { ...(faults === undefined ? {} : { faults }) })
  const settings = ConnectorConfig.layerFrom({ base_url: "http://mock", start_date: "2026-01-01", ...config })
  const fiber = yield* quickCheck.pipe(
    Effect.provide(
      MockHttpClient.layerClient(mock).pipe(Layer.provideMerge(layerQuick), Layer.provideMerge(settings))
    ),
    Effect.provide(Logger.layer([])),
    Effect.forkChild
  )
  let seconds = 0
  for (; fiber.pollUnsafe() === undefined && seconds < 100; seconds++) yield* TestClock.adjust("1 second")
  return { names: (yield* Fiber.join(fiber)).names, seconds }
})

describe("check", () => {
  it.effect("does not wait for lists that it can do without", () =>
    Effect.gen(function* () {
      let lists = 0
      const { names, seconds } = yield* foundIn({}, ({ path }) =>
        path.includes("__name__") && ++lists > 1 ? { delayMillis: Number.POSITIVE_INFINITY } : undefined
      )
      assert.deepStrictEqual(names, ["up"])
      assert.isAtLeast(lists, 2)
      assert.isAtMost(seconds, 20)
    })
  )

  it.effect("succeeds without the endpoints for labels if each metric is named exactly", () =>
    Effect.gen(function* () {
      const { names } = yield* foundIn({ metrics: { include: ["up", "a.b"] } }, ({ path }) =>
        path.includes("/label") ? { status: 404, body: "404 page not found" } : undefined
      )
      assert.deepStrictEqual(names, ["a.b", "up"])
    })
  )

  it.effect("times out early on a silent server, without advice that would not help", () =>
    Effect.gen(function* () {
      const { message, seconds } = yield* giveUp({})
      assert.match(message, /did not respond within 15 s\. A check does not wait longer\. Check whether/)
      assert.notInclude(message, "request_timeout")
      // Two attempts with a pause in between.
      assert.isAtLeast(seconds, 30)
      assert.isAtMost(seconds, 32)
    })
  )

  it.effect("waits no longer than configured, and names the server", () =>
    Effect.gen(function* () {
      const { message, seconds } = yield* giveUp({ request_timeout: 3, max_retries: 0 })
      assert.match(message, /did not respond within 3 s\. .*raise request_timeout/)
      assert.isAtMost(seconds, 4)
    })
  )
})
