/** Samples as plain objects: the data of one metric and nothing else. */
import { Stream } from "effect"
import type { ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { recycle } from "../samples/Arena.ts"
import { type Histogram, numberAt, type SampleBlock } from "../samples/Sample.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import { read } from "./Read.ts"
import { StateStore } from "./StateStore.ts"

/** One sample of one series. */
export interface Sample {
  /** Precise to the millisecond. A multiple of the step since 1970. */
  readonly time: Date
  /** The server's exact number, which may be NaN or infinite. NaN if the sample is a `histogram`. */
  readonly value: number
  /** A native histogram, numbers in the server's digits. */
  readonly histogram: Histogram | undefined
  /** By name, without the name of the metric. All samples of a block share this object. */
  readonly labels: Readonly<Record<string, string>>
  /** 32 hex digits, hashed from the metric and its labels, which never change. Together with `time` it is the key of a sample. */
  readonly seriesId: string
}

/** The samples of a block, in order. They do not share its memory, so the block may be recycled afterwards. */
export const samplesOf = (block: SampleBlock): ReadonlyArray<Sample> => {
  const labels = Object.fromEntries(block.series.labels.filter(([name]) => name !== METRIC_NAME))
  const isHistogram = block._tag === "HistogramBlock"
  return Array.from({ length: block.length }, (_, i) => ({
    time: new Date(block.times[i]!),
    value: isHistogram ? Number.NaN : numberAt(block, i),
    histogram: isHistogram ? block.histograms[i] : undefined,
    labels,
    seriesId: block.series.id
  }))
}

/**
 * All samples of a metric in the configured range, each exactly once: in the order of time for a single series, and window by
 * window for several. Requests are retried, split and made ahead as in every read. Only a few windows are in memory.
 *
 * A failed read fails the stream, after the samples before the failure. For several metrics, progress and state, use `read`.
 */
export const samples = (
  metric: string
): Stream.Stream<Sample, PrometheusError | ConfigError, ConnectorConfig | PrometheusClient> =>
  read([{ name: metric, mode: "full_refresh" }]).pipe(
    Stream.flatMap((event) => {
      if (event._tag === "Failed") return Stream.fail(event.error)
      return Stream.fromIterable(event._tag === "Samples" ? event.blocks : [])
    }),
    Stream.flatMap((block) => {
      const samples = samplesOf(block)
      recycle(block)
      return Stream.fromArray(samples)
    }),
    Stream.provide(StateStore.layerMemory())
  )
