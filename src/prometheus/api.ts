/**
 * The endpoints of Prometheus' HTTP API. Each has two pure halves: one makes the request, one decodes the response.
 *
 * Times are milliseconds everywhere else; here they become the API's seconds.
 */
import { Result, Schema } from "effect"
import { type Headers, UrlParams } from "effect/http"
import { escapeName } from "../promql/escapeName.ts"
import { hasLabel, type Matcher, render } from "../promql/Matcher.ts"
import { METRIC_NAME, type SeriesCache } from "../samples/Series.ts"
import { beginning, endSentence, excerptLine } from "../text/excerpt.ts"
import type { Bounds } from "./http/BoundedText.ts"
import { parseHttpDate } from "./http/httpDate.ts"
import type { ApiRequest } from "./http/transport.ts"
import { MetricMetadata } from "./Metadata.ts"
import { PrometheusError } from "./PrometheusError.ts"
import { isNumber } from "./query/jsonBytes.ts"
import { type Envelope, isAboutQuery } from "./query/ResponseDecoder.ts"
import { fromRefusal } from "./refusal.ts"
import type { ClockReading } from "./serverClock.ts"

/** A closed range of time, in milliseconds since the epoch. For lists of names, an infinite end is none. */
export interface TimeRange {
  readonly startMillis: number
  readonly endMillis: number
}

/** A range query: points at start, start + step, … up to and including end, in milliseconds. */
export interface RangeQuery extends TimeRange {
  readonly query: string
  readonly stepMillis: number
  /** How old the sample of a point may be, instead of the server's look-back. Some servers ignore this. */
  readonly lookbackMillis?: number
  /** The series of earlier responses to the same query. */
  readonly series?: SeriesCache
}

/** What decoding needs besides the response. */
export interface ResponseContext {
  /** The address of the request, without parameters, for messages. */
  readonly address: string
  /** Masks secrets in a server's text. */
  readonly mask: (text: string) => string
}

/** An endpoint with a small response, which is parsed at once. */
export interface Endpoint<A> {
  readonly request: ApiRequest
  readonly bounds: Bounds
  /** Decodes the text of a successful response. */
  readonly decode: (
    text: string,
    headers: Headers.Headers,
    context: ResponseContext
  ) => Result.Result<A, PrometheusError>
}

// ---- requests -------------------------------------------------------------------------------------------

/** Longer parameters go into a form: servers and proxies limit the length of an address. */
const MAX_QUERY_CHARACTERS = 4000

const apiRequest = (path: string, params: ApiRequest["params"], takesForm = true): ApiRequest => {
  const isLong = takesForm && UrlParams.toString(UrlParams.fromInput(params)).length > MAX_QUERY_CHARACTERS
  return { method: isLong ? "POST" : "GET", path, params }
}

const DAY_MILLIS = 86_400_000

/**
 * VictoriaMetrics has an index per day, and does not search the index of a range's last millisecond. If the range ends at
 * midnight, it misses series that start at midnight. One more millisecond includes them, and adds no point to a grid of
 * seconds.
 */
const rangeParams = ({
  endMillis,
  startMillis
}: TimeRange): { readonly start: string; readonly end?: string } => ({
  start: String(startMillis / 1000),
  ...(endMillis === Number.POSITIVE_INFINITY
    ? {}
    : { end: String((endMillis % DAY_MILLIS === 0 ? endMillis + 1 : endMillis) / 1000) })
})

/** The matchers that select series: those of the request, and those of the configured selector. */
export interface Selection {
  readonly matchers?: ReadonlyArray<Matcher> | undefined
  readonly selector: ReadonlyArray<Matcher>
}

/** The parameters that select series in a range. Without `match[]`, they select all. */
const seriesParams = (range: TimeRange, { matchers = [], selector }: Selection): ApiRequest["params"] => {
  if (matchers.length === 0 && selector.length === 0) return rangeParams(range)
  // Servers refuse a selector whose matchers all match the empty string.
  const first = matchers.length === 0 ? [hasLabel(METRIC_NAME)] : matchers
  return { ...rangeParams(range), "match[]": render([...first, ...selector]) }
}

/**
 * By default, Thanos and VictoriaMetrics' cluster return partial data, and its gaps look like gaps in the metrics.
 * VictoriaMetrics also responds from a cache, which lacks late samples. Prometheus ignores unknown parameters.
 */
const exactnessParams = {
  partial_response: "false",
  dedup: "true",
  max_source_resolution: "0s",
  deny_partial_response: "1",
  nocache: "1"
}

/**
 * A range query. The server's timeout is a little shorter than the client's, so that the server can report that it was too
 * slow.
 */
export const rangeRequest = (query: RangeQuery, timeoutMillis: number): ApiRequest =>
  apiRequest("/api/v1/query_range", {
    query: query.query,
    ...rangeParams(query),
    step: String(query.stepMillis / 1000),
    timeout: String((timeoutMillis / 1000) * 0.9),
    ...(query.lookbackMillis === undefined ? {} : { lookback_delta: String(query.lookbackMillis / 1000) }),
    ...exactnessParams
  })

// ---- responses ------------------------------------------------------------------------------------------

const MEBIBYTE = 1024 * 1024

