/** The source of a query: the values of its expression. */
import { Effect, type Scope, Stream } from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { type Matcher, render } from "../promql/Matcher.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import type { Response, StreamSource } from "./BlockSource.ts"
import { aboutQuery } from "./queryProbe.ts"
import type { PartIndex } from "./SeriesPart.ts"
import type { QueryStream } from "./StreamDefinition.ts"
import type { GridRange } from "./TimeGrid.ts"
import { gridBounds } from "./WindowSize.ts"

interface QueryOptions extends Pick<StreamSource, "mayMoveStart" | "missing"> {
  /** Evaluates an expression at the points of a range. */
  readonly evaluate: (
    range: GridRange,
    expression: string
  ) => Effect.Effect<Response, PrometheusError, Scope.Scope>
  /** Lists the series that satisfy matchers. */
  readonly index: (range: GridRange, matchers: ReadonlyArray<Matcher>) => PartIndex
}

/** Opens the source. Only the series of a plain selector can be requested in parts. */
export const querySource = (
  query: QueryStream,
  { evaluate, index, mayMoveStart, missing }: QueryOptions
): StreamSource => {
  const { matchers: own, text } = query.expression
  return {
    metrics: undefined,
    bounds: gridBounds,
    expect: (range) => range,
    request: (range, matchers) =>
      evaluate(range, own === undefined || matchers.length === 0 ? text : render([...own, ...matchers])).pipe(
        Effect.map(Stream.mapError((error) => aboutQuery(query, error))),
        Effect.mapError((error) => aboutQuery(query, error))
      ),
    mayMoveStart,
    // Its value may depend on any samples before the point.
    closeTo: () => Effect.succeed([]),
    missing,
    index: (range) => (own === undefined ? noIndex : withMetricNames(index(range, own), own))
  }
}

/** A selector of several metrics may have series that differ in nothing but the name, which is not among the listed labels. */
const withMetricNames = (index: PartIndex, own: ReadonlyArray<Matcher>): PartIndex =>
  own.some(({ label, operator }) => label === METRIC_NAME && operator === "=")
    ? index
    : {
        ...index,
        labelNames: (matchers) => Effect.map(index.labelNames(matchers), (names) => [METRIC_NAME, ...names])
      }

/** Matchers would change the value of an expression, so its series cannot be listed in parts. */
const noIndex: PartIndex = { labelNames: () => Effect.succeed([]), labelValues: () => Effect.succeed([]) }
