/** How often a client tries to reach a server that nothing has been heard of yet. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { IsAwaited, PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"

/** What happens to a request: an error of the network with this code, or a status. */
type Outcome = string | number

/** A client whose requests end in turn as given; the last outcome repeats. Returns the number of requests until it gives up. */
const tries = (isAwaited: boolean, outcomes: ReadonlyArray<Outcome>, calls = 1) =>
  Effect.gen(function* () {
    let count = 0
    const http = HttpClient.make((request) => {
      const outcome = outcomes[Math.min(count++, outcomes.length - 1)]!
      return typeof outcome === "number"
        ? Effect.succeed(HttpClientResponse.fromWeb(request, new Response("", { status: outcome })))
        : Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({
                request,
                cause: Object.assign(new Error(outcome), { code: outcome })
              })
            })
          )
    })
    const client = yield* PrometheusClient.pipe(
      Effect.provide(
        yield* Layer.build(
          PrometheusClient.layerNoDeps.pipe(
            Layer.provide(Layer.succeed(HttpClient.HttpClient, http)),
            Layer.provide(Layer.succeed(IsAwaited, isAwaited)),
            Layer.provide(
              ConnectorConfig.layerFrom({
                base_url: "http://server",
                start_date: "2026-01-01",
                max_retries: 5
              })
            )
          )
        )
      )
    )
    let before = 0
    for (let call = 0; call < calls; call++) {
      before = count
      const fiber = yield* Effect.forkChild(Effect.flip(client.now), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
    }
    return count - before
  }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))

describe("a server that has not responded yet", () => {
  it.effect.each(["ENOTFOUND", "ECONNREFUSED"])("is given up soon where a person waits: %s", (code) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* tries(true, [code]), 3)
      // The next request of the same command.
      assert.strictEqual(yield* tries(true, [code], 2), 3)
      assert.strictEqual(yield* tries(false, [code]), 6)
    })
  )

  it.effect.each(["EAI_AGAIN", "ETIMEDOUT", "ECONNRESET"])("is tried as often as any other: %s", (code) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* tries(true, [code]), 6)
    })
  )

  it.effect("is tried as often as any other once it has responded, whatever it said", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* tries(true, [503, "ECONNREFUSED"]), 6)
      assert.strictEqual(yield* tries(true, ["ENOTFOUND", "ENOTFOUND", "EAI_AGAIN", "ENOTFOUND"]), 6)
      assert.strictEqual(yield* tries(true, [401, "ECONNREFUSED"], 2), 6)
    })
  )
})
