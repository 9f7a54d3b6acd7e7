/** Prometheus' HTTP API over a mock database: turns a path, without its prefix, and parameters into a status and a text. */
import { Result } from "effect"
import { formatFloat64 } from "../samples/formatFloat64.ts"
import {
  count,
  type EvaluateOptions,
  type Grid,
  hasSampleBetween,
  instant,
  isSelected,
  parseQuery,
  parseSelector,
  range,
  type Selector,
  select,
  tooLarge
} from "./evaluate.ts"
import { formatLabels, formatMatrixSeries, formatString, formatVectorSample } from "./format.ts"
import type { MockRequest } from "./http.ts"
import { compareText, type MockDatabase, type MockSeries } from "./MockSeries.ts"
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
  /** Added to every successful response to a query, after the data. */
  readonly warnings: ReadonlyArray<string>
  readonly infos: ReadonlyArray<string>
}

/** A response as text. */
export interface ApiResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Iterable<string>
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

const statusOf = { bad_data: 400, execution: 422 } as const

const failure = (errorType: keyof typeof statusOf, error: string): ApiResponse => ({
  status: statusOf[errorType],
  headers: json,
  body: [`{"status":"error","errorType":"${errorType}","error":${formatString(error)}}`]
})

const badData = (error: string) => failure("bad_data", error)
const invalid = (parameter: string, error: string) => badData(`invalid parameter "${parameter}": ${error}`)
const tooManySamples = () =>
  failure("execution", "query processing would load too many samples into memory in query execution")

const success = (data: Iterable<string>, context?: ApiContext): ApiResponse => ({
  status: 200,
  headers: json,
  body: envelope(data, context)
})

function* envelope(data: Iterable<string>, context: ApiContext | undefined): Generator<string> {
  yield '{"status":"success","data":'
  yield* data
  for (const key of ["warnings", "infos"] as const) {
    const notes = context?.[key] ?? []
    if (notes.length > 0) yield `,"${key}":[${notes.map(formatString).join(",")}]`
  }
  yield "}"
}

function* separated(before: string, items: Iterable<string>, after: string): Generator<string> {
  let separator = before
  for (const item of items) {
    yield separator
    yield item
    separator = ","
  }
  yield separator === before ? before + after : after
}

const strings = (values: Iterable<string>) => `[${[...values].sort(compareText).map(formatString).join(",")}]`

type Handler = (context: ApiContext, params: URLSearchParams, name: string) => ApiResponse

const routes: ReadonlyArray<{
  readonly path: RegExp
  readonly methods: ReadonlyArray<string>
  readonly handler: Handler
}> = [
  { path: /^\/api\/v1\/query$/, methods: ["GET", "POST"], handler: (c, p) => query(c, p) },
  { path: /^\/api\/v1\/query_range$/, methods: ["GET", "POST"], handler: (c, p) => queryRange(c, p) },
  { path: /^\/api\/v1\/labels$/, methods: ["GET", "POST"], handler: (c, p) => labels(c, p) },
  {
    path: /^\/api\/v1\/label\/([^/]+)\/values$/,
    methods: ["GET"],
    handler: (c, p, n) => labelValues(c, p, n)
  },
  { path: /^\/api\/v1\/series$/, methods: ["GET", "POST"], handler: (c, p) => series(c, p) },
  { path: /^\/api\/v1\/metadata$/, methods: ["GET"], handler: (c, p) => metadata(c, p) },
  { path: /^\/api\/v1\/status\/buildinfo$/, methods: ["GET"], handler: (c) => buildInfo(c) },
  { path: /^\/api\/v1\/status\/flags$/, methods: ["GET"], handler: (c) => flags(c) }
]

