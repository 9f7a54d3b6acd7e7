/** A slow and obvious decoder of responses to range queries, to compare the real one with. */
import type { Envelope } from "../../../src/prometheus/query/ResponseDecoder.ts"
import type { Histogram, Labels, SampleBlock } from "../../../src/samples/Sample.ts"
import { textAt } from "../../../src/samples/Sample.ts"

/** One sample, as both decoders return it. */
export interface PlainSample {
  /** The index of its series among those that have samples. */
  readonly series: number
  readonly labels: Labels
  readonly time: number
  /** A float in the server's digits, or a histogram. */
  readonly value: string | Histogram
}

/** The content of a response. */
export interface PlainResponse {
  readonly samples: ReadonlyArray<PlainSample>
  readonly envelope: Envelope
}

/** The body is not a response. */
export class ReferenceError extends Error {}

type Json = null | boolean | number | string | Array<Json> | { [key: string]: Json }

const fail = (what: string): never => {
  throw new ReferenceError(what)
}

const isObject = (json: Json | undefined): json is { [key: string]: Json } =>
  typeof json === "object" && json !== null && !Array.isArray(json)

const stringOr = (json: Json | undefined): string | undefined => (typeof json === "string" ? json : undefined)

const listOrNull = (json: Json): Array<Json> =>
  json === null ? [] : Array.isArray(json) ? json : fail("not a list")

const parse = (text: string): Json => {
  try {
    return JSON.parse(text)
  } catch {
    return fail("not JSON")
  }
}

/** The text of a number, or of one of three others, which have other spellings too. */
const numberText = (json: Json | undefined): string => {
  // `JSON.parse` does not keep the digits of a JSON number.
  if (typeof json !== "string") return fail("a number that is not a string")
  if (/^[+-]?nan$/i.test(json)) return "NaN"
  if (/^[+-]?inf(inity)?$/i.test(json)) return json.startsWith("-") ? "-Inf" : "+Inf"
  return typeof parse(json) === "number" && json.trim() === json ? json : fail("not a number")
}

const timeOf = (json: Json | undefined): number =>
  typeof json === "number" ? Math.round(json * 1000) : fail("not a time")

const histogramOf = (json: Json | undefined): Histogram => {
  if (!isObject(json)) return fail("not a histogram")
  const buckets = Object.hasOwn(json, "buckets") ? json.buckets : []
  if (!Array.isArray(buckets)) return fail("no buckets")
  return {
    count: numberText(json.count),
    sum: numberText(json.sum),
    buckets: buckets.map((bucket) => {
      if (!Array.isArray(bucket) || bucket.length !== 4) return fail("no bucket")
      const [boundaries, lower, upper, count] = bucket
      if (typeof boundaries !== "number" || ![0, 1, 2, 3].includes(boundaries)) return fail("no boundaries")
      return {
        boundaries,
        lower: numberText(lower),
        upper: numberText(upper),
        count: numberText(count)
      }
    })
  }
}

const labelsOf = (json: Json | undefined): Labels => {
  if (!isObject(json)) return fail("no metric")
  return Object.entries(json)
    .map(([name, value]) => [name, typeof value === "string" ? value : fail("a label is no string")] as const)
    .map((label) => (label.every((text) => text.isWellFormed()) ? label : fail("half of a surrogate pair")))
    .filter(([, value]) => value !== "")
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

/** Decodes a complete body; throws a `ReferenceError`. It does not support duplicate keys. */
export const referenceDecode = (bytes: Uint8Array): PlainResponse => {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return fail("not UTF-8")
  }
  const body = parse(text)
  if (!isObject(body)) return fail("not an object")
  const status = stringOr(body.status) ?? fail("no status")
  const data = isObject(body.data) ? body.data : {}
  if (status === "success" && !Object.hasOwn(data, "result")) return fail("no result")
  if (typeof data.resultType === "string" && data.resultType !== "matrix") return fail("not a matrix")

  const samples: Array<PlainSample> = []
  const all = listOrNull(data.result ?? null)
  let withSamples = 0
  for (const series of all) {
    if (!isObject(series)) return fail("a series that is no object")
    const labels = labelsOf(series.metric)
    const before = samples.length
    for (const [key, list] of Object.entries(series)) {
      if (key !== "values" && key !== "histograms") continue
      for (const sample of listOrNull(list)) {
        if (!Array.isArray(sample) || sample.length !== 2) return fail("not a sample")
        const [time, value] = sample
        samples.push({
          series: withSamples,
          labels,
          time: timeOf(time),
          value: key === "values" ? numberText(value) : histogramOf(value)
        })
      }
    }
    if (samples.length > before) withSamples++
  }
  return {
    samples,
    envelope: {
      status,
      errorType: stringOr(body.errorType),
      error: stringOr(body.error),
      warnings: listOrNull(
        typeof body.warnings === "string"
          ? [body.warnings]
          : Array.isArray(body.warnings)
            ? body.warnings
            : null
      ).flatMap((item) => (typeof item === "string" && item !== "" ? [item] : [])),
      signs: body.isPartial === true ? ["isPartial is true"] : [],
      isEmpty: all.length === 0
    }
  }
}

/** Turns blocks into plain samples. Series are distinguished by object identity. */
export const plainSamples = (blocks: Iterable<SampleBlock>): ReadonlyArray<PlainSample> => {
  const series = new Map<object, number>()
  const samples: Array<PlainSample> = []
  for (const block of blocks) {
    if (!series.has(block.series)) series.set(block.series, series.size)
    const common = { series: series.get(block.series)!, labels: block.series.labels }
    for (let i = 0; i < block.length; i++) {
      const value = block._tag === "HistogramBlock" ? block.histograms[i]! : textAt(block, i)
      samples.push({ ...common, time: block.times[i]!, value })
    }
  }
  return samples
}
