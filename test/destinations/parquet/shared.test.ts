import { assert, describe, it } from "@effect/vitest"
import { hasOwnNames } from "../../../src/destinations/parquet/manifest.ts"
import { testShared } from "./testShared.ts"

describe("parts in a folder of Parquet files", () => {
  testShared({ path: (folder) => folder, filesOf: (folder) => folder })

  it("have names in manifests that no one can forge", () => {
    const file = { day: "2026-01-01", part: 1, bytes: 1, rows: 1, firstMillis: 0, lastMillis: 0 }
    const isOurs = (more: object) =>
      hasOwnNames({
        version: 3,
        stream: "up",
        kind: "metric",
        files: [{ ...file, ...more }],
        nextPart: 2,
        columns: [],
        isUnique: true
      })
    const id = "0123456789abcdef01-7"
    assert.isTrue(isOurs({ id, from: `_state/_new/up=${id}` }))
    assert.isTrue(isOurs({ id }))
    assert.isFalse(isOurs({ id: "../../x-1" }))
    assert.isFalse(isOurs({ from: `_state/_new/up=${id}` }))
    assert.isFalse(isOurs({ id, from: `_state/_new/down=${id}` }))
    assert.isFalse(isOurs({ id, from: "_state/_new/../../x" }))
  })
})
