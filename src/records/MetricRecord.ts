/** A record as `read` and `run` write it, for programs that read it. */

/** The data of one sample. Labels are texts in columns of their own; one called like a column here is `label_<name>`. */
export interface MetricRecord {
  /** UTC, `2026-01-01T00:00:00Z`, with milliseconds only where they are not zero. */
  readonly time: string
  /** Null where the value is no finite number: then there is a `special_value` or a `histogram`. */
  readonly value: number | null
  readonly special_value?: "NaN" | "+Inf" | "-Inf"
  /** 32 hex digits; with `time` the primary key. */
  readonly series_id: string
  readonly histogram?: RecordedHistogram
  /** Labels without a column of their own. */
  readonly other_labels?: Readonly<Record<string, string>>
  /** All labels, where the configuration asks for one column with `label_columns: false`. */
  readonly labels?: Readonly<Record<string, string>>
  readonly [label: string]: unknown
}

/** A native histogram as Prometheus writes it, numbers as text. */
export interface RecordedHistogram {
  readonly count: string
  readonly sum: string
  readonly buckets?: ReadonlyArray<readonly [boundaries: number, lower: string, upper: string, count: string]>
}
