import { assert, describe, it } from "@effect/vitest"
import { kindOf, replacing } from "../../src/cli/destinations.ts"

describe("replacing", () => {
  it("names the destinations that JSON lines recommend instead", () => {
    assert.strictEqual(replacing(), "duckdb:, ducklake:, parquet: or postgres:")
    const refusal = kindOf("jsonl")?.refusal?.(
      "incremental_append_deduped",
      { lookbackMillis: 1000 },
      replacing()
    )
    assert.include(
      refusal,
      "choose a destination that replaces rows (duckdb:, ducklake:, parquet: or postgres:)."
    )
  })
})