/** The response to a request; `path` is without the prefix. */
export const respond = (context: ApiContext, request: MockRequest, path: string): ApiResponse => {
  for (const route of routes) {
    const match = route.path.exec(path)
    if (match === null) continue
    if (request.method === "OPTIONS") return { status: 204, headers: {}, body: [] }
    if (!route.methods.includes(request.method)) {
      const allow = ["GET", "OPTIONS", "POST"].filter((m) => m === "OPTIONS" || route.methods.includes(m))
      return plain(405, "Method Not Allowed", { allow: allow.join(", ") })
    }
    const name = decode(match[1] ?? "")
    return name === undefined ? plain(400, "400 Bad Request") : route.handler(context, request.params, name)
  }
  return plain(404, "404 page not found")
}

const decode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** `timeout` and `lookback_delta`, which every query takes; fails with a response. */
const queryOptions = (
  context: ApiContext,
  params: URLSearchParams
): Result.Result<EvaluateOptions, ApiResponse> => {
  const timeout = params.get("timeout") ?? ""
  if (timeout !== "" && parseDuration(timeout) === undefined) {
    return Result.fail(invalid("timeout", `cannot parse ${JSON.stringify(timeout)} to a valid duration`))
  }
  const lookback = params.get("lookback_delta") ?? ""
  if (lookback === "" || context.release < 2043) return Result.succeed(context.evaluation)
  const lookbackMillis = parseDuration(lookback)
  return lookbackMillis === undefined
    ? Result.fail(
        badData(
          `error parsing lookback delta duration: cannot parse ${JSON.stringify(lookback)} to a valid duration`
        )
      )
    : Result.succeed({ ...context.evaluation, ...(lookbackMillis > 0 ? { lookbackMillis } : {}) })
}

const query = (context: ApiContext, params: URLSearchParams): ApiResponse => {
  const time = timeOr(params, "time", context.nowMillis)
  if (time === undefined) return invalidTime(params, "time")
  const options = queryOptions(context, params)
  if (Result.isFailure(options)) return options.failure
  const parsed = parseQuery(params.get("query") ?? "", context.release >= 3000)
  if (Result.isFailure(parsed)) return invalid("query", parsed.failure)
  if (parsed.success._tag === "Time") {
    // Unlike a sample's, the time of a scalar is printed like every other number.
    const seconds = time / 1000
    return success([`{"resultType":"scalar","result":[${seconds},"${formatFloat64(seconds)}"]}`], context)
  }
  const samples: Array<string> = []
  let found = 0
  for (const { labels, value } of instants(context, parsed.success.selector, time, options.success)) {
    found++
    if (parsed.success._tag === "Selector") samples.push(formatVectorSample(labels, time, value))
  }
  if (parsed.success._tag === "Count" && found > 0) samples.push(formatVectorSample([], time, found))
  const counting = parsed.success._tag === "Count" && found > 0 ? countingSamples([found]) : 0
  return found + counting > context.maxSamples
    ? tooManySamples()
    : success(separated('{"resultType":"vector","result":[', samples, "]}"), context)
}

/** The samples that the engine holds for counting, besides those that it counts: the results so far, and the input of the next one. */
const countingSamples = (counts: ReadonlyArray<number>): number =>
  Math.max(0, ...counts.map((count, results) => results + count + 1))

function* instants(context: ApiContext, selector: Selector, timeMillis: number, options: EvaluateOptions) {
  for (const series of select(context.database, selector)) {
    const value = instant(series, timeMillis, options)
    if (value !== undefined) yield { labels: series.labels, value }
  }
}

