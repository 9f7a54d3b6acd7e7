/**
 * The endpoints of Prometheus' HTTP API. Each has two pure halves: one makes the request, one decodes the response.
 *
 * Times are milliseconds everywhere else; here they become the API's seconds.
 */
import { Predicate, Result, Schema } from "effect"
import { type Headers, UrlParams } from "effect/http"
import { escapeName } from "../promql/escapeName.ts"
import { hasLabel, type Matcher, render } from "../promql/Matcher.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import { beginning } from "../text/excerpt.ts"
import type { BuildInfo } from "./backend/identify.ts"
import type { ExactnessParam, Profile } from "./backend/profiles.ts"
import {
  type Completeness,
  firstWarnings,
  judgeCompleteness,
  memberSign,
  responseSigns
} from "./completeness.ts"
import type { ApiRequest } from "./http/ApiRequest.ts"
import type { Bounds } from "./http/BoundedText.ts"
import { parseHttpDate } from "./http/httpDate.ts"
import type { MetricMetadata } from "./Metadata.ts"
import { PrometheusError, type Reason } from "./PrometheusError.ts"
import { isNumber } from "./query/jsonBytes.ts"
import type { Envelope } from "./query/ResponseDecoder.ts"
import type { RangeQuery, RemoteReadQuery, StoredQuery, TimeRange } from "./RangeQuery.ts"
import { fromRefusal } from "./refusal.ts"
import { readRequest } from "./remoteRead/readRequest.ts"
import type { ClockReading } from "./serverClock.ts"

/** What decoding needs besides the text of a response. */
export interface ResponseContext {
  /** The address of the request, without parameters, for messages. */
  readonly address: string
  /** The status of a success: 200, or 206. */
  readonly status: number
  readonly headers: Headers.Headers
  /** Masks secrets in a server's text. */
  readonly mask: (text: string) => string
}

/** An endpoint with a small response, which is parsed at once. */
export interface Endpoint<A> {
  readonly request: ApiRequest
  readonly bounds: Bounds
  /** Decodes the text of a successful response. */
  readonly decode: (text: string, context: ResponseContext) => Result.Result<Decoded<A>, PrometheusError>
}

/** A decoded response. */
export interface Decoded<A> {
  readonly value: A
  readonly completeness: Completeness
  /** The names of its members, and of those of a query's result. */
  readonly members: ReadonlyArray<string>
}

/** The parameters for exact data, of those that the kind of server takes. */
export interface Exactness {
  readonly profile: Pick<Profile, "rangeParams" | "listParams" | "isRollup" | "stored">
  /** Whether the parameters are a guess, since the kind of server is not known. */
  readonly isGuess: boolean
  readonly partialData: "accept" | "fail"
  readonly maxSourceResolution: "raw" | "auto" | "5m" | "1h"
}

// ---- requests -------------------------------------------------------------------------------------------

/** Longer parameters go into a form: servers and proxies limit the length of an address. */
const MAX_QUERY_CHARACTERS = 4000

export const apiRequest = (
  path: string,
  params: ApiRequest["params"],
  { takesForm = true, ...others }: Partial<ApiRequest> = {}
): ApiRequest => {
  const all = UrlParams.fromInput({ ...params, ...others.optional })
  const isLong = takesForm && UrlParams.toString(all).length > MAX_QUERY_CHARACTERS
  return { method: isLong ? "POST" : "GET", path, params, takesForm, ...others }
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

/** A range of points or of exemplars, as it is. */
export const exactRange = ({ endMillis, startMillis }: TimeRange) => ({
  start: String(startMillis / 1000),
  end: String(endMillis / 1000)
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
 * VictoriaMetrics also responds from a cache, which lacks late samples.
 */
const exactnessParams = (
  names: ReadonlyArray<ExactnessParam>,
  { maxSourceResolution, partialData }: Exactness,
  timeoutMillis: number
): Readonly<Record<string, string>> => {
  const accepts = partialData === "accept"
  const values: Readonly<Record<ExactnessParam, string | undefined>> = {
    // A little shorter than the client's, so that the server can report that it was too slow.
    timeout: String((timeoutMillis / 1000) * 0.9),
    partial_response: String(accepts),
    dedup: "true",
    max_source_resolution: maxSourceResolution === "raw" ? "0s" : maxSourceResolution,
    deny_partial_response: accepts ? undefined : "1",
    nocache: "1"
  }
  return Object.fromEntries(
    names.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]]))
  )
}

