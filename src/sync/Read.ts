/**
 * The read program: streams of metrics, each paginated over step windows, as one Effect `Stream` of events.
 *
 * Within a metric's stream, windows come in order and each ends with a checkpoint; the next window is requested while this one is
 * consumed. Several metrics are read side by side; the number of queries at a time is bounded.
 */
import { Effect, Ref, Semaphore, Stream } from "effect"
import { type ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { BlockSource } from "./BlockSource.ts"
import { makePlan } from "./makePlan.ts"
import type { StreamPlan, StreamRequest } from "./plan.ts"
import * as QueryRangeSource from "./QueryRangeSource.ts"
import type { ReadEvent, ReadOptions } from "./ReadEvent.ts"
import { readStream } from "./readStream.ts"
import type { StateReader } from "./StateReader.ts"

/** How many streams keep the server busy with so many queries at a time: while one starts, with small windows, others end. */
const sideBySide = (queries: number): number => (queries === 1 ? 1 : queries + 1)

/**
 * Reads streams by `query_range`. A stream that fails ends with `Failed` and leaves the others alone; only a failure that concerns
 * all of them (the server cannot be reached, credentials are refused) fails the read.
 *
 * A damaged state of any stream fails before the first request.
 */
export const read = (
  requests: ReadonlyArray<StreamRequest>,
  options: ReadOptions = {}
): Stream.Stream<
  ReadEvent,
  PrometheusError | ConfigError,
  ConnectorConfig | PrometheusClient | StateReader
> =>
  Stream.unwrap(Effect.map(makePlan(requests, options), ({ streams }) => readPlanned(streams, options))).pipe(
    Stream.provide(QueryRangeSource.layer)
  )

/** Reads what is planned, from the `BlockSource`. */
export const readPlanned = (
  streams: ReadonlyArray<StreamPlan>,
  options: ReadOptions = {}
): Stream.Stream<ReadEvent, PrometheusError, ConnectorConfig | BlockSource> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const settings = yield* ConnectorConfig
      const source = yield* BlockSource
      const shared = {
        settings,
        source,
        permits: yield* Semaphore.make(settings.concurrency),
        largestResponse: yield* Ref.make(0),
        options
      }
      return Stream.fromIterable(streams.map((stream) => readStream(stream, shared))).pipe(
        Stream.flatten({
          concurrency: options.concurrentStreams ?? sideBySide(settings.concurrency),
          bufferSize: 1
        })
      )
    })
  )