const queryRange = (context: ApiContext, params: URLSearchParams): ApiResponse => {
  const grid = parseGrid(params)
  if (Result.isFailure(grid)) return grid.failure
  const options = queryOptions(context, params)
  if (Result.isFailure(options)) return options.failure
  const parsed = parseQuery(params.get("query") ?? "", context.release >= 3000)
  if (Result.isFailure(parsed)) return badData(parsed.failure)
  const matrix = (result: Iterable<string>) =>
    success(separated('{"resultType":"matrix","result":[', result, "]}"), context)
  if (parsed.success._tag === "Time") {
    const times = gridTimes(grid.success)
    return times.length > context.maxSamples
      ? tooManySamples()
      : matrix([
          formatMatrixSeries(
            [],
            times,
            times.map((time) => time / 1000)
          )
        ])
  }
  const selected = select(context.database, parsed.success.selector)
  const counts = parsed.success._tag === "Count" ? count(selected, grid.success, options.success) : undefined
  // The status comes before the body, so a limit has to be checked before the first byte; the body is generated
  // series by series while it is sent.
  if (Number.isFinite(context.maxSamples)) {
    let samples = 0
    for (const series of selected) samples += range(series, grid.success, options.success).times.length
    if (samples + (counts === undefined ? 0 : countingSamples(counts.values)) > context.maxSamples) {
      return tooManySamples()
    }
  }
  if (counts !== undefined) {
    return matrix(counts.times.length === 0 ? [] : [formatMatrixSeries([], counts.times, counts.values)])
  }
  return matrix(matrixSeries(selected, grid.success, options.success))
}

function* matrixSeries(selected: ReadonlyArray<MockSeries>, grid: Grid, options: EvaluateOptions) {
  for (const series of selected) {
    const { times, values } = range(series, grid, options)
    if (times.length > 0) yield formatMatrixSeries(series.labels, times, values)
  }
}

const gridTimes = (grid: Grid): ReadonlyArray<number> => {
  const times: Array<number> = []
  for (let time = grid.startMillis; time <= grid.endMillis; time += grid.stepMillis) times.push(time)
  return times
}

const parseGrid = (params: URLSearchParams): Result.Result<Grid, ApiResponse> => {
  const [start = "", end = "", step = ""] = ["start", "end", "step"].map((name) => params.get(name) ?? "")
  const startMillis = parseTime(start)
  if (startMillis === undefined) {
    return Result.fail(invalid("start", `cannot parse ${JSON.stringify(start)} to a valid timestamp`))
  }
  const endMillis = parseTime(end)
  if (endMillis === undefined) {
    return Result.fail(invalid("end", `cannot parse ${JSON.stringify(end)} to a valid timestamp`))
  }
  if (endMillis < startMillis)
    return Result.fail(invalid("end", "end timestamp must not be before start time"))
  const stepMillis = parseDuration(step)
  if (stepMillis === undefined) {
    return Result.fail(invalid("step", `cannot parse ${JSON.stringify(step)} to a valid duration`))
  }
  if (stepMillis <= 0) {
    const message = "zero or negative query resolution step widths are not accepted. Try a positive integer"
    return Result.fail(invalid("step", message))
  }
  if (Math.trunc((endMillis - startMillis) / stepMillis) > 11000) {
    const message =
      "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
    return Result.fail(badData(message))
  }
  // The engine's step is an integer in milliseconds.
  return Result.succeed({ startMillis, endMillis, stepMillis: Math.max(1, Math.trunc(stepMillis)) })
}

/** An optional time parameter; undefined if it is given and invalid. */
const timeOr = (params: URLSearchParams, name: string, otherwise: number): number | undefined => {
  const value = params.get(name) ?? ""
  return value === "" ? otherwise : parseTime(value)
}

const invalidTime = (params: URLSearchParams, name: string): ApiResponse => {
  const value = JSON.stringify(params.get(name) ?? "")
  return invalid(name, `Invalid time value for '${name}': cannot parse ${value} to a valid timestamp`)
}

