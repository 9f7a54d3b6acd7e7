/** The source of a read's samples as a service: how they are requested, and what a response may contain. */
import { Context, type Effect, type Scope, type Stream } from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { Matcher } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import type { SeriesCounts } from "./countByMetric.ts"
import type { PartIndex, SeriesPart } from "./SeriesPart.ts"
import type { StreamDefinition } from "./StreamDefinition.ts"
import type { GridRange } from "./TimeGrid.ts"
import type { WindowBounds } from "./WindowSize.ts"

/** The samples of a response as they arrive. */
export type Response = Stream.Stream<SampleBlock, PrometheusError>

/** One stream of a source. */
export interface StreamSource {
  /** The names of its metrics, which must be complete when a response arrives; undefined if series may have any name. */
  readonly metrics: ReadonlySet<string> | undefined
  /** Its series, if they are of several metrics or need several requests. Evaluated before the first request. */
  readonly series?: Effect.Effect<SeriesPart, PrometheusError>
  /**
   * Estimates how many series each metric of a part has at a time. Fails if the server does not count them. Undefined if it
   * never does.
   */
  readonly countSeries?: (
    timeMillis: number,
    part: SeriesPart
  ) => Effect.Effect<SeriesCounts, PrometheusError>
  /** The sizes of its windows. */
  readonly bounds: WindowBounds
  /**
   * The times that the samples of a response for a range may have: a `WindowLedger` rejects all others. Stored samples, which may
   * have any time, are on a grid of one millisecond. The halves of a range cover it without a gap.
   */
  readonly expect: (range: GridRange) => GridRange
  /**
   * Requests a range of the series that satisfy the matchers. The effect ends when the response begins, so that the server can
   * evaluate the next request while this response is consumed. The scope holds the connection.
   */
  readonly request: (
    range: GridRange,
    matchers: ReadonlyArray<Matcher>
  ) => Effect.Effect<Response, PrometheusError, Scope.Scope>
  /** Whether the server may begin a range later than requested, beside the grid, without a word. */
  readonly mayMoveStart: Effect.Effect<boolean>
  /**
   * The samples at one point of a series that the server refuses to return, looked for only shortly before it: older samples may
   * be damaged. Empty if that does not find any, or none that are surely those of the point.
   */
  readonly closeTo: (
    point: GridRange,
    matchers: ReadonlyArray<Matcher>
  ) => Effect.Effect<ReadonlyArray<SampleBlock>>
  /** Why samples may be missing although no response says so, as a sentence. */
  readonly missing: Effect.Effect<string | undefined, PrometheusError>
  /** Lists the series in a range, so that a request can be split. */
  readonly index: (range: GridRange) => PartIndex
  /**
   * The first point of a range from which on to read, because all points before it are certainly empty. At most the last point.
   * Called after empty responses, if the source can find that out with a few requests. Never fails, and never takes long.
   */
  readonly beginning?: (range: GridRange) => Effect.Effect<number>
  /**
   * Why the stream has no samples in a range that was read, as a sentence; undefined if there is nothing to say. Never fails, and
   * never takes long.
   */
  readonly explainEmpty?: (range: GridRange) => Effect.Effect<string | undefined>
}

/** A source of blocks of samples. */
export class BlockSource extends Context.Service<
  BlockSource,
  {
    /** Opens a stream for one read. Its responses may share caches. */
    readonly open: (definition: StreamDefinition) => StreamSource
  }
>()("source-prometheus/sync/BlockSource") {}
