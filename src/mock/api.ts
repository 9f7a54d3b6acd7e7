/** Prometheus' HTTP API over a mock database: turns a path, without its prefix, and parameters into a status and a text. */
import { Iterable, Result } from "effect"
import { unescapeName } from "../promql/escapeName.ts"
import { isBareName } from "../promql/Matcher.ts"
import { formatFloat64 } from "../samples/formatFloat64.ts"
import type { Labels } from "../samples/Sample.ts"
import { byBytes } from "../samples/Series.ts"
import {
  type EvaluateOptions,
  evaluate,
  type Grid,
  hasSampleBetween,
  parseQuery,
  parseSelector,
  type Query,
  type ResultSeries,
  type Selector,
  tooLarge
} from "./evaluate.ts"
import {
  formatJson,
  formatLabels,
  formatMatrixSeries,
  formatString,
  formatTime,
  formatVectorSample
} from "./format.ts"
import type { MockRequest } from "./http.ts"
import { labelValue, type MockDatabase, type MockSeries } from "./MockSeries.ts"
import { alertsOf, exemplarsBySeries } from "./MockTables.ts"
import { formatDuration, parseDuration, parseTime } from "./parameters.ts"
import { MAX_WEIGHT } from "./regexp.ts"

/** The state of the server at the time of a request. */
export interface ApiContext {
  readonly database: MockDatabase
  readonly nowMillis: number
  /** The version that buildinfo reports, such as `2.42.0`. */
  readonly version: string
  /** The same as a number, major times 1000 plus minor: 2042. */
  readonly release: number
  readonly evaluation: EvaluateOptions
  /** How many samples one query may load. */
  readonly maxSamples: number
  /** Added to the series of remote reads. */
  readonly externalLabels: Labels
  /** Added to every successful response to a query, after the data. */
  readonly warnings: ReadonlyArray<string>
  readonly infos: ReadonlyArray<string>
}

/** A response as text. */
export interface ApiResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Iterable<string | Uint8Array>
}

const json = { "content-type": "application/json" }
const text = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" }

/** A response as Go's `http.Error` writes it. */
export const plain = (
  status: number,
  message: string,
  headers: Record<string, string> = {}
): ApiResponse => ({
  status,
  headers: { ...headers, ...text },
  body: [`${message}\n`]
})

const failure = (status: number, errorType: string, error: string): ApiResponse => ({
  status,
  headers: json,
  body: [`{"status":"error","errorType":"${errorType}","error":${formatString(error)}}`]
})

const badData = (error: string) => failure(400, "bad_data", error)
const invalid = (parameter: string, error: string) => badData(`invalid parameter "${parameter}": ${error}`)

const success = (data: Iterable<string>): ApiResponse => ({
  status: 200,
  headers: json,
  body: Iterable.flatten([['{"status":"success","data":'], data, ["}"]])
})

/** A JSON array. */
function* list(items: Iterable<string>): Generator<string> {
  let separator = "["
  for (const item of items) {
    yield separator + item
    separator = ","
  }
  yield separator === "[" ? "[]" : "]"
}

/** The result of a query, and the warnings after it. */
function* queryData(resultType: string, result: Iterable<string>, context: ApiContext): Generator<string> {
  yield `{"resultType":"${resultType}","result":`
  yield* result
  yield "}"
  for (const key of ["warnings", "infos"] as const) {
    if (context[key].length > 0) yield `,"${key}":[${context[key].map(formatString).join(",")}]`
  }
}

/** Returns what follows `"data":`, in pieces that are generated while they are sent, or the response of a failure. */
type Handler = (
  context: ApiContext,
  params: URLSearchParams,
  name: string
) => Result.Result<Iterable<string>, ApiResponse>

/** A time in milliseconds; a parameter with a default is optional. */
const timeOf = (
  params: URLSearchParams,
  name: string,
  otherwise?: number
): Result.Result<number, ApiResponse> => {
  const value = params.get(name) ?? ""
  if (value === "" && otherwise !== undefined) return Result.succeed(otherwise)
  const optional = otherwise === undefined ? "" : `Invalid time value for '${name}': `
  return Result.fromNullishOr(parseTime(value), () =>
    invalid(name, `${optional}cannot parse ${JSON.stringify(value)} to a valid timestamp`)
  )
}

/** A duration in milliseconds. */
const durationOf = (
  value: string,
  failed: (error: string) => ApiResponse
): Result.Result<number, ApiResponse> =>
  Result.fromNullishOr(parseDuration(value), () =>
    failed(`cannot parse ${JSON.stringify(value)} to a valid duration`)
  )

