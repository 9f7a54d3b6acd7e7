import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { sharedSettings } from "../../src/cli/onCluster.ts"
import { parseTarget } from "../../src/cli/target.ts"
import { decodeConfig } from "../../src/config/ConnectorConfig.ts"

const target = Result.getOrThrow(parseTarget("postgres:dbname=data"))

/** What a process with these keys has in common with others. */
const shared = (keys: object) =>
  Effect.map(
    decodeConfig({ base_url: "http://localhost:9090", start_date: "2026-01-01", step: 60, ...keys }),
    (settings) => sharedSettings(target, "http://localhost:9090", settings)
  )

const without = { metrics: { exclude: ["node_scrape_*"] } }
const groups = [{ name: "node", metrics: { include: ["node_*"] } }]

describe("sharedSettings", () => {
  it.effect("do not depend on which metrics a worker includes, as the parts name them", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* shared(without), yield* shared({}))
    })
  )

  it.effect("do so with groups, whose metrics each worker lists", () =>
    Effect.gen(function* () {
      assert.notDeepEqual(yield* shared({ ...without, groups }), yield* shared({ groups }))
    })
  )

  it.effect("have the streams that are defined by the configuration, and the load budget", () =>
    Effect.gen(function* () {
      const queries = [{ name: "total", expression: "sum(up)" }]
      const overrides = [{ metrics: "up", step: 300 }]
      const budgets = [{ max_requests_per_second: 5 }, { max_samples_per_second: 5 }]
      const all = yield* Effect.forEach([{}, { queries }, { groups }, { overrides }, ...budgets], shared)
      assert.lengthOf(new Set(all.map((settings) => JSON.stringify(settings))), all.length)
    })
  )
})