/** The series that `match[]`, `start` and `end` select; all of them without `match[]`. */
const selectedSeries = (
  context: ApiContext,
  params: URLSearchParams,
  failed: (error: string) => ApiResponse
): Result.Result<ReadonlyArray<MockSeries>, ApiResponse> => {
  const start = timeOr(params, "start", Number.NEGATIVE_INFINITY)
  if (start === undefined) return Result.fail(invalidTime(params, "start"))
  const end = timeOr(params, "end", Number.POSITIVE_INFINITY)
  if (end === undefined) return Result.fail(invalidTime(params, "end"))
  const selectors: Array<Selector> = []
  let weight = 0
  for (const match of params.getAll("match[]")) {
    const selector = parseSelector(match, context.release >= 3000)
    if (Result.isFailure(selector)) return Result.fail(failed(selector.failure))
    if (selector.success.matchesEmpty) {
      return Result.fail(failed("match[] must contain at least one non-empty matcher"))
    }
    weight += selector.success.weight
    if (weight > MAX_WEIGHT) return Result.fail(failed(tooLarge))
    selectors.push(selector.success)
  }
  const until = Math.min(end, context.evaluation.untilMillis)
  return Result.succeed(
    context.database.series.filter(
      (s) =>
        (selectors.length === 0 || selectors.some((selector) => isSelected(s, selector))) &&
        hasSampleBetween(s, start, until)
    )
  )
}

const labels = (context: ApiContext, params: URLSearchParams): ApiResponse =>
  Result.match(selectedSeries(context, params, badData), {
    onFailure: (failed) => failed,
    onSuccess: (series) => success([strings(new Set(series.flatMap((s) => s.labels.map(([name]) => name))))])
  })

const labelValues = (context: ApiContext, params: URLSearchParams, name: string): ApiResponse => {
  if (context.release < 3000 && !/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) {
    return badData(`invalid label name: ${JSON.stringify(name)}`)
  }
  return Result.match(selectedSeries(context, params, badData), {
    onFailure: (failed) => failed,
    onSuccess: (series) =>
      success([
        strings(new Set(series.flatMap((s) => s.labels.filter((l) => l[0] === name).map((l) => l[1]))))
      ])
  })
}

const series = (context: ApiContext, params: URLSearchParams): ApiResponse => {
  if (!params.has("match[]")) return badData("no match[] parameter provided")
  return Result.match(
    selectedSeries(context, params, (error) => invalid("match[]", error)),
    {
      onFailure: (failed) => failed,
      onSuccess: (found) =>
        success(
          separated(
            "[",
            map(found, (s) => formatLabels(s.labels)),
            "]"
          )
        )
    }
  )
}

function* map<A, B>(items: Iterable<A>, f: (item: A) => B): Generator<B> {
  for (const item of items) yield f(item)
}

const metadata = (context: ApiContext, params: URLSearchParams): ApiResponse => {
  const limit = params.get("limit") ?? ""
  if (limit !== "" && !/^[+-]?\d+$/.test(limit)) return badData("limit must be a number")
  const metric = params.get("metric") ?? ""
  let families = [...context.database.metadata].filter(([family]) => metric === "" || family === metric)
  if (limit !== "" && Number(limit) >= 0) families = families.slice(0, Number(limit))
  const entries = families.map(([family, all]) => {
    const shown = all.map(
      (m) => `{"type":${formatString(m.type)},"help":${formatString(m.help)},"unit":${formatString(m.unit)}}`
    )
    return `${formatString(family)}:[${shown.join(",")}]`
  })
  return success([`{${entries.join(",")}}`])
}

const object = (fields: Readonly<Record<string, string>>) =>
  `{${Object.entries(fields)
    .map(([key, value]) => `${formatString(key)}:${formatString(value)}`)
    .join(",")}}`

const buildInfo = (context: ApiContext): ApiResponse =>
  success([
    object({
      version: context.version,
      revision: "mock",
      branch: "mock",
      buildUser: "mock",
      buildDate: "",
      goVersion: ""
    })
  ])

const flags = (context: ApiContext): ApiResponse =>
  success([
    object({
      "query.lookback-delta": formatDuration(context.evaluation.lookbackMillis),
      "query.max-concurrency": "20",
      "query.max-samples": String(Number.isFinite(context.maxSamples) ? context.maxSamples : 50_000_000),
      "query.timeout": "2m"
    })
  ])
