/** Simple series for a mock, sufficient for most tests of reading. */
import { type MockSeries, makeSeries } from "../../src/mock/MockSeries.ts"

/** 2026-01-01T00:00:00Z, in milliseconds. */
export const start = Date.UTC(2026, 0, 1)

/** One minute in milliseconds. */
export const minute = 60_000

/** A time in the format of configurations and records. */
export const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

/** A gauge with one sample per minute from `start` on, in so many series. */
export const gauge = (name: string, minutes: number, seriesCount = 1): ReadonlyArray<MockSeries> =>
  Array.from({ length: seriesCount }, (_, n) =>
    makeSeries(
      { __name__: name, n: `${n}` },
      Array.from({ length: minutes }, (_, i) => [start + i * minute, i + n / 8] as const)
    )
  )
