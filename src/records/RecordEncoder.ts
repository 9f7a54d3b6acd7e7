/**
 * Encodes blocks of samples as JSON lines, one record per line.
 *
 * The common parts of a series' records are rendered once per series. `LineTemplate` encodes plain samples. Rare ones (special
 * values, histograms) are rendered as text here.
 */

import { type Layout, METRIC_COLUMN } from "../samples/Layout.ts"
import {
  type FloatBlock,
  type Histogram,
  type HistogramBlock,
  partOf,
  type SampleBlock,
  type Series,
  textAt
} from "../samples/Sample.ts"
import { METRIC_NAME, SeriesCache } from "../samples/Series.ts"
import { formatTime } from "../text/formatTime.ts"
import { jsonLine, jsonText } from "./jsonLine.ts"
import { columnOf } from "./LabelColumns.ts"
import type { LineBuffer } from "./LineBuffer.ts"
import { LineTemplate } from "./LineTemplate.ts"

/** The text of a line around the record's data. */
export interface LineFrame {
  /** From the beginning of the line up to the opening brace of the data, exclusive. */
  readonly before: string
  /** From the closing brace of the data, exclusive, to the end of the line, including the line feed. */
  readonly after: string
}

/** The columns that a stream's records may have. */
export interface RecordShape {
  readonly columns: ReadonlySet<string> | "all"
  /** One `labels` object instead of a column per label. */
  readonly labelsObject: boolean
  /** Where records have the metric's name. By default it is omitted, because the stream has the same name. */
  readonly metricName?: Layout["metricName"]
  /** Labels whose columns were deselected, which are omitted. */
  readonly deselected?: ReadonlySet<string>
}

/** The columns of a stream in a configured catalog. */
export interface Declared {
  readonly properties: ReadonlyArray<string>
  /** The labels with a column when the stream was discovered; undefined if the catalog does not have that list. */
  readonly discoveredLabels: ReadonlyArray<string> | undefined
}

/**
 * The shape for a configured catalog: its columns, and always `time` and `series_id`. Without columns in the catalog, the
 * configuration decides.
 *
 * A discovered label without a column was deselected. Any other label without a column appeared later. If the catalog has no
 * list of discovered labels, this is unknown, and no label is dropped.
 */
export const shapeOf = ({ discoveredLabels, properties }: Declared, layout: Layout): RecordShape => {
  const columns = new Set(properties)
  const { metricName, rest } = layout
  if (columns.size === 0) return { columns: "all", labelsObject: rest === "labels", metricName }
  return {
    columns,
    labelsObject: metricName === "column" || (columns.has("labels") && !columns.has("other_labels")),
    metricName,
    deselected: new Set(discoveredLabels?.filter((label) => !columns.has(columnOf(label) ?? label)))
  }
}

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const BEFORE_VALUE = bytesOf('","value":')

/** The approximate maximum size of the lines of a part of a block, unless a single line is longer. */
const PART_BYTES = 8 * 1024 * 1024

/** A table cannot have that many columns. Further labels are not cached. */
const MAX_KNOWN_LABELS = 10_000

/** Encodes the records of one stream. */
export class RecordEncoder {
  private readonly shape: RecordShape
  /** The columns of labels, each as the beginning of a member: `"column":`. */
  private readonly columnsByLabel = new Map<string, string | undefined>()
  private readonly dataBySeries = new SeriesCache<Series, Uint8Array>()
  private readonly hasValue: boolean
  private frame: LineFrame = { before: "", after: "" }
  private frameBefore = bytesOf("")
  private frameAfter = bytesOf("")
  private series: Series | undefined
  /** The data before the time, in lines of the current series. */
  private data = bytesOf("")
  private template: LineTemplate | undefined

  constructor(shape: RecordShape) {
    this.shape = shape
    this.hasValue = this.hasColumn("value")
  }

  /** Splits a block into parts whose lines fit into memory. Usually one part is enough, but labels may be long. */
  parts(block: SampleBlock): ReadonlyArray<SampleBlock> {
    this.turnTo(block.series)
    const lines = Math.max(1, Math.floor(PART_BYTES / this.data.length))
    if (block.length <= lines) return [block]
    const parts: Array<SampleBlock> = []
    for (let from = 0; from < block.length; from += lines) {
      parts.push(partOf(block, from, Math.min(from + lines, block.length)))
    }
    return parts
  }

  /** Labels that were written without a column, in a stream that has columns for labels. */
  get labelsWithoutColumn(): ReadonlyArray<string> {
    if (!this.hasColumn("other_labels")) return []
    return Array.from(this.columnsByLabel).flatMap(([label, column]) =>
      column === undefined && !this.isDeselected(label) ? [label] : []
    )
  }

