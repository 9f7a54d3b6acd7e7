/** The command `check` in-process, with timeouts on the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { check } from "../../src/airbyte/check.ts"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase } from "../../src/mock/MockSeries.ts"
import { layerQuick } from "../../src/sync/quickCheck.ts"
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

describe("check", () => {
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
