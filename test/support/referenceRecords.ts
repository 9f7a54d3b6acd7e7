/**
 * The test oracle: reads a metric in a slow but obviously correct way, for comparison with the connector's records.
 *
 * It deliberately shares no code with `src`.
 */

/** What to read; times and the step in seconds. */
export interface ReferenceQuery {
  readonly baseUrl: string
  readonly metric: string
  /** More matchers in PromQL's syntax, such as `env="prod",zone!="a"`. */
  readonly matchers?: string
  readonly start: number
  readonly end: number
  readonly step: number
  /** Such as `Authorization`. */
  readonly headers?: Readonly<Record<string, string>>
  readonly pointsPerRequest?: number
}

type Labels = Readonly<Record<string, string>> | Iterable<readonly [name: string, value: string]>

/** The key of one sample: its labels sorted by name (the metric's name included), and its time in milliseconds. */
export const recordKey = (labels: Labels, timeMillis: number): string => {
  const pairs = Symbol.iterator in labels ? [...labels] : Object.entries(labels)
  return JSON.stringify([pairs.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)), timeMillis])
}

/**
 * Every sample at a multiple of the step from start to end, both included: its value by its `recordKey`. The value
 * is the server's text, or for a native histogram its JSON.
 */
export const referenceRecords = async (query: ReferenceQuery): Promise<Map<string, string>> => {
  const { baseUrl, metric, matchers, step, headers = {}, pointsPerRequest = 500 } = query
  const records = new Map<string, string>()
  const add = (labels: Labels, timeSeconds: number, value: string): void => {
    const key = recordKey(labels, Math.round(timeSeconds * 1000))
    if (records.has(key)) throw new Error(`The server returned twice ${key}`)
    records.set(key, value)
  }

  const name = `__name__=${JSON.stringify(metric)}`
  const selector = matchers === undefined ? `{${name}}` : `{${name},${matchers}}`
  const expression = (await isVictoriaMetrics(query)) ? latestInFiveMinutes(selector) : selector
  const first = Math.ceil(query.start / step) * step
  const last = Math.floor(query.end / step) * step
  for (let from = first; from <= last; from += pointsPerRequest * step) {
    const to = Math.min(from + (pointsPerRequest - 1) * step, last)
    const url = new URL(`${baseUrl}/api/v1/query_range`)
    url.search = new URLSearchParams({
      query: expression,
      start: `${from}`,
      end: `${to}`,
      step: `${step}`
    }).toString()
    const response = await fetch(url, { headers })
    const text = await response.text()
    if (!response.ok) throw new Error(`${url} returned ${response.status}: ${text}`)
    const result = JSON.parse(text) as RangeResult
    for (const { metric, values = [], histograms = [] } of result.data.result) {
      for (const [time, value] of values) add(metric, time, value)
      for (const [time, histogram] of histograms) add(metric, time, JSON.stringify(histogram))
    }
  }
  return records
}

const isVictoriaMetrics = async ({ baseUrl, headers = {} }: ReferenceQuery): Promise<boolean> => {
  const response = await fetch(`${baseUrl}/api/v1/query?query=1`, { headers })
  await response.arrayBuffer()
  return response.headers.has("x-server-hostname")
}

/** Its look-back varies from query to query, unless it is written down. Old releases extend it all the same. */
const latestInFiveMinutes = (selector: string): string =>
  `default_rollup(${selector}[5m]) if count_over_time(${selector}[5m])`

interface RangeResult {
  readonly data: {
    readonly result: ReadonlyArray<{
      readonly metric: Readonly<Record<string, string>>
      readonly values?: ReadonlyArray<readonly [time: number, value: string]>
      readonly histograms?: ReadonlyArray<readonly [time: number, histogram: unknown]>
    }>
  }
}
