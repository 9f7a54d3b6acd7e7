import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import { StreamState } from "../../src/sync/StreamState.ts"
import { futureStates } from "../../src/sync/syncWarnings.ts"
import { iso } from "../support/gauge.ts"

const now = Date.UTC(2026, 10, 29, 12)

const at = (name: string, millis: number) =>
  [name, Option.some(new StreamState({ time: iso(millis), step: 60, version: 1 }))] as const

describe("states in the future", () => {
  it("are none where they are not later than the server's clock, or by seconds", () => {
    const states = [at("a", now - 60_000), at("b", now), at("c", now + 30_000), ["d", Option.none()] as const]
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

  it("are not all named where they are many", () => {
    const states = Array.from({ length: 1000 }, (_, i) => at(`m${i}`, now + 86_400_000))
    const warning = futureStates(states, now)!
    assert.match(warning, /of 1,000 streams .*m4 \(\S+\) and 995 others\./)
    assert.isBelow(warning.length, 600)
  })
})
