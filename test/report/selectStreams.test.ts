import { assert, describe, it } from "@effect/vitest"
import { selectStreams } from "../../src/report/selectStreams.ts"
import { failedStream, streamOf } from "./summaries.ts"

describe("selectStreams", () => {
  const streams = [
    ...Array.from({ length: 20 }, (_, i) => streamOf(`ok_${i}`)),
    ...Array.from({ length: 4 }, (_, i) => failedStream(`bad_${i}`, "Gone."))
  ]
  const failed = ["bad_0", "bad_1", "bad_2", "bad_3"]

  it.each([
    // One line is reserved for the number of omitted streams.
    [6, ["ok_0", ...failed]],
    [3, failed],
    [24, streams.map(({ name }) => name)]
  ])("takes at most %j, and all failed ones", (most, expected) => {
    const { left, shown } = selectStreams(streams, most, 200)
    assert.deepStrictEqual(
      shown.map(({ name }) => name),
      expected
    )
    assert.lengthOf(left, 24 - expected.length)
  })

  it("takes only some of the failed ones if there are very many", () => {
    const { left, shown } = selectStreams(streams, 6, 3)
    assert.deepStrictEqual([shown.length, left.length], [5, 19])
    assert.lengthOf(
      shown.filter(({ error }) => error !== undefined),
      2
    )
  })
})
