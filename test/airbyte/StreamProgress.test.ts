import { assert, describe, it } from "@effect/vitest"
import { StreamProgress } from "../../src/airbyte/StreamProgress.ts"
import { type Choices, choices } from "../choices.ts"

const range = (points: number) => ({ firstMillis: 60, lastMillis: 60 * points, stepMillis: 60 })

/** The windows of a stream, each with its number of points and records. */
const windows = (choices: Choices, points: number) => {
  const out: Array<{ readonly lastMillis: number; readonly records: number }> = []
  for (let done = 0; done < points; ) {
    done = Math.min(points, done + choices.between(1, 40))
    out.push({ lastMillis: 60 * done, records: choices.between(0, 1000) })
  }
  return out
}

describe("StreamProgress", () => {
  it.prop(
    "reports each window's records and points once, and all of them in total",
    [choices],
    ([choices]) => {
      const points = choices.between(1, 300)
      const progress = new StreamProgress(range(points), 0)
      let records = 0
      let next = 60
      for (const window of windows(choices, points)) {
        progress.add(window.records, window.records * 10)
        records += window.records
        assert.deepStrictEqual(progress.endWindow(window.lastMillis), {
          records: window.records,
          range: { firstMillis: next, lastMillis: window.lastMillis, stepMillis: 60 }
        })
        next = window.lastMillis + 60
        assert.closeTo(progress.share, window.lastMillis / 60 / points, 1e-9)
      }
      assert.deepStrictEqual([progress.share, progress.records, progress.bytes], [1, records, records * 10])
    }
  )

  it.prop("keeps the reported estimate close to the current one", [choices], ([choices]) => {
    const points = choices.between(1, 300)
    const progress = new StreamProgress(range(points), 0)
    let estimate: { readonly records: number; readonly bytes: number } | undefined
    for (const window of windows(choices, points)) {
      progress.add(window.records, window.records * 10)
      progress.endWindow(window.lastMillis)
      estimate = progress.newEstimate() ?? estimate
      const present = Math.round(progress.records / progress.share)
      assert.isAtMost(Math.abs(present - estimate!.records), estimate!.records * 0.1)
    }
    assert.isAtMost(Math.abs(progress.records - estimate!.records), estimate!.records * 0.1)
  })

  it("assumes that the rest is as dense as the part that has been read", () => {
    const progress = new StreamProgress(range(100), 0)
    progress.add(50, 5000)
    progress.endWindow(60 * 10)
    assert.deepStrictEqual(progress.newEstimate(), { records: 500, bytes: 50_000 })
    progress.add(52, 5200)
    progress.endWindow(60 * 20)
    assert.isUndefined(progress.newEstimate())
    progress.add(200, 20_000)
    progress.endWindow(60 * 30)
    assert.deepStrictEqual(progress.newEstimate(), { records: 1007, bytes: 100_667 })
  })

  it("is complete immediately for a stream without points", () => {
    const progress = new StreamProgress(range(0), 0)
    progress.endWindow(0)
    assert.deepStrictEqual([progress.share, progress.newEstimate()], [1, { records: 0, bytes: 0 }])
  })

  it("logs progress at most every 10 s", () => {
    const progress = new StreamProgress(range(100), 5000)
    const due = [14_999, 15_000, 15_001, 24_999, 40_000, 49_999, 50_000].filter((now) =>
      progress.isLogDue(now)
    )
    assert.deepStrictEqual(due, [15_000, 40_000, 50_000])
  })
})
