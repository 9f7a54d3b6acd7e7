/** Remote read over a mock database: the stored samples of series, as chunks or as samples. */
import { Result } from "effect"
import { crc32c } from "../prometheus/remoteRead/crc32c.ts"
import { integer, message, varint } from "../prometheus/remoteRead/protobufWriter.ts"
import { RemoteReadError } from "../prometheus/remoteRead/RemoteReadError.ts"
import { snappyLiteral } from "../prometheus/remoteRead/snappy.ts"
import type { Matcher } from "../promql/Matcher.ts"
import type { Histogram, Labels } from "../samples/Sample.ts"
import { canonicalLabels } from "../samples/Series.ts"
import { type ApiContext, type ApiResponse, plain } from "./api.ts"
import { compile, select } from "./evaluate.ts"
import { type FloatValue, floatChunk, valueBits } from "./floatChunk.ts"
import { histogramChunk, type StoredSide, storedHistogram } from "./histogramChunk.ts"
import type { MockRequest } from "./http.ts"
import type { MockSeries, MockValue } from "./MockSeries.ts"
import { parseReadRequest, type ReadQuery, type ReadRequest } from "./readRequest.ts"

const SAMPLES = 0
const CHUNKS = 1

const CHUNK_SAMPLES = 120
const FLOATS = 1
const FLOAT_HISTOGRAMS = 3

/** A frame ends with the chunk that reaches this. */
const FRAME_BYTES = 1024 * 1024

/** The response to a remote read. */
export const remoteRead = (context: ApiContext, { body, method }: MockRequest): ApiResponse => {
  if (method === "OPTIONS") return { status: 204, headers: {}, body: [] }
  if (method !== "POST") return plain(405, "Method Not Allowed", { allow: "OPTIONS, POST" })
  const request = Result.try({ try: () => parseReadRequest(body), catch: (error) => error })
  if (Result.isFailure(request)) {
    if (!(request.failure instanceof RemoteReadError)) throw request.failure
    return plain(400, request.failure.message)
  }
  const type = typeOf(request.success)
  if (type === undefined) return plain(400, "server does not support any of the requested response types")
  const results: Array<Iterable<MockSeries>> = []
  for (const query of request.success.queries) {
    const found = seriesOf(context, query)
    if (Result.isFailure(found)) return plain(500, found.failure)
    results.push(found.success)
  }
  return type === CHUNKS
    ? {
        status: 200,
        headers: { "content-type": "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse" },
        body: frames(results)
      }
    : {
        status: 200,
        headers: { "content-type": "application/x-protobuf", "content-encoding": "snappy" },
        body: [snappyLiteral(samplesResponse(results, context.release >= 3000))]
      }
}

const typeOf = ({ accepted }: ReadRequest): number | undefined =>
  accepted.length === 0 ? SAMPLES : accepted.find((type) => type === SAMPLES || type === CHUNKS)

/** The series that have samples in the range, cut to it, with the external labels. */
const seriesOf = (
  { database, evaluation, externalLabels, release }: ApiContext,
  { endMillis, matchers, startMillis }: ReadQuery
): Result.Result<ReadonlyArray<MockSeries>, string> =>
  Result.map(compile("", withoutExternal(matchers, externalLabels), release >= 3000), (selector) => {
    const until = Math.min(endMillis, evaluation.untilMillis)
    return select(database, selector).flatMap(({ labels, times, values }) => {
      const from = times.findIndex((time) => time >= startMillis)
      const after = times.findIndex((time) => time > until)
      const to = after < 0 ? times.length : after
      return from < 0 || from >= to
        ? []
        : [
            {
              labels: withExternal(labels, externalLabels),
              times: times.subarray(from, to),
              values: values.slice(from, to)
            }
          ]
    })
  })

/** Stored series do not have the external labels: a server looks for series without such a label instead. */
const withoutExternal = (matchers: ReadonlyArray<Matcher>, external: Labels): ReadonlyArray<Matcher> =>
  matchers.map((matcher) => {
    const { label, operator, value } = matcher
    const isExternal = operator === "=" && external.some(([name, own]) => name === label && own === value)
    return isExternal ? { label, operator, value: "" } : matcher
  })

/** A series' own label wins. */
const withExternal = (labels: Labels, external: Labels): Labels =>
  external.length === 0 ? labels : canonicalLabels(new Map([...external, ...labels]))

const labelMessages = (labels: Labels): ReadonlyArray<Buffer> =>
  labels.map(([name, value]) =>
    message(1, Buffer.concat([message(1, Buffer.from(name)), message(2, Buffer.from(value))]))
  )

// ---- chunks ---------------------------------------------------------------------------------------------

/** Samples of one kind. */
type Run =
  | { readonly times: ReadonlyArray<number>; readonly floats: ReadonlyArray<FloatValue> }
  | { readonly time: number; readonly histogram: Histogram }