/** Who configures a resolution knows that Thanos is there. */
const rangeParamNames = ({
  maxSourceResolution,
  profile: { rangeParams }
}: Exactness): ReadonlyArray<ExactnessParam> =>
  maxSourceResolution === "raw" || rangeParams.includes("max_source_resolution")
    ? rangeParams
    : [...rangeParams, "max_source_resolution"]

/** A range query. */
export const rangeRequest = (query: RangeQuery, timeoutMillis: number, exactness: Exactness): ApiRequest =>
  apiRequest(
    "/api/v1/query_range",
    {
      query: query.query,
      // A server that moves the start of a range would move that of one point off the grid.
      ...(exactness.profile.isRollup === true ? rangeParams(query) : exactRange(query)),
      step: String(query.stepMillis / 1000),
      ...(query.lookbackMillis === undefined ? {} : { lookback_delta: String(query.lookbackMillis / 1000) })
    },
    {
      optional: exactnessParams(rangeParamNames(exactness), exactness, timeoutMillis),
      isGuess: exactness.isGuess
    }
  )

/**
 * An instant query for stored samples. Prometheus 2 includes the left end of a window, others do not, and some round times: it is
 * wider than the range on both sides.
 */
export const storedRequest = (
  { endMillis, matchers, startMillis }: StoredQuery,
  timeoutMillis: number,
  exactness: Exactness
): ApiRequest => {
  const end = Math.floor(endMillis) + 1
  return apiRequest(
    "/api/v1/query",
    { query: `${render(matchers)}[${end + 2 - Math.ceil(startMillis)}ms]`, time: String(end / 1000) },
    {
      optional: exactnessParams(
        exactness.profile.rangeParams,
        { ...exactness, maxSourceResolution: "raw" },
        timeoutMillis
      ),
      isGuess: exactness.isGuess
    }
  )
}

/** The server responds, but has no remote read or does not allow it. VictoriaMetrics returns 400 for unknown paths. */
const readStatuses: ApiRequest["statusReasons"] = {
  400: "NoRemoteRead",
  403: "NoRemoteRead",
  404: "NoRemoteRead",
  405: "NoRemoteRead",
  501: "NoRemoteRead"
}

/** A remote read, and that of a sentinel. */
export const remoteReadRequest = (
  { accepted = ["chunks"], ...query }: RemoteReadQuery,
  sentinel?: StoredQuery
): ApiRequest => ({
  method: "POST",
  path: "/api/v1/read",
  params: {},
  binary: {
    body: readRequest(sentinel === undefined ? [query] : [query, sentinel], accepted),
    headers: {
      "content-type": "application/x-protobuf",
      "content-encoding": "snappy",
      "x-prometheus-remote-read-version": "0.1.0"
    },
    accepts: /^application\/x-(streamed-)?protobuf\b/i,
    encoding: "snappy"
  },
  statusReasons: readStatuses
})

// ---- responses ------------------------------------------------------------------------------------------

export const MEBIBYTE = 1024 * 1024

