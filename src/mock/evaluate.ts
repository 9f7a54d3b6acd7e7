/**
 * The part of PromQL that the mock understands: plain selectors, `count(…)` of one, `time()`, and the queries that ask how many
 * series metrics have, in which parts of a range they have samples, and which series has a sample; with Prometheus' rules for which sample is used at a point
 * in time.
 */
import { Iterable, Result } from "effect"
import * as Matcher from "../promql/Matcher.ts"
import type { Histogram, Labels } from "../samples/Sample.ts"
import { byBytes, METRIC_NAME } from "../samples/Series.ts"
import { labelValue, type MockDatabase, type MockSeries } from "./MockSeries.ts"
import { parseDuration } from "./parameters.ts"
import { compileFullMatch, MAX_WEIGHT, weightOf } from "./regexp.ts"

/**
 * A query that the mock can evaluate: a selector, `selector[duration]`, `count(…)` of a selector, `time()`, the time of evaluation
 * in seconds, `count by (__name__) (selector)`, `count by (__name__) (last_over_time(selector[duration]))`,
 * `topk(1, selector)`, or `topk(1, timestamp(selector))`.
 */
export type Query =
  | { readonly _tag: "Selector" | "Count"; readonly selector: Selector }
  | { readonly _tag: "CountByName"; readonly selector: Selector }
  | { readonly _tag: "CountOver" | "Range"; readonly selector: Selector; readonly windowMillis: number }
  | { readonly _tag: "Top"; readonly selector: Selector; readonly isByTime: boolean }
  | { readonly _tag: "Time" }

/** A compiled selector. */
export interface Selector {
  /** Whether it selects a series with these labels. Prometheus refuses a selector of one without labels. */
  readonly matches: (labels: Labels) => boolean
  /** How large its regular expressions are together. */
  readonly weight: number
}

/** The points of a range query, `startMillis`, `startMillis + stepMillis`, … ≤ `endMillis`, integers in milliseconds. */
export interface Grid {
  readonly startMillis: number
  readonly endMillis: number
  readonly stepMillis: number
}

/** The settings of a server. */
export interface EvaluateOptions {
  /** How old a sample may be to be used at a point. */
  readonly lookbackMillis: number
  /** Whether a sample of exactly that age is used: in version 2 it is, since 3.0 it is not. */
  readonly lookbackClosed: boolean
  /** Later samples do not exist yet. */
  readonly untilMillis: number
}

