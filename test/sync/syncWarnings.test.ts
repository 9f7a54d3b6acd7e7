import { assert, describe, it } from "@effect/vitest"
import { StreamPlan } from "../../src/sync/plan.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import { futureStates } from "../../src/sync/syncWarnings.ts"
import { gridRange } from "../../src/sync/TimeGrid.ts"
import { iso } from "../support/gauge.ts"

const now = Date.UTC(2026, 10, 29, 12)

const grid = gridRange(0, now, 60_000)

const at = (stream: string, millis: number) =>
  new StreamPlan({
    stream,
    mode: "incremental",
    grid,
    parts: [],
    resumed: new StreamState({ time: iso(millis), step: 60, version: 1 })
  })

describe("states in the future", () => {
  it("are not reported if they are not later than the server's clock, or only by seconds", () => {
    const fresh = new StreamPlan({ stream: "d", mode: "incremental", grid, parts: [] })
    const states = [at("a", now - 60_000), at("b", now), at("c", now + 30_000), fresh]
    assert.isUndefined(futureStates(states, now))
    assert.isUndefined(futureStates([], now))
  })

  it("are named, with what to do", () => {
    const states = [at("old", 0), at("a", Date.UTC(2036, 0)), at("b", now + 3_600_000)]
    assert.strictEqual(
      futureStates(states, now),
      "The saved state of 2 streams is later than the server's clock (2026-11-29T12:00:00Z): a (2036-01-01T00:00:00Z), b (2026-11-29T13:00:00Z). Nothing is read until then. If a clock was wrong when they were saved, clear these states to read from start_date again."
    )
  })

  it("are not all named if there are many", () => {
    const states = Array.from({ length: 1000 }, (_, i) => at(`m${i}`, now + 86_400_000))
    const warning = futureStates(states, now)!
    assert.match(warning, /of 1,000 streams .*m4 \(\S+\) and 995 more\./)
    assert.isBelow(warning.length, 600)
  })
})
