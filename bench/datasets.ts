/** The data sets: the size and shape of each database. */

/** Series with samples on a grid: each series has a sample at every point. */
export interface Dataset {
  readonly name: string
  readonly metrics: number
  /** The total over all metrics, spread evenly. */
  readonly series: number
  /** Per series. */
  readonly points: number
  readonly stepSeconds: number
  /** By default random walks at the points of the grid. `typical`: counters and gauges, scraped between them. */
  readonly kind?: "typical"
}

/** The data sets by purpose. */
export interface Datasets {
  /** The basis of all comparisons: ten metrics over a day, with a sample every 15 seconds. */
  readonly day: Dataset
  /** One metric with very many series. */
  readonly wide: Dataset
  /** One metric with few series over a long time. */
  readonly year: Dataset
  /** Many metrics, for discovery. */
  readonly catalog: Dataset
  /** Counters and gauges as servers have them, as many as in `day`. */
  readonly typical: Dataset
}

/** The start of all data, in seconds: long enough ago that no data set ends in the future. */
export const START = Date.UTC(2025, 0, 1) / 1000

const DAY_POINTS = (24 * 3600) / 15

const full: Datasets = {
  day: { name: "day", metrics: 10, series: 1000, points: DAY_POINTS, stepSeconds: 15 },
  wide: { name: "wide", metrics: 1, series: 100_000, points: 20, stepSeconds: 15 },
  year: { name: "year", metrics: 1, series: 4, points: 365 * 24 * 60, stepSeconds: 60 },
  catalog: { name: "catalog", metrics: 3000, series: 20_000, points: 4, stepSeconds: 15 },
  typical: {
    name: "typical",
    metrics: 10,
    series: 1000,
    points: DAY_POINTS,
    stepSeconds: 15,
    kind: "typical"
  }
}

// Data sets keep their time range if windows depend on it.
const small: Datasets = {
  day: { ...full.day, name: "small-day", series: 20 },
  wide: { ...full.wide, name: "small-wide", series: 2000 },
  year: { ...full.year, name: "small-year", points: 10_512 },
  catalog: { ...full.catalog, name: "small-catalog", metrics: 60, series: 400 },
  typical: { ...full.typical, name: "small-typical", series: 20 }
}

export const datasets = (options: { readonly small: boolean }): Datasets => (options.small ? small : full)

/** The same series over the first tenth of the time. */
export const firstTenth = (dataset: Dataset): Dataset => ({ ...dataset, points: dataset.points / 10 })

/** The same series with ten times the points: one per second, each with the latest sample. */
export const tenfold = (dataset: Dataset): Dataset => ({
  ...dataset,
  points: dataset.points * 10,
  stepSeconds: 1
})

export const sampleCount = ({ points, series }: Dataset): number => points * series

/** The last point of the grid that has a sample of its own, in seconds. Samples between points belong to the next one. */
export const lastTime = ({ kind, points, stepSeconds }: Dataset): number =>
  START + (kind === "typical" ? points : points - 1) * stepSeconds

export const metricNames = ({ metrics }: Dataset): ReadonlyArray<string> =>
  Array.from({ length: metrics }, (_, n) => `bench_${String(n).padStart(4, "0")}`)

/** The number of series of the n-th metric. */
export const seriesOfMetric = ({ metrics, series }: Dataset, n: number): number =>
  Math.floor(((n + 1) * series) / metrics) - Math.floor((n * series) / metrics)

/** Five labels that make a record of about 250 bytes. The instance is unique within a metric. */
export const labelsOf = (n: number): ReadonlyArray<readonly [name: string, value: string]> => [
  ["instance", `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}:9100`],
  ["job", "node"],
  ["code", ["200", "404", "500", "503"][n % 4]!],
  ["mode", ["idle", "user"][n % 2]!],
  ["zone", `eu-${n % 5}`]
]
