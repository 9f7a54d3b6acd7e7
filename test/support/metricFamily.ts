/**
 * Scraped metrics as protobuf, `io.prometheus.client.MetricFamily`: the only format that has native histograms with
 * exponential buckets.
 */
import { double, field, varint, zigzag } from "./remoteWrite.ts"

/** A native histogram of integers, whose positive buckets are without gaps from index `offset` on. */
export interface ScrapedHistogram {
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
}

/** A family of histograms by the value of its label `n`, preceded by its length. */
export const histogramFamily = (name: string, histograms: ReadonlyArray<ScrapedHistogram>): Buffer => {
  const message = Buffer.concat([
    field(1, Buffer.from(name)),
    field(2, Buffer.from("A native histogram.")),
    integer(3, 4),
    ...histograms.map((one, n) =>
      field(
        4,
        Buffer.concat([
          field(1, Buffer.concat([field(1, Buffer.from("n")), field(2, Buffer.from(`${n}`))])),
          field(7, histogram(one))
        ])
      )
    )
  ])
  return Buffer.concat([varint(message.length), message])
}

const histogram = (one: ScrapedHistogram): Buffer => {
  const { counts, negativeCounts = [] } = one
  const count = one.zeroCount + [...counts, ...negativeCounts].reduce((sum, n) => sum + n, 0)
  return Buffer.concat([
    integer(1, count),
    double(2, one.sum),
    tagged(5, zigzag(one.schema)),
    double(6, one.zeroThreshold),
    integer(7, one.zeroCount),
    ...(negativeCounts.length === 0 ? [] : buckets(9, one.negativeOffset ?? 0, negativeCounts)),
    ...buckets(12, one.offset, counts)
  ])
}

/** A span of buckets, and in the field after it the difference of each count to the one before. */
const buckets = (number: number, offset: number, counts: ReadonlyArray<number>): ReadonlyArray<Buffer> => [
  field(number, Buffer.concat([tagged(1, zigzag(offset)), integer(2, counts.length)])),
  field(number + 1, Buffer.concat(counts.map((count, i) => zigzag(count - (counts[i - 1] ?? 0)))))
]

const integer = (number: number, value: number): Buffer => tagged(number, varint(value))

const tagged = (number: number, content: Buffer): Buffer => Buffer.concat([varint(number << 3), content])
