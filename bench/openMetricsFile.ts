/** Writes a data set as OpenMetrics text, from which `promtool` creates a database. */
import { createWriteStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { type Dataset, labelsOf, metricNames, START, seriesOfMetric } from "./datasets.ts"

/** Streams to the file, so that large data sets need little memory. The text depends only on the data set. */
export const writeOpenMetrics = (file: string, dataset: Dataset): Promise<void> =>
  pipeline(chunks(dataset), createWriteStream(file))

const CHUNK_CHARACTERS = 1 << 20

function* chunks(dataset: Dataset): Generator<string> {
  const { kind, points, stepSeconds } = dataset
  const random = randomIntegers()
  let text = ""
  for (const [n, metric] of metricNames(dataset).entries()) {
    for (let s = 0; s < seriesOfMetric(dataset, n); s++) {
      const labels = labelsOf(s).map(([name, value]) => `${name}="${value}"`)
      const series = `${metric}{${labels.join(",")}} `
      const next = kind === "typical" ? typicalValues(n, random) : randomWalk(random)
      // Each target is scraped at its own moment between two points. One scrape of 20 is some milliseconds late.
      const offset = kind === "typical" ? 1 + (random() % (stepSeconds * 1000 - 100)) : 0
      for (let i = 0; i < points; i++) {
        const value = next()
        const late = offset > 0 && random() % 20 === 0 ? 1 + (random() % 20) : 0
        const millis = (START + i * stepSeconds) * 1000 + offset + late
        text += `${series}${value} ${millis / 1000}\n`
        if (text.length >= CHUNK_CHARACTERS) {
          yield text
          text = ""
        }
      }
    }
  }
  yield `${text}# EOF\n`
}

/** A random walk in millionths: values like 90.808853. */
const randomWalk = (random: () => number): (() => number) => {
  let millionths = 10_000_000 + (random() % 90_000_000)
  return () => {
    const value = millionths / 1e6
    millionths = Math.abs(millionths + (random() % 2_000_001) - 1_000_000)
    return value
  }
}

/** How a series changes from one scrape to the next, as integers in a unit. */
interface Kind {
  readonly unit: number
  readonly next: (before: number, random: () => number) => number
}

/** A step up or down. */
const around = (before: number, most: number, random: () => number): number =>
  Math.abs(before + (random() % (2 * most + 1)) - most)

const kinds: ReadonlyArray<Kind> = [
  // Requests: in most intervals there are none.
  { unit: 1, next: (before, random) => (random() % 3 === 0 ? before + (random() % 40) : before) },
  // CPU time.
  { unit: 1 / 100, next: (before, random) => before + (random() % 1500) },
  // Bytes sent.
  { unit: 1, next: (before, random) => before + (random() % 2_000_000) },
  // Memory in pages.
  { unit: 4096, next: (before, random) => (random() % 4 === 0 ? around(before, 128, random) : before) },
  // Connections.
  { unit: 1, next: (before, random) => around(before, 2, random) % 1000 },
  // A limit, which rarely changes.
  { unit: 1, next: (before, random) => (random() % 2000 === 0 ? random() % 1_000_000 : before) },
  // Whether a target is up.
  { unit: 1, next: (_, random) => (random() % 500 === 0 ? 0 : 1) },
  // A load average.
  { unit: 1 / 100, next: (before, random) => around(before, 20, random) % 10_000 },
  // The sum of a histogram of durations, with all digits of a float.
  { unit: 1 / 3, next: (before, random) => before + (random() % 1000) },
  // A temperature.
  { unit: 1 / 10, next: (before, random) => 200 + (around(before - 200, 1, random) % 400) }
]

/** The values of a series of the n-th metric: counters and gauges in turn. */
const typicalValues = (n: number, random: () => number): (() => number) => {
  const { next, unit } = kinds[n % kinds.length]!
  let value = random() % 1_000_000
  return () => {
    value = next(value, random)
    // A quotient has the decimals of the unit, which a product would not have.
    return unit < 1 ? value / Math.round(1 / unit) : value * unit
  }
}

/** Marsaglia's xorshift: every run generates the same data. */
const randomIntegers = (): (() => number) => {
  let state = 2_463_534_242
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}
