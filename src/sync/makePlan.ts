/** Makes the plan of a sync from the saved states and the server's clock, and logs the warnings about it. */
import { Effect, Option } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { type PlanOptions, plan, type StreamRequest } from "./plan.ts"
import { StateReader } from "./StateStore.ts"
import type { StreamState } from "./StreamState.ts"
import { futureStates, warnOfClock, warnOfConnection } from "./syncWarnings.ts"

/** Loads the states and makes the plan. A damaged state of any stream fails before the first request. */
export const makePlan = Effect.fn("Read.plan")(function* (
  requests: ReadonlyArray<StreamRequest>,
  options: PlanOptions
) {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const reader = yield* StateReader
  const states = new Map<string, StreamState>()
  for (const { name } of requests) {
    const state = yield* reader.load(name)
    if (Option.isSome(state)) states.set(name, state.value)
  }
  yield* warnOfConnection
  const clock = yield* client.clock
  yield* warnOfClock(clock)
  const planned = plan(requests, states, settings, clock.nowMillis, options)
  const late = futureStates(planned, clock.nowMillis)
  if (late !== undefined) yield* Effect.logWarning(late)
  return planned
})