/** Prometheus 2, with samples of any time. */
export const defaultOptions: EvaluateOptions = {
  lookbackMillis: 300_000,
  lookbackClosed: true,
  untilMillis: Number.POSITIVE_INFINITY
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
/** Words that the lexer does not read as a metric's name. */
const notMetric = /^(?:inf|nan|bool|on|ignoring|group_left|group_right|atan2)$/i
/** A matcher's operator and value: without them, only names remain in quotes. */
const quotedValue = /[=~]\s*(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)/gs
const countCall = /^\s*count\s*\((.*)\)\s*$/is
const countOverCall = /^count by \(__name__\) \(last_over_time\((.*)\[(\w+)\]\)\)$/s
const countByNameCall = /^count by \(__name__\) \((.*)\)$/s
const topCall = /^topk\(1, (timestamp\()?(\{.*\})\)?\)$/s
const rangeSelector = /^(.*)\[((?:\d+[a-z]+)+)\]\s*$/s
const timeCall = /^\s*time\s*\(\s*\)\s*$/

/**
 * Parses a query; fails with the text of Prometheus' error, or one of the same form.
 * `modern`: as since Prometheus 3.0, where names may be quoted and `.` in expressions matches a line feed.
 */
export const parseQuery = (text: string, modern = false): Result.Result<Query, string> => {
  if (timeCall.test(text)) return Result.succeed({ _tag: "Time" })
  const over = countOverCall.exec(text)
  const windowMillis = parseDuration(over?.[2] ?? "")
  if (over !== null && windowMillis !== undefined && windowMillis > 0) {
    return Result.map(parseVector(over[1]!, modern), (selector) => ({
      _tag: "CountOver",
      selector,
      windowMillis
    }))
  }
  const samples = rangeSelector.exec(text)
  const samplesMillis = parseDuration(samples?.[2] ?? "")
  if (samples !== null && samplesMillis !== undefined && samplesMillis > 0) {
    return Result.map(parseVector(samples[1]!, modern), (selector) => ({
      _tag: "Range",
      selector,
      windowMillis: samplesMillis
    }))
  }
  const top = topCall.exec(text)
  if (top !== null) {
    const [, timestamp, selector = ""] = top
    return Result.map(parseVector(selector, modern), (selector) => ({
      _tag: "Top",
      selector,
      isByTime: timestamp !== undefined
    }))
  }
  const byName = countByNameCall.exec(text)?.[1]
  if (byName !== undefined) return countOf("CountByName", text, byName, modern)
  const counted = countCall.exec(text)?.[1]
  return counted === undefined
    ? Result.map(parseVector(text, modern), (selector) => ({ _tag: "Selector", selector }))
    : countOf("Count", text, counted, modern)
}

/** Parses the selector within the last parentheses of a count. */
const countOf = (
  _tag: "Count" | "CountByName",
  text: string,
  counted: string,
  modern: boolean
): Result.Result<Query, string> => {
  const before = text.indexOf("(", _tag === "Count" ? 0 : text.indexOf(")")) + 1
  return Result.mapBoth(parseVector(counted, modern), {
    onFailure: (message) => message.replace(/^1:(\d+)/, (_, column) => `1:${Number(column) + before}`),
    onSuccess: (selector) => ({ _tag, selector })
  })
}

const parseVector = (text: string, modern: boolean): Result.Result<Selector, string> =>
  Result.gen(function* () {
    if (text.trim() === "") return yield* Result.fail("1:1: parse error: no expression found in input")
    const { name, matchers } = yield* parseParts(text, modern)
    if (name !== "" && matchers.some(({ label }) => label === "__name__")) {
      const error = `1:${name.length + 1}: parse error: metric name must not be set twice: "${name}"`
      return yield* Result.fail(error)
    }
    const selector = yield* compile(name, matchers, modern)
    if (!selector.matches([])) return selector
    return yield* Result.fail("1:1: parse error: vector selector must contain at least one non-empty matcher")
  })

/**
 * Parses a `match[]`: `name`, `{…}` or `name{…}`. The caller refuses a selector of everything, since the error differs. Unlike
 * in a query, a name before the braces does not exclude another one within.
 */
export const parseSelector = (text: string, modern = false): Result.Result<Selector, string> =>
  text.trim() === ""
    ? Result.fail("1:1: parse error: unexpected end of input")
    : Result.flatMap(parseParts(text, modern), ({ name, matchers }) => compile(name, matchers, modern))

interface SelectorParts {
  /** The name before the braces, or `""`. */
  readonly name: string
  readonly matchers: ReadonlyArray<Matcher.Matcher>
}

const parseParts = (text: string, modern: boolean): Result.Result<SelectorParts, string> => {
  const trimmed = text.trim()
  const name = metricName.exec(trimmed)?.[0] ?? ""
  const rest = trimmed.slice(name.length).trimStart()
  const position = `1:${name.length + 1}: parse error:`
  if (notMetric.test(name) || (rest === "" ? name === "" : !rest.startsWith("{"))) {
    return Result.fail(
      `${position} the mock evaluates selectors, and count() of one, but no other PromQL: use a real server for expressions`
    )
  }
  if (!modern && /["'`]/.test(rest.replace(quotedValue, ""))) {
    return Result.fail(`${position} unexpected string in label matching, expected identifier or "}"`)
  }
  return Result.mapBoth(Matcher.parse(rest), {
    onFailure: (message) => `${position} ${message}`,
    onSuccess: (matchers) => ({ name, matchers })
  })
}

/** Compiles matchers; with a name, those of a metric. */
export const compile = (
  name: string,
  matchers: ReadonlyArray<Matcher.Matcher>,
  dotAll: boolean
): Result.Result<Selector, string> => {
  const expressions = matchers.filter(({ operator }) => operator.endsWith("~"))
  const weight = expressions.reduce((sum, { value }) => sum + weightOf(value), 0)
  if (weight > MAX_WEIGHT) return Result.fail(`1:1: parse error: ${tooLarge}`)
  try {
    const all = name === "" ? matchers : [Matcher.ofMetric(name), ...matchers]
    const tests = all.map((matcher) => ({ label: matcher.label, test: compileOne(matcher, dotAll) }))
    return Result.succeed({
      matches: (labels) => tests.every(({ label, test }) => test(labelValue(labels, label))),
      weight
    })
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return Result.fail(`1:1: parse error: error parsing regexp: ${error.message}`)
  }
}

/** The error for regular expressions that would block the server's only thread for long. */
export const tooLarge =
  "the regular expressions are too large for the mock: use shorter ones, or fewer repetitions"

const compileOne = ({ operator, value }: Matcher.Matcher, dotAll: boolean): ((text: string) => boolean) => {
  const isMatch = operator.endsWith("~") ? compileFullMatch(value, dotAll) : (text: string) => text === value
  return operator.startsWith("!") ? (text) => !isMatch(text) : isMatch
}

/** The series that a selector selects, in the database's order. */
export const select = (database: MockDatabase, selector: Selector): ReadonlyArray<MockSeries> =>
  database.series.filter(({ labels }) => selector.matches(labels))

/** The index of the last of `times` at or before `timeMillis`, or -1. */
const lastAtOrBefore = (times: Float64Array, timeMillis: number): number => {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (times[middle]! <= timeMillis) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** Whether a series has a sample in `[startMillis, endMillis]`. */
export const hasSampleBetween = (series: MockSeries, startMillis: number, endMillis: number): boolean => {
  const last = lastAtOrBefore(series.times, endMillis)
  return last >= 0 && series.times[last]! >= startMillis
}

/** One series of a result: `values[i]` at `times[i]`. */
export interface ResultSeries {
  readonly labels: Labels
  readonly times: ReadonlyArray<number>
  readonly values: ReadonlyArray<number | Histogram>
  /** How many samples the engine holds for it. */
  readonly loaded: number
}

/** The series of a result that have points, each evaluated when it is needed. */
export function* evaluate(
  query: Query,
  database: MockDatabase,
  grid: Grid,
  options: EvaluateOptions
): Generator<ResultSeries> {
  if (query._tag === "Time") {
    yield timeSeries(grid)
    return
  }
  if (query._tag === "Range") {
    for (const series of select(database, query.selector)) {
      const found = samplesBefore(series, grid.startMillis, query.windowMillis, options)
      if (found.times.length > 0) yield found
    }
    return
  }
  if (query._tag === "CountOver") {
    const series = select(database, query.selector).map(withoutStale)
    yield* countByName(series, grid, { ...options, lookbackMillis: query.windowMillis })
    return
  }
  if (query._tag === "CountByName") {
    yield* countByName(select(database, query.selector), grid, options)
    return
  }
  if (query._tag === "Top") {
    yield* top(select(database, query.selector), query.isByTime, grid, options)
    return
  }
  const selected = Iterable.map(select(database, query.selector), (series) => range(series, grid, options))
  const result = query._tag === "Count" ? [count(selected)] : selected
  for (const series of result) if (series.times.length > 0) yield series
}

/**
 * The points of one series on a grid: each has the value of the latest sample at or before it that is not older than
 * the look-back, unless that sample is a stale marker.
 */
export const range = (
  { labels, times: samples, values: all }: MockSeries,
  grid: Grid,
  options: EvaluateOptions = defaultOptions
): ResultSeries => {
  const times: Array<number> = []
  const values: Array<number | Histogram> = []
  const existing = lastAtOrBefore(samples, options.untilMillis)
  let index = lastAtOrBefore(samples, Math.min(grid.startMillis, options.untilMillis))
  for (let time = grid.startMillis; time <= grid.endMillis; time += grid.stepMillis) {
    while (index < existing && samples[index + 1]! <= time) index++
    if (index < 0) continue
    const age = time - samples[index]!
    if (options.lookbackClosed ? age > options.lookbackMillis : age >= options.lookbackMillis) continue
    const value = all[index]!
    if (value === "stale") continue
    times.push(time)
    values.push(value)
  }
  return { labels, times, values, loaded: times.length }
}

/** The samples of a series in the window that ends at a time, whose left end is included like that of the look-back. */
const samplesBefore = (
  series: MockSeries,
  timeMillis: number,
  windowMillis: number,
  { lookbackClosed, untilMillis }: EvaluateOptions
): ResultSeries => {
  const { labels, times: all, values: allValues } = withoutStale(series)
  const end = Math.min(timeMillis, untilMillis)
  const start = timeMillis - windowMillis
  const within = allValues.flatMap((value, i) => {
    const time = all[i]!
    const isLate = lookbackClosed ? time >= start : time > start
    return value !== "stale" && isLate && time <= end ? [[time, value] as const] : []
  })
  return {
    labels,
    times: within.map(([time]) => time),
    values: within.map(([, value]) => value),
    loaded: within.length
  }
}

/** How many series have a value at each point at which any has. */
const count = (selected: Iterable<ResultSeries>): ResultSeries => {
  const counts = new Map<number, number>()
  for (const { times } of selected) {
    for (const time of times) counts.set(time, (counts.get(time) ?? 0) + 1)
  }
  const times = [...counts.keys()].sort((a, b) => a - b)
  const values = times.map((time) => counts.get(time)!)
  let counted = 0
  // Beside what it counts, the engine holds the results so far, and the input of the next one.
  let counting = 0
  for (const [results, value] of values.entries()) {
    counted += value
    counting = Math.max(counting, results + value + 1)
  }
  return { labels: [], times, values, loaded: counted + counting }
}

/** For each name, how many series have a value at each point at which any has. */
function* countByName(
  selected: ReadonlyArray<MockSeries>,
  grid: Grid,
  options: EvaluateOptions
): Generator<ResultSeries> {
  const byName = Map.groupBy(selected, ({ labels }) => labelValue(labels, METRIC_NAME))
  for (const [name, all] of [...byName].sort(([a], [b]) => byBytes(a, b))) {
    const found = count(all.map((series) => range(series, grid, options)))
    if (found.times.length > 0) yield { ...found, labels: [[METRIC_NAME, name]] }
  }
}

/** At one point: the series with the greatest value, or with the latest sample, whose time is then the value. */
function* top(
  selected: ReadonlyArray<MockSeries>,
  isByTime: boolean,
  grid: Grid,
  options: EvaluateOptions
): Generator<ResultSeries> {
  let greatest: ResultSeries | undefined
  for (const series of selected) {
    const found = range(series, grid, options)
    const [stored] = found.values
    if (stored === undefined || (!isByTime && typeof stored !== "number")) continue
    const last = lastAtOrBefore(series.times, Math.min(grid.startMillis, options.untilMillis))
    const value = isByTime ? series.times[last]! / 1000 : Number(stored)
    const labels = isByTime ? found.labels.filter(([name]) => name !== METRIC_NAME) : found.labels
    // A NaN is less than any number.
    if (greatest === undefined || Number.isNaN(greatest.values[0]) || value > Number(greatest.values[0])) {
      greatest = { ...found, labels, values: [value] }
    }
  }
  if (greatest !== undefined) yield greatest
}

/** A range has no stale markers. */
const withoutStale = (series: MockSeries): MockSeries => {
  if (!series.values.includes("stale")) return series
  const kept = series.values.flatMap((value, i) => (value === "stale" ? [] : [i]))
  return {
    ...series,
    times: Float64Array.from(kept, (i) => series.times[i]!),
    values: kept.map((i) => series.values[i]!)
  }
}

const timeSeries = ({ startMillis, endMillis, stepMillis }: Grid): ResultSeries => {
  const times: Array<number> = []
  for (let time = startMillis; time <= endMillis; time += stepMillis) times.push(time)
  return { labels: [], times, values: times.map((time) => time / 1000), loaded: times.length }
}
