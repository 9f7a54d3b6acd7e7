/** What a worker does with the parts of several syncs. */
import { assert, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { makeExecute } from "../../src/cli/workerCommand.ts"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import type { SyncPart } from "../../src/sync/parts.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
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

it.live("a worker reads the groups of a sync that ends after the worker's own end_date", () =>
  Effect.gen(function* () {
    const groups = [{ name: "apps", metrics: { include: ["app_*"] } }]
    const late = gauge("app_late", 30).map((series) => ({
      ...series,
      times: series.times.slice(12),
      values: series.values.slice(12)
    }))
    for (const end_date of [undefined, iso(start + 5 * minute), iso(start + 365 * 86_400_000)]) {
      const { config } = yield* serve([...gauge("app_up", 30), ...late], 30, {}, { groups, end_date })
      const settings = yield* Effect.provide(ConnectorConfig, ConnectorConfig.layerFrom(config))
      const parts = new MemoryParts()
      const execute = yield* makeExecute(settings, Effect.succeed(settings), parts.layer())
      yield* execute(partOf(20, 20))
      // 21 points of the one metric, and 9 of the other.
      assert.lengthOf(parts.textsOf("apps"), 21 + 9, end_date)
    }
  }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
)
