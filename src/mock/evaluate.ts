/**
 * The part of PromQL that the mock understands: plain selectors, `count(…)` of one, and `time()`, with Prometheus' rules for
 * which sample is used at a point in time.
 */
import { Result } from "effect"
import * as Matcher from "../promql/Matcher.ts"
import type { Histogram } from "../samples/Sample.ts"
import { labelValue, type MockDatabase, type MockSeries, type MockValue } from "./MockSeries.ts"
import { compileFullMatch, MAX_WEIGHT, weightOf } from "./regexp.ts"

/** A query that the mock can evaluate. */
export type Query =
  | { readonly _tag: "Selector"; readonly selector: Selector }
  /** `count(…)`: how many series a selector selects. */
  | { readonly _tag: "Count"; readonly selector: Selector }
  /** `time()`: the time of evaluation in seconds. */
  | { readonly _tag: "Time" }

/** A compiled selector. */
export interface Selector {
  /** Whether it selects a series, given a lookup that returns `""` for an absent label. */
  readonly matches: (value: (label: string) => string) => boolean
  /** Whether it selects a series without labels: Prometheus refuses such a selector. */
  readonly matchesEmpty: boolean
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
const timeCall = /^\s*time\s*\(\s*\)\s*$/

const emptySelector = "vector selector must contain at least one non-empty matcher"

/**
 * Parses a query; fails with the text of Prometheus' error, or one of the same form.
 * `modern`: as since Prometheus 3.0, where names may be quoted and `.` in expressions matches a line feed.
 */
export const parseQuery = (text: string, modern = false): Result.Result<Query, string> => {
  if (timeCall.test(text)) return Result.succeed({ _tag: "Time" })
  const counted = countCall.exec(text)?.[1]
  if (counted !== undefined && !timeCall.test(counted) && !countCall.test(counted)) {
    const before = text.indexOf("(") + 1
    return Result.mapBoth(parseQuery(counted, modern), {
      onFailure: (message) => message.replace(/^1:(\d+)/, (_, column) => `1:${Number(column) + before}`),
      onSuccess: (query) => (query._tag === "Selector" ? { ...query, _tag: "Count" } : query)
    })
  }
  if (text.trim() === "") return Result.fail("1:1: parse error: no expression found in input")
  return Result.flatMap(parseParts(text, modern), ({ name, matchers }): Result.Result<Query, string> => {
    if (name !== "" && matchers.some((m) => m.label === "__name__")) {
      return Result.fail(`1:${name.length + 1}: parse error: metric name must not be set twice: "${name}"`)
    }
    return Result.flatMap(compile(name, matchers, modern), (selector) =>
      selector.matchesEmpty
        ? Result.fail(`1:1: parse error: ${emptySelector}`)
        : Result.succeed({ _tag: "Selector", selector })
    )
  })
}

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
    return Result.fail(`${position} the mock understands plain selectors, count() of one, and time() only`)
  }
  if (!modern && /["'`]/.test(rest.replace(quotedValue, ""))) {
    return Result.fail(`${position} unexpected string in label matching, expected identifier or "}"`)
  }
  return Result.mapBoth(Matcher.parse(rest), {
    onFailure: (message) => `${position} ${message}`,
    onSuccess: (matchers) => ({ name, matchers })
  })
}

const compile = (
  name: string,
  matchers: ReadonlyArray<Matcher.Matcher>,
  dotAll: boolean
): Result.Result<Selector, string> => {
  const weight = weigh(matchers)
  if (weight > MAX_WEIGHT) return Result.fail(`1:1: parse error: ${tooLarge}`)
  try {
    const all = name === "" ? matchers : [Matcher.ofMetric(name), ...matchers]
    const tests = all.map((matcher) => ({ label: matcher.label, test: compileOne(matcher, dotAll) }))
    return Result.succeed({
      matches: (value) => tests.every(({ label, test }) => test(value(label))),
      matchesEmpty: tests.every(({ test }) => test("")),
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

const weigh = (matchers: ReadonlyArray<Matcher.Matcher>): number =>
  matchers.reduce(
    (sum, { operator, value }) => (operator === "=~" || operator === "!~" ? sum + weightOf(value) : sum),
    0
  )

const compileOne = ({ operator, value }: Matcher.Matcher, dotAll: boolean): ((text: string) => boolean) => {
  if (operator === "=") return (text) => text === value
  if (operator === "!=") return (text) => text !== value
  const pattern = compileFullMatch(value, dotAll)
  const wanted = operator === "=~"
  return (text) => pattern.test(text) === wanted
}

/** The series that a selector selects, in the database's order. */
export const select = (database: MockDatabase, selector: Selector): ReadonlyArray<MockSeries> =>
  database.series.filter((series) => isSelected(series, selector))

export const isSelected = (series: MockSeries, selector: Selector): boolean =>
  selector.matches((name) => labelValue(series.labels, name))

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

/**
 * The points of one series on a grid: each has the value of the latest sample at or before it that is not older than
 * the look-back, unless that sample is a stale marker.
 */
export const range = (
  series: MockSeries,
  grid: Grid,
  options: EvaluateOptions = defaultOptions
): { readonly times: ReadonlyArray<number>; readonly values: ReadonlyArray<number | Histogram> } => {
  const times: Array<number> = []
  const values: Array<number | Histogram> = []
  const samples = series.times
  const existing = lastAtOrBefore(samples, options.untilMillis)
  let index = lastAtOrBefore(samples, Math.min(grid.startMillis, options.untilMillis))
  for (let time = grid.startMillis; time <= grid.endMillis; time += grid.stepMillis) {
    while (index < existing && samples[index + 1]! <= time) index++
    if (index < 0) continue
    const age = time - samples[index]!
    if (options.lookbackClosed ? age > options.lookbackMillis : age >= options.lookbackMillis) continue
    const value: MockValue = series.values[index]!
    if (value === "stale") continue
    times.push(time)
    values.push(value)
  }
  return { times, values }
}

/** How many of the series have a value at each point of a grid at which any has. */
export const count = (
  selected: ReadonlyArray<MockSeries>,
  grid: Grid,
  options: EvaluateOptions = defaultOptions
): { readonly times: ReadonlyArray<number>; readonly values: ReadonlyArray<number> } => {
  const counts = new Map<number, number>()
  for (const series of selected) {
    for (const time of range(series, grid, options).times) counts.set(time, (counts.get(time) ?? 0) + 1)
  }
  const times = Array.from(counts.keys()).sort((a, b) => a - b)
  return { times, values: times.map((time) => counts.get(time)!) }
}

/** The value of one series at one time, or undefined. */
export const instant = (
  series: MockSeries,
  timeMillis: number,
  options: EvaluateOptions = defaultOptions
): number | Histogram | undefined =>
  range(series, { startMillis: timeMillis, endMillis: timeMillis, stepMillis: 1 }, options).values[0]
