/** The settings of individual streams: queries, groups, tables, and overrides for metrics. */
import { Effect, Result } from "effect"
import { type Expression, parseExpression } from "../promql/Expression.ts"
import { type Matcher, parse as parseSelector } from "../promql/Matcher.ts"
import { compilePattern, type MetricFilter, type NamePattern } from "../promql/MetricFilter.ts"
import type { Config } from "./keys.ts"

/** A stream of the series of a PromQL expression. */
export interface QuerySettings {
  readonly name: string
  readonly expression: Expression
  /** Undefined for the general step. */
  readonly stepSeconds: number | undefined
}

/** A stream of all series of several metrics. */
export interface GroupSettings {
  readonly name: string
  readonly metrics: MetricFilter
}

/** `step`: one data point per step and series. `raw`: every stored sample with its own time. */
export type Sampling = Config["sampling"]

/** Settings that replace the general ones for some metrics. */
export interface Override {
  readonly metrics: NamePattern
  readonly stepSeconds: number | undefined
  readonly matchers: ReadonlyArray<Matcher> | undefined
  readonly sampling: Sampling | undefined
}

/** One of Prometheus' own tables. */
export type TableName = NonNullable<Config["tables"]>[number]

/** The settings of individual streams. */
export interface StreamSettings {
  readonly queries: ReadonlyArray<QuerySettings>
  readonly groups: ReadonlyArray<GroupSettings>
  /** The first one that matches a metric applies. */
  readonly overrides: ReadonlyArray<Override>
  readonly tables: ReadonlyArray<TableName>
}

/** Only streams of metrics, all with the general settings. */
export const noStreamSettings: StreamSettings = { queries: [], groups: [], overrides: [], tables: [] }

/** The name of the stream of a table. */
export const tableStreamName = (table: TableName): string => `prometheus_${table}`

/** Compiles the patterns under `path`. Returns those that are valid, and the problems of the others. */
export const compileFilter = Effect.fnUntraced(function* (metrics: Config["metrics"], path: string) {
  const [include, includeProblems] = yield* compileAll(metrics?.include ?? [], `${path}.include`)
  const [exclude, excludeProblems] = yield* compileAll(metrics?.exclude ?? [], `${path}.exclude`)
  const filter: MetricFilter = { include, exclude }
  return [filter, [...includeProblems, ...excludeProblems]] as const
})

const compileAll = (patterns: ReadonlyArray<string>, path: string) =>
  Effect.partition(patterns, (pattern) =>
    Effect.mapError(compilePattern(pattern), (problem) => `${path}: ${problem}.`)
  )

/** The settings of individual streams, and the problems of their expressions and patterns. Invalid keys are absent. */
export const streamSettingsOf = Effect.fnUntraced(function* ({
  groups = [],
  overrides = [],
  queries = [],
  tables = []
}: Partial<Config>) {
  const problems: Array<string> = []
  const [parsedQueries, queryProblems] = yield* Effect.partition(
    queries.map((query, index) => ({ query, index })),
    ({ index, query: { expression, name, step } }) =>
      Effect.mapBoth(parseExpression(expression), {
        onSuccess: (expression): QuerySettings => ({ name, expression, stepSeconds: step }),
        onFailure: (problem) => `queries[${index}].expression, of the stream ${name}, ${problem}.`
      })
  )
  const compiledGroups = yield* Effect.forEach(groups, ({ metrics, name }, index) =>
    Effect.map(compileFilter(metrics, `groups[${index}].metrics`), ([filter, found]): GroupSettings => {
      problems.push(...found)
      return { name, metrics: filter }
    })
  )
  const [compiledOverrides, overrideProblems] = yield* Effect.partition(
    overrides.map((override, index) => ({ override, index })),
    ({ index, override: { metrics, sampling, selector, step } }) =>
      Effect.mapBoth(compilePattern(metrics), {
        onSuccess: (pattern): Override => ({
          metrics: pattern,
          stepSeconds: step,
          matchers: selector === undefined ? undefined : Result.getOrElse(parseSelector(selector), () => []),
          sampling
        }),
        onFailure: (problem) => `overrides[${index}].metrics: ${problem}.`
      })
  )
  const settings: StreamSettings = {
    queries: parsedQueries,
    groups: compiledGroups,
    overrides: compiledOverrides,
    tables: [...new Set(tables)]
  }
  return [settings, [...queryProblems, ...problems, ...overrideProblems]] as const
})
