/**
 * The library: a Prometheus server as Effect services and streams.
 *
 * `ConnectorConfig`, `PrometheusClient` and `StateStore` are services with layers; `read` is the program over them,
 * a `Stream` of events whose samples come as blocks of one series each.
 */
export { ConfigError, ConnectorConfig, InputFileError, type Settings } from "./ConnectorConfig.ts"
export { recycle } from "./prometheus/Arena.ts"
export type { MetricMetadata } from "./prometheus/Metadata.ts"
export { PrometheusClient, type RangeQuery, type TimeRange } from "./prometheus/PrometheusClient.ts"
export { type Blame, type Ending, PrometheusError, type Reason } from "./prometheus/PrometheusError.ts"
export {
  type FloatBlock,
  type Histogram,
  type HistogramBlock,
  type HistogramBucket,
  type Labels,
  type SampleBlock,
  type Series,
  valueText
} from "./prometheus/Sample.ts"
export { seriesId } from "./prometheus/Series.ts"
export { type DiscoveredMetric, discover } from "./sync/Discovery.ts"
export { type ReadEvent, type ReadOptions, read, type StreamRequest } from "./sync/Read.ts"
export { StateStore } from "./sync/StateStore.ts"
export { StreamState } from "./sync/StreamState.ts"
export type { GridRange } from "./sync/TimeGrid.ts"
