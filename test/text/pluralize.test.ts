import { assert, describe, it } from "@effect/vitest"
import { pluralize } from "../../src/text/pluralize.ts"

describe("pluralize", () => {
  it.each([
    [0, "0 rows"],
    [1, "1 row"],
    [2, "2 rows"],
    [12_345, "12,345 rows"]
  ])("%d", (count, text) => {
    assert.strictEqual(pluralize(count, "row"), text)
  })

  it("accepts an irregular plural", () => {
    assert.deepStrictEqual(
      [1, 2].map((count) => pluralize(count, "retry", "retries")),
      ["1 retry", "2 retries"]
    )
    assert.strictEqual(pluralize(1000, "series", "series"), "1,000 series")
  })
})
