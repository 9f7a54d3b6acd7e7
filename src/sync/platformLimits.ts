/**
 * Catalogs that are too large for a platform, and the groups that make them small enough. Airbyte Cloud discovers at most 1,000
 * streams, and a connection has at most 20,000 fields.
 */
import { grouped } from "../text/figures.ts"
import { pluralize } from "../text/pluralize.ts"

export const MAX_STREAMS = 1000
export const MAX_FIELDS = 20_000

/** A metric with a stream of its own, and its number of fields; undefined if that is not known. */
export interface SizedMetric {
  readonly name: string
  readonly fields: number | undefined
}

/** The streams that are not metrics. */
export interface OtherStreams {
  readonly streams: number
  readonly fields: number
}

/** The fields of a stream without columns for labels, or of a group. */
export const GROUP_FIELDS = 7

/** A pattern for a group, and how many metrics it puts into one stream. */
export interface SuggestedGroup {
  readonly pattern: string
  readonly metrics: number
}

/** With more groups than that, one group of all metrics is simpler. */
const MAX_GROUPS = 5

/** What a pattern covers. */
interface Covered {
  readonly streams: number
  readonly fields: number
}

const isWithin = ({ fields, streams }: Covered): boolean => streams <= MAX_STREAMS && fields <= MAX_FIELDS

const sizeOf = (metrics: ReadonlyArray<SizedMetric>): Covered => ({
  streams: metrics.length,
  fields: metrics.reduce((sum, { fields = 0 }) => sum + fields, 0)
})

/** The prefixes of a name that end with a separator: `node_` and `node_cpu_` of `node_cpu_seconds`. */
const beginningsOf = (name: string): ReadonlyArray<string> =>
  Array.from(name.matchAll(/[_:.]/g), ({ index }) => name.slice(0, index + 1)).filter((text) =>
    /^[\w:][\w:.]*$/.test(text)
  )

/**
 * The groups that bring the catalog within the limits. Each step takes the prefix that removes the largest share of what exceeds a
 * limit, and of prefixes with the same metrics the longest one.
 */
export const suggestGroups = (
  metrics: ReadonlyArray<SizedMetric>,
  others: OtherStreams
): ReadonlyArray<SuggestedGroup> => {
  const groups: Array<SuggestedGroup> = []
  let left = metrics
  const restOf = (left: ReadonlyArray<SizedMetric>): Covered => {
    const { fields, streams } = sizeOf(left)
    return {
      streams: others.streams + groups.length + streams,
      fields: others.fields + groups.length * GROUP_FIELDS + fields
    }
  }
  while (!isWithin(restOf(left)) && groups.length < MAX_GROUPS) {
    const covered = new Map<string, { streams: number; fields: number }>()
    for (const { fields = 0, name } of left) {
      for (const text of beginningsOf(name)) {
        const found = covered.get(text) ?? { streams: 0, fields: 0 }
        found.streams++
        found.fields += fields
        covered.set(text, found)
      }
    }
    const { fields, streams } = restOf(left)
    /** The share of the streams and fields, if they exceed their limit, that a group removes. */
    const gain = (of: Covered): number =>
      (streams > MAX_STREAMS ? of.streams / streams : 0) + (fields > MAX_FIELDS ? of.fields / fields : 0)
    let best: readonly [text: string, of: Covered] | undefined
    for (const [text, of] of covered) {
      const before = best === undefined ? 0 : gain(best[1])
      const isLonger = best !== undefined && gain(of) === before && text.length > best[0].length
      if (gain(of) > before || isLonger) best = [text, of]
    }
    if (best === undefined) break
    const [text, of] = best
    groups.push({ pattern: `${text}*`, metrics: of.streams })
    left = left.filter(({ name }) => !name.startsWith(text))
  }
  return isWithin(restOf(left)) ? groups : [{ pattern: "*", metrics: metrics.length }]
}

/** A warning about a catalog that is too large for Airbyte Cloud, with groups that make it smaller; undefined if it is not. */
export const limitWarning = (
  metrics: ReadonlyArray<SizedMetric>,
  others: OtherStreams
): string | undefined => {
  const own = sizeOf(metrics)
  const all = { streams: others.streams + own.streams, fields: others.fields + own.fields }
  if (isWithin(all)) return undefined
  const areFieldsKnown = metrics.every(({ fields }) => fields !== undefined)
  const fields = areFieldsKnown ? ` and ${grouped(all.fields)} fields` : ""
  const groups = suggestGroups(metrics, others)
  const advice = groups.map(
    ({ metrics, pattern }) => `${pattern} (${pluralize(metrics, "metric")} in one stream)`
  )
  return `The catalog has ${pluralize(all.streams, "stream")}${fields}. Airbyte Cloud takes at most ${grouped(MAX_STREAMS)} streams, and ${grouped(MAX_FIELDS)} fields in a connection. ${groups.length === 1 ? "This group of metrics makes it" : "These groups of metrics make it"} small enough: ${advice.join(", ")}. Or select fewer metrics with metrics.`
}
