/**
 * Turns blocks of samples into lines of JSON, one record a line.
 *
 * All that a series' records have in common is rendered once per series; per sample only the time is written
 * and the bytes of the value are copied, so that a value's digits are those that the server sent.
 */
import type { FloatBlock, Histogram, HistogramBlock, SampleBlock, Series } from "../prometheus/Sample.ts"
import { METRIC_NAME } from "../prometheus/Series.ts"
import type { ByteBuffer } from "./ByteBuffer.ts"
import { columnOf } from "./Columns.ts"
import { jsonLine } from "./jsonLine.ts"
import { MAX_TIME_BYTES, TimeText } from "./TimeText.ts"

/** What stands around a record's data in a line. */
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
}

/**
 * The shape that a configured catalog asks for: its own columns and no others but `time` and `series_id`, without
 * which a record would be none. A catalog without columns leaves the choice to the configuration.
 */
export const shapeOf = (properties: ReadonlyArray<string>, labelColumns: boolean): RecordShape => {
  const columns = new Set(properties)
  if (columns.size === 0) return { columns: "all", labelsObject: !labelColumns }
  return { columns, labelsObject: columns.has("labels") && !columns.has("other_labels") }
}

const TIME_KEY = '"time":"'
const VALUE_KEY = Buffer.from('","value":')

/** Encodes the records of one stream. */
export class RecordEncoder {
  private readonly shape: RecordShape
  private readonly times = new TimeText()
  private readonly columnsByLabel = new Map<string, string | undefined>()
  private frame: LineFrame = { before: "", after: "" }
  private head: Uint8Array = new Uint8Array(0)
  private series: Series | undefined
  private tailText = ""
  private tail: Uint8Array = new Uint8Array(0)

  constructor(shape: RecordShape) {
    this.shape = shape
  }

  /** Appends one line per sample to `out`. */
  encode(block: SampleBlock, frame: LineFrame, out: ByteBuffer): void {
    if (frame !== this.frame) {
      this.frame = frame
      this.head = Buffer.from(`${frame.before}{${TIME_KEY}`)
      this.series = undefined
    }
    if (block.series !== this.series) {
      this.series = block.series
      this.tailText = `${this.seriesMembers(block.series)}}${frame.after}`
      this.tail = Buffer.from(this.tailText)
    }
    if (block._tag === "FloatBlock") this.encodeFloats(block, out)
    else this.encodeHistograms(block, out)
  }

  private encodeFloats(block: FloatBlock, out: ByteBuffer): void {
    const { head, tail, times } = this
    const { bytes, ends, length, starts } = block
    const hasValue = this.hasColumn("value")
    const fixed = head.length + MAX_TIME_BYTES + VALUE_KEY.length + tail.length
    for (let i = 0; i < length; i++) {
      const start = starts[i]!
      const end = ends[i]!
      const last = bytes[end - 1]!
      // A number ends with a digit, `NaN` and `Inf` with a letter.
      const isSpecial = last > 0x39
      if (isSpecial || !hasValue) {
        const special = isSpecial ? this.member("special_value", () => quoteBytes(bytes, start, end)) : ""
        this.appendLine(out, block.times[i]!, this.member("value", () => "null") + special)
        continue
      }
      out.reserve(fixed + end - start)
      const target = out.bytes
      let at = out.length
      target.set(head, at)
      at = times.write(target, at + head.length, block.times[i]!)
      target.set(VALUE_KEY, at)
      at += VALUE_KEY.length
      for (let j = start; j < end; j++) target[at++] = bytes[j]!
      target.set(tail, at)
      out.length = at + tail.length
    }
  }

  private encodeHistograms(block: HistogramBlock, out: ByteBuffer): void {
    for (const [i, histogram] of block.histograms.entries()) {
      this.appendLine(
        out,
        block.times[i]!,
        this.member("value", () => "null") + this.member("histogram", () => renderHistogram(histogram))
      )
    }
  }

  /** The unhurried way: a line whose members after the time are text. */
  private appendLine(out: ByteBuffer, time: number, members: string): void {
    const rest = Buffer.from(`"${members}${this.tailText}`)
    out.reserve(this.head.length + MAX_TIME_BYTES + rest.length)
    out.bytes.set(this.head, out.length)
    out.length = this.times.write(out.bytes, out.length + this.head.length, time)
    out.append(rest)
  }

  /** `,"name":json` if the stream has that column. */
  private member(column: string, json: () => string): string {
    return this.hasColumn(column) ? `,${jsonLine(column)}:${json()}` : ""
  }

  private hasColumn(column: string): boolean {
    return this.shape.columns === "all" || this.shape.columns.has(column)
  }

  private seriesMembers({ id, labels }: Series): string {
    let out = `,"series_id":"${id}"`
    const others: Array<string> = []
    for (const [name, value] of labels) {
      if (name === METRIC_NAME) continue
      const column = this.shape.labelsObject ? undefined : this.columnFor(name)
      if (column === undefined) others.push(`${jsonLine(name)}:${jsonLine(value)}`)
      else out += `,${jsonLine(column)}:${jsonLine(value)}`
    }
    if (this.shape.labelsObject) return `${out}${this.member("labels", () => `{${others.join(",")}}`)}`
    return others.length === 0 ? out : `${out}${this.member("other_labels", () => `{${others.join(",")}}`)}`
  }

  private columnFor(label: string): string | undefined {
    if (this.columnsByLabel.has(label)) return this.columnsByLabel.get(label)
    const wanted = columnOf(label)
    const column = wanted !== undefined && this.hasColumn(wanted) ? wanted : undefined
    this.columnsByLabel.set(label, column)
    return column
  }
}

const quoteBytes = (bytes: Uint8Array, start: number, end: number): string =>
  `"${Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1")}"`

/** As Prometheus itself writes it, numbers as strings: counts may exceed what JSON readers keep exactly. */
const renderHistogram = ({ buckets, count, sum }: Histogram): string =>
  jsonLine({
    count,
    sum,
    ...(buckets.length === 0
      ? {}
      : { buckets: buckets.map((bucket) => [bucket.boundaries, bucket.lower, bucket.upper, bucket.count]) })
  })