export const endpoint = <D, A>(
  request: ApiRequest,
  bounds: Bounds,
  data: Schema.Decoder<D>,
  meaning: (data: D, headers: Headers.Headers) => A
): Endpoint<A> => {
  const decode = Schema.decodeUnknownOption(Schema.Struct({ status: Schema.Literal("success"), data }))
  return {
    request,
    bounds,
    decode: (text, { address, headers, mask, status }) => {
      const unusable = (reason: Reason) => () =>
        new PrometheusError({
          reason,
          summary: `The response from ${address} is not a Prometheus response: ${beginning(mask(beginning(text)), 100)}`
        })
      return Result.gen(function* () {
        const json = yield* Result.try({
          try: (): unknown => JSON.parse(text),
          catch: unusable("BrokenResponse")
        })
        // Only an endpoint that is missing has nothing at all.
        const reason = isSuccessWithNull(json)
          ? (request.statusReasons?.[404] ?? "NotPrometheus")
          : "NotPrometheus"
        const { data } = yield* Result.fromOption(decode(json), unusable(reason))
        return {
          value: meaning(data, headers),
          ...completenessOf(json, responseSigns(status, headers))
        }
      })
    }
  }
}

const isSuccessWithNull = (json: unknown): boolean =>
  Predicate.isObject(json) && json.status === "success" && json.data === null

const isEmptyData = (data: unknown): boolean =>
  Array.isArray(data) ? data.length === 0 : !Predicate.isObject(data) || Object.keys(data).length === 0

