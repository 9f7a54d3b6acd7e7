/** The records of `read` and `run`, for programs that parse them. */

/**
 * The data of one sample. Each label is a string in a column of its own. A label with the name of a column below is
 * `label_<name>`.
 */
export interface MetricRecord {
  /** UTC, `2026-01-01T00:00:00Z`, with milliseconds only if they are not zero. */
  readonly time: string
  /** Null if the value is not a finite number. The record then has a `special_value` or a `histogram`. */
  readonly value: number | null
  readonly special_value?: "NaN" | "+Inf" | "-Inf"
  /** 32 hex digits. Together with `time` it is the primary key. */
  readonly series_id: string
  readonly histogram?: RecordedHistogram
  /** Labels without a column. */
  readonly other_labels?: Readonly<Record<string, string>>
  /** The name of the metric, in the stream of a group. */
  readonly metric?: string
  /** All labels, in the stream of a group, or if the configuration has `label_columns: false`. */
  readonly labels?: Readonly<Record<string, string>>
  readonly [label: string]: unknown
}

/** A native histogram in Prometheus' format, with numbers as strings. */
export interface RecordedHistogram {
  readonly count: string
  readonly sum: string
  readonly buckets?: ReadonlyArray<readonly [boundaries: number, lower: string, upper: string, count: string]>
}