  /** Appends one line per sample to `out`. */
  encode(block: SampleBlock, frame: LineFrame, out: LineBuffer): void {
    if (frame !== this.frame) {
      this.frame = frame
      this.frameBefore = bytesOf(frame.before)
      this.frameAfter = bytesOf(`}${frame.after}`)
      this.template = undefined
    }
    this.turnTo(block.series)
    if (block._tag === "HistogramBlock") this.encodeHistograms(block, out)
    else this.encodeFloats(block, out)
  }

  private turnTo(series: Series): void {
    if (series === this.series) return
    this.series = series
    this.template = undefined
    const known = this.dataBySeries.get(series)
    this.data = known ?? bytesOf(`{${this.seriesMembers(series)}"time":"`)
    if (known === undefined) this.dataBySeries.add(series, this.data, this.data.length)
  }

  private encodeFloats(block: FloatBlock, out: LineBuffer): void {
    this.template ??= new LineTemplate([this.frameBefore, this.data], BEFORE_VALUE, this.frameAfter)
    const template = this.template
    for (let i = 0; i < block.length; i++) {
      if (this.hasValue) i = out.appendLines(template, block, i)
      if (i < block.length) this.encodeFloat(block, i, out)
    }
  }

  /** Encodes any float: special values, and values in lines that are not plain. */
  private encodeFloat(block: FloatBlock, i: number, out: LineBuffer): void {
    const text = textAt(block, i)
    const members = /[Nf]$/.test(text)
      ? this.member("value", "null") + this.member("special_value", `"${text}"`)
      : this.member("value", text)
    this.appendLine(out, block.times[i]!, members)
  }

  private encodeHistograms(block: HistogramBlock, out: LineBuffer): void {
    for (const [i, histogram] of block.histograms.entries()) {
      const members = this.member("value", "null") + this.member("histogram", renderHistogram(histogram))
      this.appendLine(out, block.times[i]!, members)
    }
  }

  /** A line with text after the time. */
  private appendLine(out: LineBuffer, time: number, members: string): void {
    out.append(this.frameBefore)
    out.append(this.data)
    out.append(bytesOf(`${formatTime(time)}"${members}`))
    out.append(this.frameAfter)
  }

  /** `,"name":json` if the stream has that column. */
  private member(column: string, json: string): string {
    return this.hasColumn(column) ? `,"${column}":${json}` : ""
  }

  private hasColumn(column: string): boolean {
    return this.shape.columns === "all" || this.shape.columns.has(column)
  }

  /** The common members of a series' records, each followed by a comma. */
  private seriesMembers({ id, labels }: Series): string {
    const { labelsObject, metricName } = this.shape
    let out = `"series_id":"${id}",`
    const others: Array<string> = []
    for (const [name, value] of labels) {
      if (name === METRIC_NAME && metricName !== "label") {
        if (metricName === "column" && this.hasColumn(METRIC_COLUMN)) {
          out += `"${METRIC_COLUMN}":${jsonText(value)},`
        }
        continue
      }
      const column = labelsObject ? undefined : this.columnFor(name)
      if (column === undefined && this.isDeselected(name)) continue
      if (column === undefined) others.push(`${jsonText(name)}:${jsonText(value)}`)
      else out += `${column}${jsonText(value)},`
    }
    const rest = labelsObject ? "labels" : "other_labels"
    if ((others.length === 0 && !labelsObject) || !this.hasColumn(rest)) return out
    return `${out}"${rest}":{${others.join(",")}},`
  }

  private isDeselected(label: string): boolean {
    return this.shape.deselected?.has(label) === true
  }

  private columnFor(label: string): string | undefined {
    const known = this.columnsByLabel.get(label)
    if (known !== undefined || this.columnsByLabel.has(label)) return known
    const column = columnOf(label)
    const member = column !== undefined && this.hasColumn(column) ? `${jsonText(column)}:` : undefined
    if (this.columnsByLabel.size < MAX_KNOWN_LABELS) this.columnsByLabel.set(label, member)
    return member
  }
}

/** In Prometheus' own format, with numbers as strings: counts may exceed the precision of JSON readers. */
export const renderHistogram = ({ buckets, count, sum }: Histogram): string =>
  jsonLine({
    count,
    sum,
    ...(buckets.length === 0
      ? {}
      : { buckets: buckets.map((bucket) => [bucket.boundaries, bucket.lower, bucket.upper, bucket.count]) })
  })
