/**
 * Turns blocks of samples into lines of JSON, one record a line.
 *
 * All that a series' records have in common is rendered once per series. Plain samples are left to `LineTemplate`;
 * what is rare (special values, histograms) is rendered as text here.
 */

import {
  asTextBlock,
  type Histogram,
  type HistogramBlock,
  partOf,
  type SampleBlock,
  type Series,
  type TextBlock,
  textAt
} from "../samples/Sample.ts"
import { MAX_KNOWN_BYTES, MAX_KNOWN_SERIES, METRIC_NAME } from "../samples/Series.ts"
import { formatTime } from "../text/formatTime.ts"
import { columnOf } from "./Columns.ts"
import { jsonLine, jsonText } from "./jsonLine.ts"
import type { LineBuffer } from "./LineBuffer.ts"
import { LineTemplate } from "./LineTemplate.ts"

/** The text around a record's data in a line. */
export interface LineFrame {
  /** Up to and without the opening brace of the data. */
  readonly before: string
  /** From after the closing brace of the data to the end of the line, line feed included. */
  readonly after: string
}

/** Which columns a stream's records may have. */
export interface RecordShape {
  /** The stream's name is the name of a metric, so the label `__name__` is not repeated. */
  readonly columns: ReadonlySet<string> | "all"
  /** One `labels` object instead of a column per label. */
  readonly labelsObject: boolean
  /** Labels that are left out, since their columns were deselected. */
  readonly deselected?: ReadonlySet<string>
}

/** The columns of a stream in a configured catalog. */
export interface Declared {
  readonly properties: ReadonlyArray<string>
  /** The labels that had a column when the stream was discovered; undefined where the catalog does not have that list. */
  readonly discoveredLabels: ReadonlyArray<string> | undefined
}

/**
 * The shape by a configured catalog: its columns and no others but `time` and `series_id`, which every record has. A catalog without
 * columns leaves the choice to the configuration.
 *
 * A label that was discovered, but has no column any more, was deselected; any other without a column appeared later. A
 * catalog without the list of discovered labels leaves that open, and then no label is lost.
 */
export const shapeOf = ({ discoveredLabels, properties }: Declared, labelColumns: boolean): RecordShape => {
  const columns = new Set(properties)
  if (columns.size === 0) return { columns: "all", labelsObject: !labelColumns }
  return {
    columns,
    labelsObject: columns.has("labels") && !columns.has("other_labels"),
    deselected: new Set(discoveredLabels?.filter((label) => !columns.has(columnOf(label) ?? label)))
  }
}

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const BEFORE_VALUE = bytesOf('","value":')

/** About how many bytes the lines of a part of a block have at most, unless a single line is longer. */
const PART_BYTES = 8 * 1024 * 1024

/** More labels than a table could have as columns are not cached. */
const MAX_KNOWN_LABELS = 10_000

/** Encodes the records of one stream. */
export class RecordEncoder {
  private readonly shape: RecordShape
  /** The columns of labels as the beginning of a member, `"column":`. */
  private readonly columnsByLabel = new Map<string, string | undefined>()
  private readonly dataBySeries = new Map<Series, Uint8Array>()
  private knownBytes = 0
  private readonly hasValue: boolean
  private frame: LineFrame = { before: "", after: "" }
  private frameBefore = bytesOf("")
  private frameAfter = bytesOf("")
  private series: Series | undefined
  /** The data before the time in the lines of the present series. */
  private data = bytesOf("")
  private template: LineTemplate | undefined

  constructor(shape: RecordShape) {
    this.shape = shape
    this.hasValue = this.hasColumn("value")
  }

  /** A block in parts whose lines fit into memory: mostly one part, but labels may be long. */
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

  /** Labels that have been written without a column of their own, in a stream that has columns for labels. */
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
    else this.encodeFloats(asTextBlock(block), out)
  }

  private turnTo(series: Series): void {
    if (series === this.series) return
    this.series = series
    this.data = this.dataOf(series)
    this.template = undefined
  }

  /** All windows of a stream have the same series; the first ones are cached. */
  private dataOf(series: Series): Uint8Array {
    let data = this.dataBySeries.get(series)
    if (data === undefined) {
      data = bytesOf(`{${this.seriesMembers(series)}"time":"`)
      if (this.dataBySeries.size < MAX_KNOWN_SERIES && this.knownBytes + data.length <= MAX_KNOWN_BYTES) {
        this.dataBySeries.set(series, data)
        this.knownBytes += data.length
      }
    }
    return data
  }

  private encodeFloats(block: TextBlock, out: LineBuffer): void {
    this.template ??= new LineTemplate([this.frameBefore, this.data], BEFORE_VALUE, this.frameAfter)
    const template = this.template
    for (let i = 0; i < block.length; i++) {
      if (this.hasValue) i = template.append(block, i, out)
      if (i < block.length) this.encodeFloat(block, i, out)
    }
  }

  /** Any float: special values, and values of lines that are not plain. */
  private encodeFloat(block: TextBlock, i: number, out: LineBuffer): void {
    const text = textAt(block, i)
    const members = /[Nf]$/.test(text)
      ? this.member("value", () => "null") + this.member("special_value", () => `"${text}"`)
      : this.member("value", () => text)
    this.appendLine(out, block.times[i]!, members)
  }

  private encodeHistograms(block: HistogramBlock, out: LineBuffer): void {
    for (const [i, histogram] of block.histograms.entries()) {
      this.appendLine(
        out,
        block.times[i]!,
        this.member("value", () => "null") + this.member("histogram", () => renderHistogram(histogram))
      )
    }
  }

  /** A line whose members after the time are text. */
  private appendLine(out: LineBuffer, time: number, members: string): void {
    out.append(this.frameBefore)
    out.append(this.data)
    out.append(bytesOf(`${formatTime(time)}"${members}`))
    out.append(this.frameAfter)
  }

  /** `,"name":json` if the stream has that column. */
  private member(column: string, json: () => string): string {
    return this.hasColumn(column) ? `,${jsonLine(column)}:${json()}` : ""
  }

  private hasColumn(column: string): boolean {
    return this.shape.columns === "all" || this.shape.columns.has(column)
  }

  /** The members that all records of a series have in common, each with a comma after it. */
  private seriesMembers({ id, labels }: Series): string {
    let out = `"series_id":"${id}",`
    const others: Array<string> = []
    for (const [name, value] of labels) {
      if (name === METRIC_NAME) continue
      const column = this.shape.labelsObject ? undefined : this.columnFor(name)
      if (column === undefined && this.isDeselected(name)) continue
      if (column === undefined) others.push(`${jsonText(name)}:${jsonText(value)}`)
      else out += `${column}${jsonText(value)},`
    }
    const rest = this.shape.labelsObject ? "labels" : "other_labels"
    if ((others.length === 0 && !this.shape.labelsObject) || !this.hasColumn(rest)) return out
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

/** As Prometheus itself writes it, numbers as strings: counts may exceed what JSON readers keep exactly. */
export const renderHistogram = ({ buckets, count, sum }: Histogram): string =>
  jsonLine({
    count,
    sum,
    ...(buckets.length === 0
      ? {}
      : { buckets: buckets.map((bucket) => [bucket.boundaries, bucket.lower, bucket.upper, bucket.count]) })
  })
