/** Times, strings and samples in the JSON that Prometheus writes, digit by digit. */
import { formatFloat64 } from "../samples/formatFloat64.ts"
import type { Histogram, Labels } from "../samples/Sample.ts"
import type { MockValue } from "./MockSeries.ts"

/** A sample's time in seconds: an integer if it has no fraction, else three decimals. */
export const formatTime = (timeMillis: number): string => {
  const fraction = Math.abs(timeMillis % 1000)
  if (fraction === 0) return String(timeMillis / 1000)
  const sign = timeMillis < 0 ? "-" : ""
  return `${sign}${Math.trunc(Math.abs(timeMillis) / 1000)}.${String(fraction).padStart(3, "0")}`
}

const unsafeInHtml = /[<>&\u2028\u2029]/g

/** A JSON string as Go writes it, which escapes what HTML could misread. */
export const formatString = (text: string): string =>
  JSON.stringify(text).replace(unsafeInHtml, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Labels as a JSON object. */
export const formatLabels = (labels: Labels): string =>
  `{${labels.map(([name, value]) => `${formatString(name)}:${formatString(value)}`).join(",")}}`

/** A native histogram as a JSON object; `buckets` is absent when there are none. */
export const formatHistogram = (histogram: Histogram): string => {
  const buckets = histogram.buckets.map((b) => `[${b.boundaries},"${b.lower}","${b.upper}","${b.count}"]`)
  const tail = buckets.length === 0 ? "" : `,"buckets":[${buckets.join(",")}]`
  return `{"count":"${histogram.count}","sum":"${histogram.sum}"${tail}}`
}

/** One series of a range query: floats under `values`, native histograms under `histograms`, both or either. */
export const formatMatrixSeries = (
  labels: Labels,
  times: ReadonlyArray<number>,
  values: ReadonlyArray<MockValue>
): string => {
  let floats = ""
  let histograms = ""
  for (let i = 0; i < times.length; i++) {
    const value = values[i]!
    const time = formatTime(times[i]!)
    if (typeof value === "number") floats += `${floats === "" ? "" : ","}[${time},"${formatFloat64(value)}"]`
    else if (value !== "stale") {
      histograms += `${histograms === "" ? "" : ","}[${time},${formatHistogram(value)}]`
    }
  }
  const parts = [`"metric":${formatLabels(labels)}`]
  if (floats !== "") parts.push(`"values":[${floats}]`)
  if (histograms !== "") parts.push(`"histograms":[${histograms}]`)
  return `{${parts.join(",")}}`
}

/** One series of an instant query. */
export const formatVectorSample = (labels: Labels, timeMillis: number, value: number | Histogram): string =>
  typeof value === "number"
    ? `{"metric":${formatLabels(labels)},"value":[${formatTime(timeMillis)},"${formatFloat64(value)}"]}`
    : `{"metric":${formatLabels(labels)},"histogram":[${formatTime(timeMillis)},${formatHistogram(value)}]}`