const endpoint = <D, A>(
  request: ApiRequest,
  bounds: Bounds,
  data: Schema.Decoder<D>,
  meaning: (data: D, headers: Headers.Headers) => A
): Endpoint<A> => {
  const decode = Schema.decodeUnknownOption(Schema.Struct({ status: Schema.Literal("success"), data }))
  return {
    request,
    bounds,
    decode: (text, headers, { address, mask }) => {
      const unusable = (reason: "BrokenResponse" | "NotPrometheus") => () =>
        new PrometheusError({
          reason,
          summary: `The response from ${address} is not a Prometheus response: ${beginning(mask(beginning(text)), 100)}`
        })
      return Result.try({ try: (): unknown => JSON.parse(text), catch: unusable("BrokenResponse") }).pipe(
        Result.flatMap((json) => Result.fromOption(decode(json), unusable("NotPrometheus"))),
        Result.map(({ data }) => meaning(data, headers))
      )
    }
  }
}

/** JavaScript also reads `""`, `" 5"` and `"0x69"` as numbers. */
const DecimalText = Schema.String.check(
  Schema.makeFilter((text: string) => text.length <= 40 && isNumber(text))
)

/** In seconds. A time outside 1970 to 9999 would make ranges endless. */
const ServerTime = DecimalText.pipe(
  Schema.decodeTo(Schema.FiniteFromString),
  Schema.check(Schema.isGreaterThanOrEqualTo(0), Schema.isLessThan(Date.UTC(10_000, 0) / 1000))
)

const InstantSample = Schema.Tuple([Schema.Number, ServerTime])

/** `time()` is a scalar; VictoriaMetrics returns a vector of one series. */
const TimeData = Schema.Struct({
  result: Schema.Union([InstantSample, Schema.Tuple([Schema.Struct({ value: InstantSample })])])
})

/** The server's time, in milliseconds, and the `Date` of the response. */
export const serverTime: Endpoint<Omit<ClockReading, "ownMillis">> = endpoint(
  apiRequest("/api/v1/query", { query: "time()" }),
  { bytes: 64 * 1024, depth: 16, containers: 1000 },
  TimeData,
  ({ result }, headers) => {
    const [, seconds] = result.length === 1 ? result[0].value : result
    return { serverMillis: Math.round(seconds * 1000), dateMillis: parseHttpDate(headers.date) }
  }
)

/** About a million names, more if they are short. */
const namesBounds: Bounds = { bytes: 64 * MEBIBYTE, depth: 16, containers: 1000 }

/** Some servers merge the names of several others and repeat some. An empty name is no name. */
const names = (request: ApiRequest, excluded?: string): Endpoint<ReadonlyArray<string>> =>
  endpoint(request, namesBounds, Schema.Array(Schema.String), (data) => {
    const names = new Set(data)
    names.delete("")
    if (excluded !== undefined) names.delete(excluded)
    return [...names]
  })

/** The values of a label of the selected series. Prometheus does not accept a form here. */
export const labelValues = (label: string, range: TimeRange, selection: Selection) =>
  names(apiRequest(`/api/v1/label/${escapeName(label)}/values`, seriesParams(range, selection), false))

/** The label names of those series, without `__name__`. */
export const labelNames = (range: TimeRange, selection: Selection) =>
  names(apiRequest("/api/v1/labels", seriesParams(range, selection)), METRIC_NAME)

/** Type, help and unit by metric family: the first entry of each. */
export const metadata: Endpoint<ReadonlyMap<string, MetricMetadata>> = endpoint(
  apiRequest("/api/v1/metadata", {}),
  // Each family takes two.
  { bytes: 64 * MEBIBYTE, depth: 16, containers: 1_000_000 },
  Schema.Record(Schema.String, Schema.Array(MetricMetadata)),
  (data) =>
    new Map(
      Object.entries(data).flatMap(([family, [first]]) =>
        first === undefined ? [] : [[family, { ...first, help: beginning(first.help) }] as const]
      )
    )
)

/** Interprets the envelope of a range query's response: returns the warnings to log, or an error. */
export const rangeOutcome = (
  envelope: Envelope,
  partialData: "accept" | "fail",
  { address, mask }: ResponseContext
): Result.Result<ReadonlyArray<string>, PrometheusError> => {
  if (envelope.status !== "success") {
    const error = mask(envelope.error ?? envelope.errorType ?? `status ${envelope.status}`)
    return Result.fail(
      fromRefusal(address, {
        status: 200,
        body: JSON.stringify({ error }),
        contentType: "application/json"
      })
    )
  }
  const { isPartial, warnings } = envelope
  const missing = warnings.filter((warning) => !isAboutQuery(warning))
  if (partialData === "fail" && (isPartial || missing.length > 0)) {
    const words = missing.length === 0 ? "" : ` It warns: ${excerptLine(mask(missing.join("; ")))}`
    return Result.fail(
      new PrometheusError({
        reason: "PartialResponse",
        summary: endSentence(`The response from ${address} may lack data.${words}`)
      })
    )
  }
  const lacksData = "the response lacks data because some of the server's sources did not respond"
  return Result.succeed(
    [...warnings, ...(isPartial ? [lacksData] : [])].map((warning) => excerptLine(mask(warning)))
  )
}
