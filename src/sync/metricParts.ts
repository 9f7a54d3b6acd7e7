/**
 * The series of several metrics as parts to request: by exact names, so that no series is in two parts, and in as few parts as the
 * server accepts.
 */
import type { BackendKind } from "../prometheus/Backend.ts"
import { exactPattern } from "../promql/valuePattern.ts"
import { hasSeveralMetrics, partOfMetrics, type SeriesPart } from "./SeriesPart.ts"

/** The maximum number of characters of all names in a query. If a server refuses them, `Window.ts` sends fewer. */
const MAX_CHARACTERS = 500_000

/** VictoriaMetrics refuses queries of more than 16 KiB (-search.maxQueryLen). */
const MAX_CHARACTERS_OF_VICTORIAMETRICS = 12_000

/** The limits for the names in a query. */
export interface NameLimits {
  readonly characters: number
  readonly names: number
}

/** The limits of a kind of server. The services of Google and Azure accept one exact name. */
export const nameLimitsOf = (kind: BackendKind): NameLimits => {
  const isVictoriaMetrics = kind === "victoriaMetrics" || kind === "victoriaMetricsCluster"
  return {
    characters: isVictoriaMetrics ? MAX_CHARACTERS_OF_VICTORIAMETRICS : MAX_CHARACTERS,
    names: kind === "google" || kind === "azure" ? 1 : Number.POSITIVE_INFINITY
  }
}

/** The length of a name in a query, in bytes. Escaping makes it longer. */
const bytesOf = (metric: string): number => Buffer.byteLength(exactPattern([metric])) + 1

/** Cuts names into as few lists as the limits allow. A name that exceeds them by itself is alone in its list. */
export const cutNames = (metrics: ReadonlyArray<string>, { characters, names }: NameLimits) =>
  cutBySize(metrics, bytesOf, characters, names)

/**
 * Cuts names into lists of neighbors. Each list has a total size of at most `most`, and at most `names` names. A larger metric is
 * alone in its list.
 */
export const cutBySize = (
  metrics: ReadonlyArray<string>,
  sizeOf: (metric: string) => number,
  most: number,
  names = Number.POSITIVE_INFINITY
): ReadonlyArray<ReadonlyArray<string>> => {
  const lists: Array<Array<string>> = []
  let left = 0
  for (const metric of metrics) {
    const size = sizeOf(metric)
    const last = lists.at(-1)
    if (last === undefined || size > left || last.length >= names) {
      lists.push([metric])
      left = most - size
    } else {
      last.push(metric)
      left -= size
    }
  }
  return lists
}

/** One part that is split, in several levels of halves, into a part for each of these lists of metrics. */
export const partOfLists = (lists: ReadonlyArray<ReadonlyArray<string>>): SeriesPart => {
  const part = partOfMetrics(lists.flat())
  splitIntoLists(part, lists)
  return part
}

/** Splits a part into lists of its metrics. */
const splitIntoLists = (part: SeriesPart, lists: ReadonlyArray<ReadonlyArray<string>>): void => {
  if (lists.length < 2) return
  const middle = Math.ceil(lists.length / 2)
  part.halves = [partOfLists(lists.slice(0, middle)), partOfLists(lists.slice(middle))]
}

/**
 * The most splits of the series of a stream. Each split adds a request to every window. Splits by metric that the server requires do
 * not count: there are fewer than metrics.
 */
export const MAX_SPLITS = 2000

/**
 * Splits a part of several metrics if `wanted` points have more samples than a response should have. Every response repeats the
 * labels of its series, so parts with many points take fewer bytes, in as many requests, than all series with few points.
 * `densityOf` is the number of samples per point.
 */
export const splitDense = (
  part: SeriesPart,
  densityOf: (metric: string) => number,
  wanted: number,
  targetSamples: number
): void => {
  if (!hasSeveralMetrics(part) || part.halves !== undefined) return
  const density = part.metrics.reduce((sum, metric) => sum + densityOf(metric), 0)
  if (density * wanted <= targetSamples) return
  const lists = cutBySize(part.metrics, densityOf, targetSamples / wanted)
  if (lists.length <= MAX_SPLITS) splitIntoLists(part, lists)
}
