/** Reads the labels of the series in a response. */

import { labelText } from "../../promql/Matcher.ts"
import type { Series } from "../../samples/Sample.ts"
import { canonicalLabels, DecodedSeries, type SeriesCache } from "../../samples/Series.ts"
import { excerptLine } from "../../text/excerpt.ts"
import type { ExternalLabels } from "./externalLabels.ts"
import type { ProtobufReader } from "./ProtobufReader.ts"
import { oversized, RemoteReadError } from "./RemoteReadError.ts"
import type { ReadDecoding } from "./readDecoding.ts"

/** The longest labels of a series, in bytes: every one of its records repeats them. */
const MAX_LABEL_BYTES = 1024 * 1024

/** A message's place in the bytes. */
export type Range = readonly [start: number, end: number]

/** Reads series, each of them once. */
export class SeriesReader {
  private readonly cache: SeriesCache | undefined
  private readonly excludedLabels: ReadonlySet<string>
  private readonly externalLabels: ExternalLabels
  /** Distinguishes the series of responses with other external labels in the cache. */
  private readonly scope: string
  private current: { readonly key: string; readonly series: Series } | undefined

  constructor({
    excludedLabels,
    externalLabels = new Map(),
    series
  }: Pick<ReadDecoding, "excludedLabels" | "externalLabels" | "series">) {
    this.cache = series
    this.excludedLabels = excludedLabels
    this.externalLabels = externalLabels
    this.scope =
      externalLabels.size === 0 ? "" : JSON.stringify([...externalLabels, ...(externalLabels.unowned ?? [])])
  }

  /** The series with the labels at these places. The same object as for the message before, if the labels are the same. */
  read(message: ProtobufReader, labels: ReadonlyArray<Range>): Series {
    const bytes = Buffer.from(message.bytes.buffer, message.bytes.byteOffset, message.bytes.byteLength)
    // Labels are messages, which contain the lengths of their texts: no other labels have the same bytes.
    let key = ""
    for (const [start, end] of labels) key += bytes.toString("latin1", start, end)
    if (key.length > MAX_LABEL_BYTES) {
      throw oversized(`a series has labels of ${key.length} bytes, but at most ${MAX_LABEL_BYTES} are read`)
    }
    if (this.current?.key === key) return this.current.series
    let series = this.cache?.get(this.scope + key)
    if (series === undefined) {
      const described = new DecodedSeries()
      const all = labels.map(([start, end]) => labelOf(message.at(start, end)))
      this.checkExternal(all)
      const pairs = all.filter(([name, value]) => this.externalLabels.get(name) !== value)
      described.describe(canonicalLabels(pairs), this.excludedLabels)
      series = described
      this.cache?.add(this.scope + key, series, key.length)
    }
    this.current = { key, series }
    return series
  }

  /** Labels that only the server adds show which server it is. Otherwise a label of another one would be taken for the series' own. */
  private checkExternal(labels: ReadonlyArray<readonly [name: string, value: string]>): void {
    for (const name of this.externalLabels.unowned ?? []) {
      const expected = this.externalLabels.get(name) ?? ""
      const found = labels.find(([other]) => other === name)?.[1]
      if (found === expected) continue
      const shown = (value: string) => excerptLine(labelText([[name, value]]))
      throw new RemoteReadError(
        "foreign",
        found === undefined
          ? `a series lacks the external label ${shown(expected)} of the server's configuration`
          : `a series has the external label ${shown(found)}, but the server's configuration has ${shown(expected)}`
      )
    }
  }
}

const labelOf = (message: ProtobufReader): readonly [name: string, value: string] => {
  let name = ""
  let value = ""
  for (let field = message.next(); field !== 0; field = message.next()) {
    if (field === 1) name = message.string()
    else if (field === 2) value = message.string()
    else message.skip()
  }
  return [name, value]
}