/** Checks `timeout` and applies `lookback_delta`, which every query takes. */
const optionsOf = (
  { evaluation, release }: ApiContext,
  params: URLSearchParams
): Result.Result<EvaluateOptions, ApiResponse> =>
  Result.gen(function* () {
    const timeout = params.get("timeout") ?? ""
    if (timeout !== "") yield* durationOf(timeout, (error) => invalid("timeout", error))
    const lookback = params.get("lookback_delta") ?? ""
    if (lookback === "" || release < 2043) return evaluation
    const lookbackMillis = yield* durationOf(lookback, (error) =>
      badData(`error parsing lookback delta duration: ${error}`)
    )
    return lookbackMillis > 0 ? { ...evaluation, lookbackMillis } : evaluation
  })

const gridOf = (params: URLSearchParams): Result.Result<Grid, ApiResponse> =>
  Result.gen(function* () {
    const startMillis = yield* timeOf(params, "start")
    const endMillis = yield* timeOf(params, "end")
    if (endMillis < startMillis) {
      return yield* Result.fail(invalid("end", "end timestamp must not be before start time"))
    }
    const stepMillis = yield* durationOf(params.get("step") ?? "", (error) => invalid("step", error))
    if (stepMillis <= 0) {
      const error = "zero or negative query resolution step widths are not accepted. Try a positive integer"
      return yield* Result.fail(invalid("step", error))
    }
    if (Math.trunc((endMillis - startMillis) / stepMillis) > 11000) {
      const error =
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
      return yield* Result.fail(badData(error))
    }
    // The engine's step is an integer in milliseconds.
    return { startMillis, endMillis, stepMillis: Math.max(1, Math.trunc(stepMillis)) }
  })

const queryOf = (
  { release }: ApiContext,
  params: URLSearchParams,
  failed: (error: string) => ApiResponse
): Result.Result<Query, ApiResponse> =>
  Result.mapError(parseQuery(params.get("query") ?? "", release >= 3000), failed)

/** The series of a result, each evaluated when it is sent, unless they have too many samples. */
const resultOf = (
  { database, maxSamples }: ApiContext,
  query: Query,
  grid: Grid,
  options: EvaluateOptions
): Result.Result<Iterable<ResultSeries>, ApiResponse> => {
  const result = { [Symbol.iterator]: () => evaluate(query, database, grid, options) }
  // The status comes before the body, so the limit has to be checked before the first byte.
  if (Number.isFinite(maxSamples)) {
    const loaded = Iterable.reduce(result, 0, (sum, series) => sum + series.loaded)
    if (loaded > maxSamples) {
      const error = "query processing would load too many samples into memory in query execution"
      return Result.fail(failure(422, "execution", error))
    }
  }
  return Result.succeed(result)
}

const query: Handler = (context, params) =>
  Result.gen(function* () {
    const time = yield* timeOf(params, "time", context.nowMillis)
    const options = yield* optionsOf(context, params)
    const query = yield* queryOf(context, params, (error) => invalid("query", error))
    if (query._tag === "Time") {
      // Unlike a sample's, the time of a scalar is printed like every other number.
      const seconds = time / 1000
      return queryData("scalar", [`[${seconds},"${formatFloat64(seconds)}"]`], context)
    }
    const grid = { startMillis: time, endMillis: time, stepMillis: 1 }
    const result = yield* resultOf(context, query, grid, options)
    return query._tag === "Range"
      ? queryData("matrix", list(Iterable.map(result, formatMatrixSeries)), context)
      : queryData("vector", list(Iterable.map(result, formatVectorSample)), context)
  })

const queryRange: Handler = (context, params) =>
  Result.gen(function* () {
    const grid = yield* gridOf(params)
    const options = yield* optionsOf(context, params)
    const query = yield* queryOf(context, params, badData)
    if (query._tag === "Range") {
      const expected = "must be Scalar or instant Vector"
      return yield* Result.fail(
        badData(`invalid expression type "range vector" for range query, ${expected}`)
      )
    }
    const result = yield* resultOf(context, query, grid, options)
    return queryData("matrix", list(Iterable.map(result, formatMatrixSeries)), context)
  })