const isFloat = (value: MockValue): value is FloatValue => typeof value !== "object"

/** The samples of a series as chunks: up to 120 floats, or one histogram. */
function* runs({ times, values }: MockSeries): Generator<Run> {
  for (let i = 0; i < values.length; ) {
    const histogram = values[i]!
    if (!isFloat(histogram)) {
      yield { time: times[i++]!, histogram }
      continue
    }
    const floats: Array<FloatValue> = []
    const from = i
    for (; i < values.length && floats.length < CHUNK_SAMPLES; i++) {
      const value = values[i]!
      if (!isFloat(value)) break
      floats.push(value)
    }
    yield { times: [...times.subarray(from, i)], floats }
  }
}

const chunkMessage = (run: Run): Buffer => {
  const [first, last] = "floats" in run ? [run.times[0]!, run.times.at(-1)!] : [run.time, run.time]
  const [encoding, data] =
    "floats" in run
      ? [FLOATS, floatChunk(run.times, run.floats)]
      : [FLOAT_HISTOGRAMS, histogramChunk(run.time, run.histogram)]
  return message(
    2,
    Buffer.concat([integer(1, first), integer(2, last), integer(3, encoding), message(4, data)])
  )
}

/** The frames of a streamed response, each with chunks of one series. */
function* frames(results: ReadonlyArray<Iterable<MockSeries>>): Generator<Uint8Array> {
  for (const [index, result] of results.entries()) {
    for (const series of result) {
      const labels = labelMessages(series.labels)
      let chunks: Array<Buffer> = []
      let bytes = 0
      for (const run of runs(series)) {
        const chunk = chunkMessage(run)
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes < FRAME_BYTES) continue
        yield frame([...labels, ...chunks], index)
        chunks = []
        bytes = 0
      }
      if (chunks.length > 0) yield frame([...labels, ...chunks], index)
    }
  }
}

const frame = (series: ReadonlyArray<Buffer>, queryIndex: number): Uint8Array => {
  const content = Buffer.concat([message(1, Buffer.concat(series)), integer(2, queryIndex)])
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32c(content))
  return Buffer.concat([varint(content.length), checksum, content])
}

// ---- samples --------------------------------------------------------------------------------------------

/** All samples in one message. In version 2, a series ends before its first native histogram. */
const samplesResponse = (results: ReadonlyArray<Iterable<MockSeries>>, hasHistograms: boolean): Buffer =>
  Buffer.concat(
    results.map((result) =>
      message(
        1,
        Buffer.concat(
          Array.from(result, ({ labels, times, values }) => {
            const floats: Array<Buffer> = []
            const histograms: Array<Buffer> = []
            for (const [i, value] of values.entries()) {
              if (isFloat(value)) floats.push(sampleMessage(times[i]!, value))
              else if (!hasHistograms) break
              else histograms.push(histogramMessage(times[i]!, value))
            }
            return message(1, Buffer.concat([...labelMessages(labels), ...floats, ...histograms]))
          })
        )
      )
    )
  )

const sampleMessage = (time: number, value: FloatValue): Buffer =>
  // A zero is left out, and with it its sign.
  message(2, Buffer.concat([...(value === 0 ? [] : [double(1, valueBits(value))]), integer(2, time)]))

const histogramMessage = (time: number, histogram: Histogram): Buffer => {
  const stored = storedHistogram(histogram)
  return message(
    4,
    Buffer.concat([
      float(2, stored.count),
      float(3, stored.sum),
      Buffer.concat([varint(4 << 3), zigzag(stored.schema)]),
      float(5, stored.zeroThreshold),
      float(7, stored.zeroCount),
      ...sideMessages(8, stored.negative),
      ...sideMessages(11, stored.positive),
      integer(15, time),
      packed(16, stored.customBounds)
    ])
  )
}

/** The spans, and two fields later the counts. */
const sideMessages = (field: number, { counts, spans }: StoredSide): ReadonlyArray<Buffer> => [
  ...spans.map(({ length, offset }) =>
    message(field, Buffer.concat([varint(1 << 3), zigzag(offset), integer(2, length)]))
  ),
  packed(field + 2, counts)
]

const double = (field: number, bits: bigint): Buffer => {
  const bytes = Buffer.alloc(9)
  bytes[0] = (field << 3) | 1
  bytes.writeBigUInt64LE(bits, 1)
  return bytes
}

const float = (field: number, value: number): Buffer => double(field, valueBits(value))

const packed = (field: number, values: ReadonlyArray<number>): Buffer =>
  message(field, Buffer.from(Float64Array.from(values).buffer))

const zigzag = (value: number): Buffer => varint(value < 0 ? -2 * value - 1 : 2 * value)
