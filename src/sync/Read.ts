/**
 * The read program: streams of metrics, each read window by window, as one Effect `Stream` of events.
 *
 * The windows of a stream come in order, and each ends with a checkpoint. The next windows are requested while one is consumed.
 * Several streams are read concurrently, with a limit on concurrent queries.
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

/** How many streams keep the server busy with this many concurrent queries: while one starts with small windows, others end. */
const streamsFor = (queries: number): number => (queries === 1 ? 1 : queries + 1)

/**
 * Reads streams with `query_range`. A failed stream ends with `Failed` and does not affect the others. Only a failure that
 * concerns all of them (the server cannot be reached, credentials are refused) fails the read.
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

/** Reads a plan from the `BlockSource`. */
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
          concurrency: options.concurrentStreams ?? streamsFor(settings.concurrency),
          bufferSize: 1
        })
      )
    })
  )