/** The series that `match[]`, `start` and `end` select; all of them without `match[]`. */
const selectedSeries = (
  { database, evaluation, release }: ApiContext,
  params: URLSearchParams,
  failed: (error: string) => ApiResponse = badData
): Result.Result<ReadonlyArray<MockSeries>, ApiResponse> =>
  Result.gen(function* () {
    const start = yield* timeOf(params, "start", Number.NEGATIVE_INFINITY)
    const end = yield* timeOf(params, "end", Number.POSITIVE_INFINITY)
    const selectors: Array<Selector> = []
    let weight = 0
    for (const match of params.getAll("match[]")) {
      const selector = yield* Result.mapError(parseSelector(match, release >= 3000), failed)
      if (selector.matches([])) {
        return yield* Result.fail(failed("match[] must contain at least one non-empty matcher"))
      }
      weight += selector.weight
      if (weight > MAX_WEIGHT) return yield* Result.fail(failed(tooLarge))
      selectors.push(selector)
    }
    const until = Math.min(end, evaluation.untilMillis)
    return database.series.filter(
      (series) =>
        (selectors.length === 0 || selectors.some(({ matches }) => matches(series.labels))) &&
        hasSampleBetween(series, start, until)
    )
  })

/** Distinct texts in the order of their bytes. */
const sorted = (texts: Iterable<string>) => list([...new Set(texts)].sort(byBytes).map(formatString))

const labels: Handler = (context, params) =>
  Result.map(selectedSeries(context, params), (found) =>
    sorted(found.flatMap((series) => series.labels.map(([name]) => name)))
  )

const labelValues: Handler = (context, params, segment) => {
  const isModern = context.release >= 3000
  const name = isModern ? unescapeName(segment) : segment
  return !isModern && !isBareName(name)
    ? Result.fail(badData(`invalid label name: ${JSON.stringify(name)}`))
    : Result.map(selectedSeries(context, params), (found) =>
        sorted(found.map((series) => labelValue(series.labels, name)).filter((value) => value !== ""))
      )
}

const series: Handler = (context, params) =>
  params.has("match[]")
    ? Result.map(
        selectedSeries(context, params, (error) => invalid("match[]", error)),
        (found) => list(Iterable.map(found, (series) => formatLabels(series.labels)))
      )
    : Result.fail(badData("no match[] parameter provided"))

const metadata: Handler = ({ database, release }, params) => {
  const limit = params.get("limit") ?? ""
  if (limit !== "" && !/^[+-]?\d+$/.test(limit)) return Result.fail(badData("limit must be a number"))
  const metric = params.get("metric") ?? ""
  const families = [...database.metadata].filter(([family]) => metric === "" || family === metric)
  const shown = limit !== "" && Number(limit) >= 0 ? families.slice(0, Number(limit)) : families
  const members = shown.map(([family, entries]) => {
    // Version 3 has a different order.
    const objects = entries.map(({ help, type, unit }) =>
      object(release >= 3000 ? { type, unit, help } : { type, help, unit })
    )
    return `${formatString(family)}:[${objects.join(",")}]`
  })
  return Result.succeed([`{${members.join(",")}}`])
}

/** Only the active targets: the mock has no dropped ones. */
const targets: Handler = ({ database: { tables = {} }, release }, params) => {
  const state = params.get("state") ?? ""
  const pool = params.get("scrapePool") ?? ""
  const showsActive = ["", "any", "active"].includes(state.toLowerCase())
  const showsDropped = ["", "any", "dropped"].includes(state.toLowerCase())
  const shown = (showsActive ? (tables.targets ?? []) : []).filter(
    ({ scrapePool }) => pool === "" || scrapePool === pool
  )
  // Version 3 counts them by pool.
  const pools = new Set((tables.targets ?? []).map(({ scrapePool }) => scrapePool))
  const counts = Object.fromEntries(
    Array.from(pools)
      .sort()
      .map((name) => [name, 0])
  )
  return Result.succeed([
    formatJson({
      activeTargets: shown,
      droppedTargets: [],
      ...(release >= 2048 ? { droppedTargetCounts: showsDropped ? counts : null } : {})
    })
  ])
}

const rules: Handler = ({ database: { tables = {} }, release }, params) => {
  const type = (params.get("type") ?? "").toLowerCase()
  if (!["", "alert", "record"].includes(type)) {
    return Result.fail(invalid("type", `not supported value ${JSON.stringify(type)}`))
  }
  const isShown = (rule: { readonly type: string }) =>
    type === "" || rule.type === (type === "alert" ? "alerting" : "recording")
  const groups = (tables.ruleGroups ?? []).map((group) => ({ ...group, rules: group.rules.filter(isShown) }))
  // Version 3 leaves out groups without such rules.
  const shown = release >= 3000 && type !== "" ? groups.filter(({ rules }) => rules.length > 0) : groups
  return Result.succeed([formatJson({ groups: shown })])
}

