import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { ConfigError } from "../../src/config/ConnectorConfig.ts"
import { decodeStreamState, encodeStreamState, StreamState } from "../../src/sync/StreamState.ts"
import { formatTime } from "../../src/text/formatTime.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const decoded = (json: unknown): StreamState => Result.getOrThrow(decodeStreamState("up", json))

const refusal = (json: unknown): string => {
  const result = decodeStreamState("up", json)
  assert.isTrue(Result.isFailure(result), `${JSON.stringify(json)} is taken`)
  if (Result.isSuccess(result)) return ""
  assert.instanceOf(result.failure, ConfigError)
  return result.failure.message
}

const valid = { time: "2026-01-01T00:00:00Z", step: 3600, version: 1 }

// Up to the last second of the year 9999.
const seconds = integer(0, 253_402_300_799)

describe("StreamState", () => {
  it.prop(
    "survives being saved as JSON",
    [seconds, integer(1, 4_000_000_000), Schema.Boolean, Schema.UndefinedOr(integer(0, 1_000_000))],
    ([seconds, step, isFullRefresh, generation]) => {
      const state = new StreamState({
        time: formatTime(seconds * 1000),
        step,
        version: 1,
        ...(isFullRefresh ? { full_refresh: true } : {}),
        ...(generation === undefined ? {} : { generation_id: generation })
      })
      const json: unknown = JSON.parse(JSON.stringify(state))
      const read = decoded(json)
      assert.deepStrictEqual(read, state)
      assert.strictEqual(read.timeMillis, seconds * 1000)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(read)), json)
    }
  )

  it("is written in the documented format", () => {
    assert.strictEqual(
      JSON.stringify(new StreamState({ time: "2026-01-01T00:00:00Z", step: 3600, version: 1 })),
      '{"time":"2026-01-01T00:00:00Z","step":3600,"version":1}'
    )
  })

  it("may have unknown keys", () => {
    assert.deepStrictEqual(JSON.parse(JSON.stringify(decoded({ ...valid, __platform: { a: null } }))), valid)
  })

  it.each([
    [{ step: 3600, version: 1 }, "time"],
    [{ ...valid, time: "" }, "time"],
    [{ ...valid, time: null }, "time"],
    [{ ...valid, time: 1767225600 }, "time"],
    [{ ...valid, time: "soon" }, "time"],
    [{ ...valid, time: "2026-13-01T00:00:00Z" }, "time"],
    [{ ...valid, time: "2026-01-01T25:00:00Z" }, "time"],
    [{ ...valid, time: "2026-01-01T00:00:00" }, "time"],
    [{ ...valid, time: "2026-01-01T00:00:00+01:00" }, "time"],
    [{ ...valid, time: "Z" }, "time"],
    [{ time: valid.time, version: 1 }, "step"],
    [{ ...valid, step: 0 }, "step"],
    [{ ...valid, step: -3600 }, "step"],
    [{ ...valid, step: 1.5 }, "step"],
    [{ ...valid, step: "3600" }, "step"],
    [{ time: valid.time, step: 3600 }, "version"],
    [{ ...valid, version: 2 }, "version"],
    [{ ...valid, version: "1" }, "version"],
    [{ ...valid, full_refresh: "yes" }, "full_refresh"],
    [{ ...valid, generation_id: "1" }, "generation_id"]
  ] as const)("refuses %j because of its %s", (json, key) => {
    const message = refusal(json)
    assert.include(message, `(${key} is missing or wrong)`)
    assert.include(message, JSON.stringify(json))
  })

  // `Date.parse` accepts all of these. Resuming from such a time would skip or repeat data.
  it.each([
    "2026-02-31T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "1Z",
    "2026Z",
    "Jan 1 2026 00:00:00Z",
    "1/2/2026 Z",
    "2026-01-01 00:00:00Z",
    " 2026-01-01T00:00:00Z"
  ])("refuses the time %j, which this connector never writes", (time) => {
    assert.include(refusal({ ...valid, time }), "time is missing or wrong")
  })

  it.each([null, undefined, [], "", "2026-01-01", 1, true, {}, { cursor: "2026-01-01" }, [valid]])(
    "refuses %j, which is foreign",
    (json) => {
      assert.include(refusal(json), "The saved state of the stream up is not one of this connector")
    }
  )

  it("says what to do", () => {
    const message = refusal({ cursor: 1 })
    assert.include(
      message,
      'Expected {"time":"2026-01-01T00:00:00Z","step":3600,"version":1}, or "sampling":"raw" in place of step.'
    )
    assert.match(message, /Restore the state .* or clear the stream's state .* start_date/)
  })

  it("is about the points of a step or about stored samples", () => {
    const raw = Result.getOrThrow(
      decodeStreamState("up", { time: "2026-01-01T00:00:00.123Z", sampling: "raw", version: 1 })
    )
    assert.strictEqual(raw.timeMillis, Date.parse("2026-01-01T00:00:00.123Z"))
    assert.strictEqual(raw.stepMillis, 1)
    assert.deepStrictEqual(encodeStreamState(raw), {
      time: "2026-01-01T00:00:00.123Z",
      sampling: "raw",
      version: 1
    })
    const time = "2026-01-01T00:00:00Z"
    assert.include(refusal({ time, version: 1 }), "(step is missing or wrong)")
    assert.include(refusal({ time, version: 1, sampling: "step" }), "(sampling is missing or wrong)")
    assert.include(
      refusal({ time, version: 1, step: 60, sampling: "raw" }),
      "(it has both step and sampling)"
    )
  })

  it("truncates long values", () => {
    assert.isBelow(refusal({ time: "x".repeat(100_000) }).length, 800)
  })

  it.prop("decodes or refuses any JSON", [Schema.Json], ([json]) => {
    const result = decodeStreamState("up", json)
    if (Result.isFailure(result)) assert.instanceOf(result.failure, ConfigError)
    else assert.isTrue(Number.isFinite(result.success.timeMillis))
  })
})
