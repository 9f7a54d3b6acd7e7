/**
 * The series of several metrics as parts to request: by exact names, so that no series is in two parts, and as few parts as the
 * server takes.
 */
import type { BackendKind } from "../prometheus/Backend.ts"
import { exactPattern } from "../promql/valuePattern.ts"
import { partOfMetrics, type SeriesPart } from "./SeriesPart.ts"

/** The most characters of the names in a query. A server that refuses them gets fewer: see `Window.ts`. */
const MAX_CHARACTERS = 500_000

/** VictoriaMetrics refuses queries of more than 16 KiB (-search.maxQueryLen). */
const MAX_CHARACTERS_OF_VICTORIAMETRICS = 12_000

/** How much a query may name. */
export interface NameLimits {
  readonly characters: number
  readonly names: number
}

/** The limits of a kind of server. Google's and Azure's services take one exact name. */
export const nameLimitsOf = (kind: BackendKind): NameLimits => {
  const isVictoriaMetrics = kind === "victoriaMetrics" || kind === "victoriaMetricsCluster"
  return {
    characters: isVictoriaMetrics ? MAX_CHARACTERS_OF_VICTORIAMETRICS : MAX_CHARACTERS,
    names: kind === "google" || kind === "azure" ? 1 : Number.POSITIVE_INFINITY
  }
}

/** Names in a query, in bytes: each is longer where it is escaped. */
const bytesOf = (metric: string): number => Buffer.byteLength(exactPattern([metric])) + 1

/** Cuts names into as few lists as the limits allow. A name that is too long by itself is alone. */
export const cutNames = (metrics: ReadonlyArray<string>, { characters, names }: NameLimits) =>
  cutBySize(metrics, bytesOf, characters, names)

/**
 * Cuts names into lists of neighbours whose sizes are at most `most` together, and that have at most `names` names. A larger metric
 * is alone.
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

/** One part whose halves, and theirs, are the parts with these lists of metrics. */
export const partOfLists = (lists: ReadonlyArray<ReadonlyArray<string>>): SeriesPart => {
  const part = partOfMetrics(lists.flat())
  splitIntoLists(part, lists)
  return part
}

/** Splits a part into lists of its metrics. */
export const splitIntoLists = (part: SeriesPart, lists: ReadonlyArray<ReadonlyArray<string>>): void => {
  if (lists.length < 2) return
  const middle = Math.ceil(lists.length / 2)
  part.halves = [partOfLists(lists.slice(0, middle)), partOfLists(lists.slice(middle))]
}
