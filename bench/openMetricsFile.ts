/** Writes a data set as OpenMetrics text, from which `promtool` creates a database. */
import { createWriteStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { type Dataset, labelsOf, metricNames, START, seriesOfMetric } from "./datasets.ts"

/** Streams to the file, so that large data sets need little memory. The text depends only on the data set. */
export const writeOpenMetrics = (file: string, dataset: Dataset): Promise<void> =>
  pipeline(chunks(dataset), createWriteStream(file))

const CHUNK_CHARACTERS = 1 << 20

function* chunks(dataset: Dataset): Generator<string> {
  const { points, stepSeconds } = dataset
  const random = randomIntegers()
  let text = ""
  for (const [n, metric] of metricNames(dataset).entries()) {
    for (let s = 0; s < seriesOfMetric(dataset, n); s++) {
      const labels = labelsOf(s).map(([name, value]) => `${name}="${value}"`)
      const series = `${metric}{${labels.join(",")}} `
      // A random walk in millionths: values like 90.808853, similar to gauges of real servers.
      let millionths = 10_000_000 + (random() % 90_000_000)
      for (let i = 0; i < points; i++) {
        text += `${series}${millionths / 1e6} ${START + i * stepSeconds}\n`
        millionths = Math.abs(millionths + (random() % 2_000_001) - 1_000_000)
        if (text.length >= CHUNK_CHARACTERS) {
          yield text
          text = ""
        }
      }
    }
  }
  yield `${text}# EOF\n`
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
