/** Queries that the server refuses, in discovery and in a check. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Faults } from "../../src/mock/faults.ts"
import { discover } from "../../src/sync/Discovery.ts"
import { checkQueries } from "../../src/sync/queryProbe.ts"
import { DAY, HOUR, provide, start } from "./discoverMock.ts"
import { refusal } from "./readMock.ts"

const queries = [
  { name: "secret", expression: 'up{job="web"}' },
  { name: "open", expression: 'up{job="api"}' }
]

/** Refuses one of the queries with a status. */
const refuses =
  (status: number): Faults =>
  ({ params, path }) =>
    path === "/api/v1/query_range" && params.get("query")?.includes("web") === true
      ? refusal(status, "not for you")
      : undefined

const settingOf = (status: number, logs: Array<string> = []) => ({
  logs,
  config: { queries, metrics: { exclude: ["*"] }, max_retries: 0 },
  mock: { faults: refuses(status) }
})

describe("a query that the server refuses", () => {
  it.effect.each([403, 414, 429])("does not keep others from discovery: HTTP %i", (status) =>
    Effect.gen(function* () {
      const logs: Array<string> = []
      const { result } = yield* provide(discover, settingOf(status, logs))
      assert.deepStrictEqual(
        result.map(({ name }) => name),
        ["secret", "open"]
      )
      assert.include(result[1]!.labels, "job")
      assert.match(
        logs.join("\n"),
        /The labels of the query secret are not known, so its records have them in other_labels: /
      )
    })
  )

  it.effect.each([403, 414, 422])("is named by a check: HTTP %i", (status) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(provide(checkQueries(start + DAY), settingOf(status)))
      assert.match(error.message, /^The query secret: /)
    })
  )

  it.effect("is not blamed for what concerns all streams", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(provide(checkQueries(start + DAY), settingOf(401)))
      assert.notInclude(error.message, "secret")
    })
  )
})

describe("an expression that fails at some points", () => {
  const duplicate =
    "multiple matches for labels: many-to-one matching must be explicit (use group_left/group_right)"

  /** Refuses ranges with a time. */
  const failsAt =
    (millis: number): Faults =>
    ({ params, path }) =>
      path === "/api/v1/query_range" &&
      Number(params.get("start")) * 1000 <= millis &&
      Number(params.get("end")) * 1000 >= millis
        ? refusal(422, duplicate)
        : undefined

  const settingAt = (millis: number, logs: Array<string> = []) => ({
    logs,
    config: { queries: [{ name: "q", expression: "up" }], metrics: { exclude: ["*"] }, step: 3600 },
    mock: { faults: failsAt(millis) }
  })

  it.effect("is reported by discovery, with the time", () =>
    Effect.gen(function* () {
      const logs: Array<string> = []
      const { result } = yield* provide(discover, settingAt(start + 5 * HOUR, logs))
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, labels]),
        [["q", ["__name__", "instance", "job", "zone"]]]
      )
      assert.match(
        logs.join("\n"),
        /The expression of the query q fails: .* \(use group_left\/group_right\)\. It fails at 2026-01-01T05:00:00Z\. A sync reads this stream only up to this point\. One side /
      )
    })
  )

  it.effect("fails a check if the latest point is one of them", () =>
    Effect.gen(function* () {
      yield* provide(checkQueries(start + DAY), settingAt(start + 5 * HOUR))
      const error = yield* Effect.flip(provide(checkQueries(start + DAY), settingAt(start + 23 * HOUR)))
      assert.match(
        error.message,
        /^The expression of the query q fails: .* It fails at 2026-01-01T23:00:00Z\. One side of the operator /
      )
    })
  )
})