const alerts: Handler = ({ database: { tables = {} } }) =>
  Result.succeed([formatJson({ alerts: alertsOf(tables) })])

const exemplars: Handler = ({ database: { tables = {} }, nowMillis, release }, params) =>
  Result.gen(function* () {
    const start = yield* timeOf(params, "start", Number.NEGATIVE_INFINITY)
    const end = yield* timeOf(params, "end", nowMillis)
    if (end < start) return yield* Result.fail(badData("end timestamp must not be before start timestamp"))
    const query = params.get("query") ?? ""
    if (query === "") {
      const position = release >= 3000 ? "unknown position" : "1:1"
      return yield* Result.fail(badData(`${position}: parse error: no expression found in input`))
    }
    const selector = yield* Result.mapError(parseSelector(query, release >= 3000), badData)
    if (selector.matches([])) {
      const error = "1:1: parse error: vector selector must contain at least one non-empty matcher"
      return yield* Result.fail(badData(error))
    }
    const shown = exemplarsBySeries(tables).flatMap(({ exemplars, labels }) => {
      const within = exemplars.filter(({ timeMillis }) => timeMillis >= start && timeMillis <= end)
      if (within.length === 0 || !selector.matches(labels)) return []
      const texts = within.map(
        ({ labels, timeMillis, value }) =>
          `{"labels":${formatJson(labels)},"value":${formatString(value)},"timestamp":${formatTime(timeMillis)}}`
      )
      return [`{"seriesLabels":${formatLabels(labels)},"exemplars":[${texts.join(",")}]}`]
    })
    return list(shown)
  })

const object = (fields: Readonly<Record<string, string>>) => formatLabels(Object.entries(fields))

const buildInfo: Handler = ({ version }) => {
  const unknown = { revision: "mock", branch: "mock", buildUser: "mock", buildDate: "", goVersion: "" }
  return Result.succeed([object({ version, ...unknown })])
}

const flags: Handler = ({ evaluation, maxSamples }) =>
  Result.succeed([
    object({
      "query.lookback-delta": formatDuration(evaluation.lookbackMillis),
      "query.max-concurrency": "20",
      "query.max-samples": String(Number.isFinite(maxSamples) ? maxSamples : 50_000_000),
      "query.timeout": "2m"
    })
  ])

/** The part of the configuration that a mock has. JSON is YAML. */
const config: Handler = ({ externalLabels }) => {
  const lines = externalLabels.map(([name, value]) => `    ${formatString(name)}: ${formatString(value)}\n`)
  const yaml = `global:\n  scrape_interval: 1m\n${lines.length === 0 ? "" : "  external_labels:\n"}${lines.join("")}`
  return Result.succeed([object({ yaml })])
}

const get = ["GET", "OPTIONS"]
const getOrPost = [...get, "POST"]

const routes: ReadonlyArray<readonly [path: RegExp, methods: ReadonlyArray<string>, handler: Handler]> = [
  [/^\/api\/v1\/query$/, getOrPost, query],
  [/^\/api\/v1\/query_range$/, getOrPost, queryRange],
  [/^\/api\/v1\/labels$/, getOrPost, labels],
  [/^\/api\/v1\/label\/([^/]+)\/values$/, get, labelValues],
  [/^\/api\/v1\/series$/, getOrPost, series],
  [/^\/api\/v1\/metadata$/, get, metadata],
  [/^\/api\/v1\/targets$/, get, targets],
  [/^\/api\/v1\/rules$/, get, rules],
  [/^\/api\/v1\/alerts$/, get, alerts],
  [/^\/api\/v1\/query_exemplars$/, getOrPost, exemplars],
  [/^\/api\/v1\/status\/buildinfo$/, get, buildInfo],
  [/^\/api\/v1\/status\/config$/, get, config],
  [/^\/api\/v1\/status\/flags$/, get, flags]
]

/** The response to a request; `path` is without the prefix. */
export const respond = (context: ApiContext, { method, params }: MockRequest, path: string): ApiResponse => {
  for (const [pattern, methods, handler] of routes) {
    const match = pattern.exec(path)
    if (match === null) continue
    if (method === "OPTIONS") return { status: 204, headers: {}, body: [] }
    if (!methods.includes(method)) return plain(405, "Method Not Allowed", { allow: methods.join(", ") })
    const name = Result.try(() => decodeURIComponent(match[1] ?? ""))
    if (Result.isFailure(name)) return plain(400, "400 Bad Request")
    return Result.merge(Result.map(handler(context, params, name.success), success))
  }
  return plain(404, "404 page not found")
}
