/** Times, strings and samples in the JSON that Prometheus writes, digit by digit. */
import { formatFloat64 } from "../samples/formatFloat64.ts"
import type { Histogram, Labels } from "../samples/Sample.ts"
import type { ResultSeries } from "./evaluate.ts"

/** A sample's time in seconds: an integer if it has no fraction, else three decimals. */
export const formatTime = (timeMillis: number): string =>
  timeMillis % 1000 === 0 ? String(timeMillis / 1000) : (timeMillis / 1000).toFixed(3)

const unsafeInHtml = /[<>&\u2028\u2029]/g

/** JSON as Go writes it, which escapes what HTML could misread. */
export const formatJson = (value: unknown): string =>
  JSON.stringify(value).replace(unsafeInHtml, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** A JSON string as Go writes it. */
export const formatString = (text: string): string => formatJson(text)

/** Labels as a JSON object. */
export const formatLabels = (labels: Labels): string =>
  `{${labels.map(([name, value]) => `${formatString(name)}:${formatString(value)}`).join(",")}}`

/** A native histogram as a JSON object; `buckets` is absent when there are none. */
export const formatHistogram = (histogram: Histogram): string => {
  const buckets = histogram.buckets.map((b) => `[${b.boundaries},"${b.lower}","${b.upper}","${b.count}"]`)
  const tail = buckets.length === 0 ? "" : `,"buckets":[${buckets.join(",")}]`
  return `{"count":"${histogram.count}","sum":"${histogram.sum}"${tail}}`
}

const formatPoint = (timeMillis: number, value: number | Histogram): string => {
  const text = typeof value === "number" ? `"${formatFloat64(value)}"` : formatHistogram(value)
  return `[${formatTime(timeMillis)},${text}]`
}

/** One series of a range query: floats under `values`, native histograms under `histograms`, both or either. */
export const formatMatrixSeries = ({ labels, times, values }: ResultSeries): string => {
  const floats: Array<string> = []
  const histograms: Array<string> = []
  for (const [i, value] of values.entries()) {
    const points = typeof value === "number" ? floats : histograms
    points.push(formatPoint(times[i]!, value))
  }
  const parts = [`"metric":${formatLabels(labels)}`]
  if (floats.length > 0) parts.push(`"values":[${floats.join(",")}]`)
  if (histograms.length > 0) parts.push(`"histograms":[${histograms.join(",")}]`)
  return `{${parts.join(",")}}`
}

/** One series of an instant query, which has one point. */
export const formatVectorSample = ({ labels, times, values }: ResultSeries): string => {
  const key = typeof values[0] === "number" ? "value" : "histogram"
  return `{"metric":${formatLabels(labels)},"${key}":${formatPoint(times[0]!, values[0]!)}}`
}
