/**
 * Series of samples as OpenMetrics text, the format from which `promtool` creates database blocks.
 */

/** Labels, the metric's name as `__name__` among them; pairs can also name labels such as `__proto__`. */
export type LabelsInput = Readonly<Record<string, string>> | Iterable<readonly [name: string, value: string]>

/** One series and its samples, times in integer milliseconds since the Unix epoch. */
export interface SeriesInput {
  readonly labels: LabelsInput
  readonly samples: ReadonlyArray<readonly [timeMillis: number, value: number]>
}

/** Labels as pairs, in their given order. */
export const labelPairs = (labels: LabelsInput): Array<readonly [name: string, value: string]> =>
  Symbol.iterator in labels ? [...labels] : Object.entries(labels)

/** Renders series as OpenMetrics text: grouped by metric, and each series in time order. */
export const openMetrics = (series: Iterable<SeriesInput>): string => {
  const linesByMetric = new Map<string, Array<string>>()
  for (const { labels, samples } of series) {
    const pairs = labelPairs(labels)
    const metric = pairs.find(([name]) => name === "__name__")?.[1]
    if (metric === undefined) throw new Error(`A series lacks the label __name__: ${JSON.stringify(pairs)}`)
    const id = `${metric}${labelSet(pairs)}`
    const lines = linesByMetric.get(metric) ?? []
    linesByMetric.set(metric, lines)
    for (const [timeMillis, value] of samples.toSorted(([a], [b]) => a - b)) {
      lines.push(`${id} ${formatValue(value)} ${formatTime(timeMillis)}`)
    }
  }
  return `${[...linesByMetric.values()].flat().join("\n")}\n# EOF\n`
}

const labelSet = (pairs: ReadonlyArray<readonly [string, string]>): string => {
  const rendered = pairs
    .filter(([name]) => name !== "__name__")
    .map(([name, value]) => `${name}="${escapeLabelValue(value)}"`)
  return rendered.length === 0 ? "" : `{${rendered.join(",")}}`
}

const escapeLabelValue = (value: string): string =>
  value.replace(/["\\\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))

/** The shortest text that reads back as the same 64-bit float, which is how JavaScript prints numbers. */
export const formatValue = (value: number): string => {
  if (Number.isNaN(value)) return "NaN"
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf"
  return Object.is(value, -0) ? "-0" : String(value)
}

/**
 * Milliseconds as seconds. The parser multiplies by 1000 and truncates, so that 1.009 would become 1008 ms. An extra
 * fifth of a millisecond avoids this, and is correct for a parser that rounds, too.
 */
const formatTime = (timeMillis: number): string => {
  if (!Number.isSafeInteger(timeMillis) || timeMillis < 0) {
    // promtool silently drops samples before 1970.
    throw new Error(`A sample's time must be integer milliseconds since 1970, not ${timeMillis}`)
  }
  const milliseconds = timeMillis % 1000
  const seconds = (timeMillis - milliseconds) / 1000
  return milliseconds === 0 ? `${seconds}` : `${seconds}.${String(milliseconds).padStart(3, "0")}2`
}
