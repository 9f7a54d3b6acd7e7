/**
 * The library: a Prometheus server as Effect services and streams.
 *
 * `ConnectorConfig`, `PrometheusClient`, `StateReader` and `StateStore` are services with layers. `samples` streams the samples
 * of one metric, query or group as plain objects. `read` is the program of every sync over several streams: it streams events with
 * blocks of samples, each of one series, or of rows of a table, and checkpoints of state between them.
 */

// The configuration.

export { ConfigError, ConnectorConfig, type Settings } from "./config/ConnectorConfig.ts"
export { InputFileError } from "./config/inputFile.ts"
export type { ConfigInput } from "./config/keys.ts"
export type { GroupSettings, Override, QuerySettings, TableName } from "./config/StreamSettings.ts"

// The server.

export type { Backend, BackendKind } from "./prometheus/Backend.ts"
export type { MetricMetadata } from "./prometheus/Metadata.ts"
export { PrometheusClient } from "./prometheus/PrometheusClient.ts"
export {
  type ErrorAction,
  type ErrorAttribution,
  type ErrorPolicy,
  PrometheusError,
  type Reason
} from "./prometheus/PrometheusError.ts"
export type { RangeQuery, RemoteReadQuery, ResponseForm, TimeRange } from "./prometheus/RangeQuery.ts"
export { tableSchemas } from "./prometheus/tables/schemas.ts"
export type { Expression } from "./promql/Expression.ts"
export type { Matcher } from "./promql/Matcher.ts"
export type { MetricFilter, NamePattern } from "./promql/MetricFilter.ts"

// Reading: discovery; the samples of one stream; or all events of many streams.

export { type DiscoveredStream, discover } from "./sync/Discovery.ts"
export type { StreamRequest } from "./sync/plan.ts"
export { read } from "./sync/Read.ts"
export type { ReadEvent, ReadOptions } from "./sync/ReadEvent.ts"
export { type Sample, samples, samplesOf } from "./sync/samples.ts"
export type { GridRange } from "./sync/TimeGrid.ts"

// State between two reads.

export { type Checkpoint, StateReader, StateStore, StateStoreError } from "./sync/StateStore.ts"
export { decodeStreamState, encodeStreamState, StreamState } from "./sync/StreamState.ts"

// Samples in blocks, and as records.

export type { MetricRecord, RecordedHistogram } from "./records/MetricRecord.ts"
export {
  type FloatBlock,
  type Histogram,
  type HistogramBlock,
  type HistogramBucket,
  type Labels,
  type NumberBlock,
  numberAt,
  type SampleBlock,
  type Series,
  type TextBlock,
  textAt
} from "./samples/Sample.ts"
export { seriesId } from "./samples/Series.ts"

// Rows of tables.

export type { Cell, ColumnKind, Row, RowBlock, TableColumn, TableSchema } from "./samples/TableRow.ts"
