/** What a worker does with the parts of several syncs. */
import { assert, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { makeExecute } from "../../src/cli/workerCommand.ts"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import type { SyncPart } from "../../src/sync/parts.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { MemoryParts } from "../support/MemoryParts.ts"
import { serve } from "../support/mockServer.ts"

/** A part of the first minutes, of a sync that ends at a minute. */
const partOf = (minutes: number, last: number): SyncPart => ({
  stream: "apps",
  range: { firstMillis: start, lastMillis: start + minutes * minute, stepMillis: minute },
  reason: "start",
  slot: 0,
  grid: { firstMillis: start, lastMillis: start + last * minute, stepMillis: minute },
  isReread: false,
  lookbackMillis: 0,
  details: { selector: "app_*", excluded_labels: "" }
})

it.live("a worker lists the metrics of groups once for each sync", () =>
  Effect.gen(function* () {
    const groups = [{ name: "apps", metrics: { include: ["app_*"] } }]
    const { config, mock } = yield* serve(
      [...gauge("app_up", 30), ...gauge("app_down", 30)],
      30,
      {},
      { groups }
    )
    const settings = yield* Effect.provide(ConnectorConfig, ConnectorConfig.layerFrom(config))
    const parts = new MemoryParts()
    const execute = yield* makeExecute(settings, Effect.succeed(settings), parts.layer())
    const listsOf = (part: SyncPart) =>
      Effect.gen(function* () {
        mock.requests.length = 0
        yield* execute(part)
        return mock.requests.filter(({ path }) => path.endsWith("/label/__name__/values")).length
      })
    assert.isAbove(yield* listsOf(partOf(9, 20)), 0)
    assert.strictEqual(yield* listsOf(partOf(9, 20)), 0)
    // The next sync begins while the worker still has the sources of the previous one.
    assert.isAbove(yield* listsOf(partOf(9, 21)), 0)
    assert.lengthOf(parts.textsOf("apps"), 20)
  }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
)
