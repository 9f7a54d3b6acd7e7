import { assert, describe, it } from "@effect/vitest"
import { StreamProgress } from "../../src/airbyte/StreamProgress.ts"
import { type Choices, choices } from "../choices.ts"

/** The windows of a stream, each with its number of records and the points so far. */
const windows = (choices: Choices, points: number) => {
  const out: Array<{ readonly points: number; readonly records: number }> = []
  for (let done = 0; done < points; ) {
    done = Math.min(points, done + choices.between(1, 40))
    out.push({ points: done, records: choices.between(0, 1000) })
  }
  return out
}

describe("StreamProgress", () => {
  it.prop("counts all records, and the share of the points", [choices], ([choices]) => {
    const points = choices.between(1, 300)
    const progress = new StreamProgress(points, 0)
    let records = 0
    for (const window of windows(choices, points)) {
      progress.add(window.records, window.records * 10)
      records += window.records
      progress.endWindow(window.points)
      assert.closeTo(progress.share, window.points / points, 1e-9)
    }
    assert.deepStrictEqual([progress.share, progress.records, progress.bytes], [1, records, records * 10])
  })

  it.prop("keeps the reported estimate close to the current one", [choices], ([choices]) => {
    const points = choices.between(1, 300)
    const progress = new StreamProgress(points, 0)
    let rows = Number.NaN
    for (const window of windows(choices, points)) {
      progress.add(window.records, window.records * 10)
      rows = progress.endWindow(window.points)?.row_estimate ?? rows
      const present = Math.round(progress.records / progress.share)
      assert.isAtMost(Math.abs(present - rows), rows * 0.1)
    }
    assert.isAtMost(Math.abs(progress.records - rows), rows * 0.1)
  })

  it("assumes that the rest is as dense as the part that has been read", () => {
    const progress = new StreamProgress(100, 0)
    progress.add(50, 5000)
    assert.deepStrictEqual(progress.endWindow(10), { row_estimate: 500, byte_estimate: 50_000 })
    progress.add(52, 5200)
    assert.isUndefined(progress.endWindow(20))
    progress.add(200, 20_000)
    assert.deepStrictEqual(progress.endWindow(30), { row_estimate: 1007, byte_estimate: 100_667 })
  })

  it("is complete immediately for a stream without points", () => {
    const progress = new StreamProgress(0, 0)
    assert.deepStrictEqual(progress.endWindow(0), { row_estimate: 0, byte_estimate: 0 })
    assert.strictEqual(progress.share, 1)
  })

  it("logs progress at most every 10 s", () => {
    const progress = new StreamProgress(100, 5000)
    const due = [14_999, 15_000, 15_001, 24_999, 40_000, 49_999, 50_000].filter((now) =>
      progress.isLogDue(now)
    )
    assert.deepStrictEqual(due, [15_000, 40_000, 50_000])
  })
})
