/**
 * The data of a mock Prometheus: series with their samples, and the metadata of metric families.
 *
 * It is checked and sorted once, so that evaluation can rely on it.
 */
import { labelText } from "../promql/Matcher.ts"
import type { Histogram, Labels } from "../samples/Sample.ts"
import { byBytes } from "../samples/Series.ts"
import { type LabelsInput, makeLabels } from "./MockLabels.ts"
import type { MockTables } from "./MockTables.ts"

/** A float, a native histogram, or the stale marker, which ends a series. */
export type MockValue = number | Histogram | "stale"

/** One series: sample `i` is `values[i]` at `times[i]`, ascending, in milliseconds since the Unix epoch. */
export interface MockSeries {
  readonly labels: Labels
  readonly times: Float64Array
  readonly values: ReadonlyArray<MockValue>
}

/** A metric family as `/api/v1/metadata` describes it. */
export interface FamilyMetadata {
  readonly type: string
  readonly help: string
  readonly unit: string
}

/** All data of a mock Prometheus: series sorted by their labels, metadata by family name, and the other tables. */
export interface MockDatabase {
  readonly series: ReadonlyArray<MockSeries>
  readonly tables?: MockTables
  readonly metadata: ReadonlyMap<string, ReadonlyArray<FamilyMetadata>>
}

/** The order of Prometheus' responses: label by label, name before value, shorter sets first. */
export const compareLabels = (a: Labels, b: Labels): number => {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const byName = byBytes(a[i]![0], b[i]![0])
    if (byName !== 0) return byName
    const byValue = byBytes(a[i]![1], b[i]![1])
    if (byValue !== 0) return byValue
  }
  return a.length - b.length
}

/** The value of one label, `""` when it is absent, as PromQL sees it. */
export const labelValue = (labels: Labels, name: string): string =>
  labels.find((label) => label[0] === name)?.[1] ?? ""

/**
 * A series from its labels, `__name__` included, and its samples in any order.
 * Throws when two samples have the same time, or a time is not an integer.
 */
export const makeSeries = (
  labels: LabelsInput,
  samples: Iterable<readonly [timeMillis: number, value: MockValue]>
): MockSeries => {
  const sorted = [...samples].sort((a, b) => a[0] - b[0])
  const times = new Float64Array(sorted.length)
  for (let i = 0; i < times.length; i++) {
    const time = sorted[i]![0]
    if (!Number.isSafeInteger(time)) throw new RangeError(`${time} is not a time in milliseconds`)
    if (i > 0 && time === times[i - 1]) throw new RangeError(`two samples at ${time}`)
    times[i] = time
  }
  return { labels: makeLabels(labels), times, values: sorted.map((sample) => sample[1]) }
}

/**
 * A database from series and metadata in any order; a family may have several entries, since targets may differ. Throws when
 * two series have the same labels.
 */
export const makeDatabase = (
  series: Iterable<MockSeries>,
  metadata: Iterable<readonly [family: string, metadata: FamilyMetadata]> = [],
  tables: MockTables = {}
): MockDatabase => {
  const sorted = [...series].sort((a, b) => compareLabels(a.labels, b.labels))
  for (let i = 1; i < sorted.length; i++) {
    if (compareLabels(sorted[i - 1]!.labels, sorted[i]!.labels) === 0) {
      throw new RangeError(`two series with the labels ${labelText(sorted[i]!.labels)}`)
    }
  }
  const families = new Map<string, Array<FamilyMetadata>>()
  for (const [family, entry] of metadata) families.set(family, [...(families.get(family) ?? []), entry])
  return { series: sorted, metadata: families, tables }
}
