/** Where the samples of a read come from, as a service: how they are requested, and what is expected of a response. */
import { Context, type Effect, type Scope, type Stream } from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { Matcher } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import type { PartIndex } from "./SeriesPart.ts"
import type { GridRange } from "./TimeGrid.ts"

/** The samples of a response as they arrive. */
export type Response = Stream.Stream<SampleBlock, PrometheusError>

/** Which times the samples of a response may have. A `WindowLedger` refuses all others. */
export type Expectation =
  /** Points of a grid. */
  | ({ readonly _tag: "Grid" } & GridRange)
  /** Any time later than `fromMillis`, up to and including `toMillis`. */
  | { readonly _tag: "Raw"; readonly fromMillis: number; readonly toMillis: number }

/** One stream of a source. */
export interface StreamSource {
  /** The name of the metric that all of its series have; undefined if they may have any. */
  readonly metric: string | undefined
  /** What a response for a range has. Halves of a range are halves of what is expected, without a gap. */
  readonly expect: (range: GridRange) => Expectation
  /**
   * Requests a range of the series that satisfy the matchers. The effect ends when the response begins, so that the server works
   * on the next one while this one is consumed. The scope holds the connection.
   */
  readonly request: (
    range: GridRange,
    matchers: ReadonlyArray<Matcher>
  ) => Effect.Effect<Response, PrometheusError, Scope.Scope>
  /** Lists the series in a range, to request fewer at once. */
  readonly index: (range: GridRange) => PartIndex<PrometheusError>
}

/** A source of blocks of samples. */
export class BlockSource extends Context.Service<
  BlockSource,
  {
    /** Opens a stream for one read: its responses may share what they have in common. */
    readonly open: (stream: string) => StreamSource
  }
>()("source-prometheus/sync/BlockSource") {}
