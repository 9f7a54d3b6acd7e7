/** The demo of `run`: an embedded Prometheus with a day of generated data. */
import { Clock, DateTime, Effect } from "effect"
import { generate } from "../mock/generate.ts"
import { MockPrometheus } from "../mock/MockPrometheus.ts"
import * as MockServer from "../mock/MockServer.ts"

const DAY_MILLIS = 86_400_000

/** Starts the server on a free loopback port. Returns a configuration that reads its last day minute by minute. */
export const startDemo = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  const server = yield* MockServer.make(new MockPrometheus(generate({ endMillis: now })))
  const start = Math.floor((now - DAY_MILLIS) / 60_000) * 60_000
  return {
    base_url: server.baseUrl,
    start_date: DateTime.formatIso(DateTime.makeUnsafe(start)).replace(".000Z", "Z"),
    step: 60
  }
})
