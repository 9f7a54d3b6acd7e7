/** Random series as real programs produce them, and which sample Prometheus has at a point of a grid. */
import type { Choices } from "../choices.ts"
import { minute } from "./gauge.ts"
import type { RemoteSeriesInput } from "./remoteWrite.ts"

/** A series of floats and stale markers, in the order of time. */
export type FloatSeries = RemoteSeriesInput<number | "stale">

/** How old the sample at a point may be. */
export const lookbackMillis = 5 * minute

/**
 * Series of a metric in a range: their intervals change from seconds to more than the look-back; they have gaps, begin late,
 * end early, and end with a stale marker or without. No two samples of a series have the same value.
 */
export const anySeries = (
  choices: Choices,
  metric: string,
  fromMillis: number,
  toMillis: number,
  stepMillis: number
): ReadonlyArray<FloatSeries> =>
  Array.from({ length: choices.between(2, 6) }, (_, n) => {
    const samples: Array<readonly [number, number | "stale"]> = []
    let time = fromMillis
    // Exactly on the grid, where samples are as old as the look-back, or anywhere.
    time += choices.oneIn(2) ? stepMillis * choices.below(40) : choices.below(stepMillis * 40)
    const end = choices.oneIn(3) ? choices.between(time, toMillis) : toMillis
    while (time <= end) {
      const interval = choices.pick([15, 15, 30, 60, 240, 299, 300, 301, 360, 600]) * 1000
      const isIrregular = choices.oneIn(4)
      for (let left = choices.between(1, 40); left > 0 && time <= end; left--) {
        samples.push([time, samples.length + n / 8])
        time += isIrregular ? choices.between(1, 2 * interval) : interval
      }
      // A stale marker follows a sample at once, or where the next one would be.
      if (choices.oneIn(3)) {
        samples.push([samples.at(-1)![0] + choices.pick([1, interval]), "stale"])
        time = Math.max(time, samples.at(-1)![0] + 1)
      }
      if (choices.oneIn(3)) time += choices.between(1, 25 * minute)
    }
    return { labels: { __name__: metric, n: `${n}` }, samples: samples.filter(([time]) => time <= toMillis) }
  }).filter(({ samples }) => samples.length > 0)

/**
 * The sample of a series at a point: the latest one, unless it is a stale marker or too old. One that is exactly as old as the
 * look-back counts only if the look-back is closed, as in Prometheus 2.
 */
export const latestSample = (
  { samples }: FloatSeries,
  pointMillis: number,
  look: "closed" | "left-open"
): number | undefined => {
  const latest = samples.findLast(([time]) => time <= pointMillis)
  if (latest === undefined || latest[1] === "stale") return undefined
  const age = pointMillis - latest[0]
  return age < lookbackMillis || (age === lookbackMillis && look === "closed") ? latest[1] : undefined
}

/** Slices series by time: servers refuse samples that are older than the newest one by more than an hour. */
export const slices = (
  series: ReadonlyArray<FloatSeries>,
  lengthMillis: number
): ReadonlyArray<ReadonlyArray<FloatSeries>> => {
  const byTime = Map.groupBy(
    series.flatMap(({ labels, samples }) => samples.map((sample) => ({ labels, sample }))),
    ({ sample: [time] }) => Math.floor(time / lengthMillis)
  )
  return [...byTime]
    .toSorted(([a], [b]) => a - b)
    .map(([, samples]) =>
      [...Map.groupBy(samples, ({ labels }) => labels)].map(([labels, own]) => ({
        labels,
        samples: own.map(({ sample }) => sample)
      }))
    )
}