/** What the members of a response say about its completeness. */
const completenessOf = (json: unknown, signs: ReadonlyArray<string>): Omit<Decoded<never>, "value"> => {
  if (!Predicate.isObject(json)) return { completeness: { warnings: [], signs, isEmpty: true }, members: [] }
  const { data, warnings, ...others } = json
  // The result of a query has members of its own. Those of other data are names of metrics.
  const inner = Predicate.isObject(data) && "result" in data ? { ...data, result: undefined } : {}
  const members = Object.entries({ ...inner, ...others })
  return {
    completeness: {
      warnings: firstWarnings(warnings),
      signs: [...members.flatMap(([name, value]) => memberSign(name, value)), ...signs],
      isEmpty: isEmptyData(data)
    },
    members: members.map(([name]) => name)
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

/** At the endpoints for labels only: the server lives, but it has no such endpoint, or hides it. */
const labelStatuses: ApiRequest["statusReasons"] = {
  403: "NoLabelApi",
  404: "NoLabelApi",
  405: "NoLabelApi",
  501: "NoLabelApi"
}

/**
 * Some servers merge the names of several others and repeat some. An empty name is no name, and neither is what is not a text.
 */
const names = (request: ApiRequest, excluded?: string): Endpoint<ReadonlyArray<string>> =>
  endpoint(
    { ...request, statusReasons: labelStatuses },
    namesBounds,
    Schema.Array(Schema.Unknown),
    (data) => {
      const names = new Set(data.filter((name) => typeof name === "string"))
      names.delete("")
      if (excluded !== undefined) names.delete(excluded)
      return [...names]
    }
  )

export const listOptions = (exactness: Exactness): Partial<ApiRequest> => ({
  optional: exactnessParams(exactness.profile.listParams, exactness, 0),
  isGuess: exactness.isGuess
})

/** The values of a label of the selected series. Prometheus does not accept a form here. */
export const labelValues = (label: string, range: TimeRange, selection: Selection, exactness: Exactness) =>
  names(
    apiRequest(`/api/v1/label/${escapeName(label)}/values`, seriesParams(range, selection), {
      ...listOptions(exactness),
      takesForm: false
    })
  )

/** The label names of those series, without `__name__`. */
export const labelNames = (range: TimeRange, selection: Selection, exactness: Exactness) =>
  names(apiRequest("/api/v1/labels", seriesParams(range, selection), listOptions(exactness)), METRIC_NAME)

/** The members of any entry; null stands for none. */
const MetadataEntry = Schema.Struct({
  type: Schema.optionalKey(Schema.NullOr(Schema.String)),
  help: Schema.optionalKey(Schema.NullOr(Schema.String)),
  unit: Schema.optionalKey(Schema.NullOr(Schema.String))
})

/** Type, help and unit by metric family: the first entry of each. */
export const metadata: Endpoint<ReadonlyMap<string, MetricMetadata>> = endpoint(
  apiRequest("/api/v1/metadata", {}),
  // Each family takes two.
  { bytes: 64 * MEBIBYTE, depth: 16, containers: 1_000_000 },
  Schema.NullOr(Schema.Record(Schema.String, Schema.NullOr(Schema.Array(Schema.NullOr(MetadataEntry))))),
  (data) =>
    new Map(
      Object.entries(data ?? {}).flatMap(([family, entries]) => {
        const first = entries?.find((entry) => entry !== null)
        if (first === undefined || first === null) return []
        return [
          [
            family,
            { type: first.type ?? "unknown", help: beginning(first.help ?? ""), unit: first.unit ?? "" }
          ]
        ] as const
      })
    )
)

// ---- what kind of server it is --------------------------------------------------------------------------

const smallBounds: Bounds = { bytes: MEBIBYTE, depth: 16, containers: 10_000 }

const optionalText = Schema.optionalKey(Schema.String)

/** The version of the server. VictoriaMetrics has none, or that of an old Prometheus. */
export const buildInfo: Endpoint<BuildInfo> = endpoint(
  apiRequest("/api/v1/status/buildinfo", {}),
  smallBounds,
  Schema.Struct({ version: optionalText, application: optionalText, goVersion: optionalText }),
  (data) => data
)

/** The flags of the server, as texts. */
export const flags: Endpoint<Readonly<Record<string, string>>> = endpoint(
  apiRequest("/api/v1/status/flags", {}),
  smallBounds,
  Schema.Record(Schema.String, Schema.Unknown),
  (data) =>
    Object.fromEntries(
      Object.entries(data).filter((entry): entry is [string, string] => typeof entry[1] === "string")
    )
)

/**
 * How the server evaluates `default_rollup`, which is VictoriaMetrics' own: a value at every quarter of an hour, and a time that
 * is eight minutes later. Old releases extend the window of five minutes to the interval between the samples.
 */
export const rollup: Endpoint<"fixed" | "growing"> = endpoint(
  apiRequest("/api/v1/query", { query: "default_rollup(time()[5m:15m])", time: "1767226980" }),
  smallBounds,
  Schema.Struct({ result: Schema.Array(Schema.Unknown) }),
  ({ result }) => (result.length === 0 ? "fixed" : "growing")
)

/** A source of samples that a Thanos server asks. */
export interface Store {
  readonly name: string
  /** Why the last attempt to reach it failed, if it did. */
  readonly error: string | undefined
}

const StoreStatus = Schema.Struct({
  name: Schema.optionalKey(Schema.NullOr(Schema.String)),
  lastError: Schema.optionalKey(Schema.Unknown)
})

/** Null and an empty text are no error; some releases write the error as an object. */
const lastErrorOf = (error: unknown): string | undefined => {
  if (error === undefined || error === null || error === "") return undefined
  return typeof error === "string" ? error : JSON.stringify(error)
}

/** The stores of Thanos, of all types. */
export const stores: Endpoint<ReadonlyArray<Store>> = endpoint(
  apiRequest("/api/v1/stores", {}),
  { bytes: 16 * MEBIBYTE, depth: 32, containers: 1_000_000 },
  Schema.Record(Schema.String, Schema.NullOr(Schema.Array(StoreStatus))),
  (data) =>
    Object.entries(data).flatMap(([type, stores]) =>
      (stores ?? []).map(({ lastError, name }) => ({ name: name ?? type, error: lastErrorOf(lastError) }))
    )
)

// ---- the end of a range query ---------------------------------------------------------------------------

/** Interprets the end of a range query's response: returns the warnings to log, or an error. */
export const rangeOutcome = (
  envelope: Envelope,
  partialData: "accept" | "fail",
  { address, headers, mask, status }: ResponseContext
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
  const signs = [...envelope.signs, ...responseSigns(status, headers)]
  return judgeCompleteness({ ...envelope, signs }, { address, mask, partialData })
}
