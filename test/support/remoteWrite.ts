/**
 * Prometheus remote write, version 1: the way to send late samples and stale markers to a running server.
 *
 * A request is the protobuf message `WriteRequest` in snappy's block format. Both are encoded here without a library.
 */
import { type LabelsInput, labelPairs } from "./openMetrics.ts"

/** A native histogram, with buckets without gaps from index `offset` on. */
export interface NativeHistogram {
  readonly count: number
  readonly sum: number
  /** Each power of two is divided into 2^schema buckets. */
  readonly schema: number
  readonly zeroThreshold: number
  readonly zeroCount: number
  readonly offset: number
  readonly counts: ReadonlyArray<number>
  /** The same for negative values. */
  readonly negativeOffset?: number
  readonly negativeCounts?: ReadonlyArray<number>
  /** The upper bounds of custom buckets, instead of exponential ones. */
  readonly customBounds?: ReadonlyArray<number>
  /** All counts are integers, and are stored as such; floats by default. */
  readonly isInteger?: boolean
}

/** The schema of custom buckets. */
export const CUSTOM_BUCKETS = -53

/** A value to write; `"stale"` is the marker that ends a series. */
export type RemoteValue = number | "stale" | NativeHistogram

/** One series to write. */
export interface RemoteSeriesInput<Value extends RemoteValue = RemoteValue> {
  readonly labels: LabelsInput
  readonly samples: ReadonlyArray<readonly [timeMillis: number, value: Value]>
}

/** The headers that a remote write request needs. */
export const remoteWriteHeaders: Readonly<Record<string, string>> = {
  "Content-Type": "application/x-protobuf",
  "Content-Encoding": "snappy",
  "X-Prometheus-Remote-Write-Version": "0.1.0"
}

/** The body of a remote write request. */
export const remoteWriteBody = (series: Iterable<RemoteSeriesInput>): Uint8Array<ArrayBuffer> =>
  snappyLiteral(Buffer.concat([...series].map((one) => field(1, timeSeries(one)))))

const timeSeries = ({ labels, samples }: RemoteSeriesInput): Buffer =>
  Buffer.concat([
    // The server accepts labels only if they are sorted by name, in byte order.
    ...labelPairs(labels)
      .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .map(([name, value]) =>
        field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, Buffer.from(value))]))
      ),
    ...samples.map(([timeMillis, value]) =>
      typeof value === "object" ? field(4, histogram(timeMillis, value)) : field(2, sample(timeMillis, value))
    )
  ])

const histogram = (timeMillis: number, value: NativeHistogram): Buffer =>
  Buffer.concat([
    value.isInteger === true
      ? Buffer.concat([Buffer.of(1 << 3), varint(value.count)])
      : double(2, value.count),
    double(3, value.sum),
    Buffer.of(4 << 3),
    zigzag(value.schema),
    double(5, value.zeroThreshold),
    value.isInteger === true
      ? Buffer.concat([Buffer.of(6 << 3), varint(value.zeroCount)])
      : double(7, value.zeroCount),
    ...(value.negativeCounts === undefined
      ? []
      : [
          span(8, value.negativeOffset ?? 0, value.negativeCounts),
          value.isInteger === true ? deltas(9, value.negativeCounts) : floats(10, value.negativeCounts)
        ]),
    span(11, value.offset, value.counts),
    value.isInteger === true ? deltas(12, value.counts) : floats(13, value.counts),
    Buffer.of(15 << 3),
    varint(timeMillis),
    ...(value.customBounds === undefined ? [] : [floats(16, value.customBounds)])
  ])

/** Buckets without gaps, which a histogram has from an index on. */
const span = (number: number, offset: number, counts: ReadonlyArray<number>): Buffer =>
  field(number, Buffer.concat([Buffer.of(1 << 3), zigzag(offset), Buffer.of(2 << 3), varint(counts.length)]))

const floats = (number: number, values: ReadonlyArray<number>): Buffer =>
  field(number, Buffer.concat(values.map(float64)))

/** The difference of each count to the one before. */
const deltas = (number: number, counts: ReadonlyArray<number>): Buffer =>
  field(number, Buffer.concat(counts.map((count, i) => zigzag(count - (counts[i - 1] ?? 0)))))

export const double = (number: number, value: number): Buffer =>
  Buffer.concat([Buffer.of((number << 3) | 1), float64(value)])

export const zigzag = (value: number): Buffer => varint(value < 0 ? -2 * value - 1 : 2 * value)

/** Field 1 is the value as a fixed 64-bit float, field 2 the time as a varint. */
const sample = (timeMillis: number, value: number | "stale"): Buffer =>
  Buffer.concat([Buffer.of((1 << 3) | 1), float64(value), Buffer.of(2 << 3), varint(timeMillis)])

/** The stale marker is a special NaN. Its bits are written as an integer, because a number may lose them. */
const float64 = (value: number | "stale"): Buffer => {
  const bytes = Buffer.alloc(8)
  if (value === "stale") bytes.writeBigUInt64LE(0x7ff0000000000002n)
  else bytes.writeDoubleLE(value)
  return bytes
}

/** A field whose content is preceded by its length: a message or a string. */
export const field = (number: number, content: Buffer): Buffer =>
  Buffer.concat([varint((number << 3) | 2), varint(content.length), content])

/** Base 128, lowest digits first; a negative number is written as its 64-bit two's complement. */
export const varint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

/** Snappy without compression: the length, then everything as one literal with a four-byte length. */
const snappyLiteral = (content: Buffer): Uint8Array<ArrayBuffer> => {
  if (content.length === 0) return new Uint8Array(varint(0))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(content.length - 1)
  return new Uint8Array(Buffer.concat([varint(content.length), Buffer.of(63 << 2), length, content]))
}
