/** Samples as plain objects: the data of one stream and nothing else. */
import { Effect, Stream } from "effect"
import { ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { recycle } from "../samples/Arena.ts"
import { type Histogram, numberAt, type SampleBlock } from "../samples/Sample.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import { read } from "./Read.ts"
import { StateStore } from "./StateStore.ts"
import { definitionOf } from "./StreamDefinition.ts"

/** One sample of one series. */
export interface Sample {
  /** Precise to the millisecond. A multiple of the step since 1970; with `sampling: raw`, the sample's own time. */
  readonly time: Date
  /** The server's exact number, which may be NaN or infinite. NaN if the sample is a `histogram`. */
  readonly value: number
  /** A native histogram, numbers in the server's digits. */
  readonly histogram: Histogram | undefined
  /**
   * By name. All samples of a block share this object. `__name__` is the name of the metric, and only in the samples of a group, and
   * of a query whose result has it.
   */
  readonly labels: Readonly<Record<string, string>>
  /** 32 hex digits, hashed from the metric and its labels, which never change. Together with `time` it is the key of a sample. */
  readonly seriesId: string
}

/**
 * The samples of a block, in order. They do not share its memory, so the block may be recycled afterwards. `keepsName`: whether the
 * labels include `__name__`, which distinguishes series of several metrics.
 */
export const samplesOf = (
  block: SampleBlock,
  { keepsName = false }: { readonly keepsName?: boolean } = {}
): ReadonlyArray<Sample> => {
  const labels = Object.fromEntries(block.series.labels.filter(([name]) => keepsName || name !== METRIC_NAME))
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
 * All samples of a metric, a query or a group in the configured range, each exactly once: in the order of time for a single series,
 * and window by window for several. Requests are retried, split and made ahead as in every read. Only a few windows are in memory.
 *
 * A failed read fails the stream, after the samples before the failure. For several streams, tables, progress and state, use `read`.
 */
export const samples = (
  name: string
): Stream.Stream<Sample, PrometheusError | ConfigError, ConnectorConfig | PrometheusClient> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { _tag } = definitionOf(yield* ConnectorConfig, name)
      if (_tag === "Table") {
        return yield* new ConfigError({
          message: `The stream ${name} is a table: it has rows, and no samples. Read it with read, whose events Rows have them.`
        })
      }
      return samplesIn(name, _tag !== "Metric")
    })
  )

const samplesIn = (name: string, keepsName: boolean) =>
  read([{ name, mode: "full_refresh" }]).pipe(
    Stream.flatMap((event) => {
      if (event._tag === "Failed") return Stream.fail(event.error)
      return Stream.fromIterable(event._tag === "Samples" ? event.blocks : [])
    }),
    Stream.flatMap((block) => {
      const samples = samplesOf(block, { keepsName })
      recycle(block)
      return Stream.fromArray(samples)
    }),
    Stream.provide(StateStore.layerMemory())
  )
