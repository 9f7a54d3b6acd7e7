/** Numbers, times and strings in the JSON that Prometheus writes, digit by digit. */
import type { Histogram, Labels } from "../samples/Sample.ts"
import type { MockValue } from "./MockSeries.ts"

/**
 * A sample's value as Go's `strconv.FormatFloat` prints it for Prometheus: the shortest digits that give the
 * same float, with an exponent of at least two digits when |value| < 1e-6 or ≥ 1e21.
 */
export const formatValue = (value: number): string => {
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  if (value === Number.NEGATIVE_INFINITY) return "-Inf"
  if (Object.is(value, -0)) return "-0"
  const text = String(value)
  // JavaScript has the same digits and the same thresholds; only a one-digit exponent differs.
  return text.length > 3 && text.charAt(text.length - 3) === "e"
    ? `${text.slice(0, -1)}0${text.slice(-1)}`
    : text
}

/** A sample's time in seconds: an integer when whole, else three decimals. */
export const formatTime = (timeMs: number): string => {
  const fraction = Math.abs(timeMs % 1000)
  if (fraction === 0) return String(timeMs / 1000)
  const sign = timeMs < 0 ? "-" : ""
  return `${sign}${Math.trunc(Math.abs(timeMs) / 1000)}.${String(fraction).padStart(3, "0")}`
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
    if (typeof value === "number") floats += `${floats === "" ? "" : ","}[${time},"${formatValue(value)}"]`
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
export const formatVectorSample = (labels: Labels, timeMs: number, value: number | Histogram): string =>
  typeof value === "number"
    ? `{"metric":${formatLabels(labels)},"value":[${formatTime(timeMs)},"${formatValue(value)}"]}`
    : `{"metric":${formatLabels(labels)},"histogram":[${formatTime(timeMs)},${formatHistogram(value)}]}`
