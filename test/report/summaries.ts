/** Summaries for tests. */
import type { Curve, RunSummary, StreamSummary } from "../../src/run/Progress.ts"

export const start = Date.UTC(2026, 0, 1)

/** Values by the minute. */
export const curveOf = (values: ReadonlyArray<number>, label = "{}"): Curve => ({
  label,
  times: Float64Array.from(values, (_, i) => start + i * 60_000),
  values: Float64Array.from(values)
})

export const streamOf = (name: string, given: Partial<StreamSummary> = {}): StreamSummary => ({
  name,
  error: undefined,
  series: 2,
  rows: 2880,
  span: [start, start + 86_340_000],
  seconds: 1.25,
  retries: 0,
  curves: [curveOf([0, 1, 2, 3, 4, 5, 6, 7])],
  ...given
})

export const failedStream = (name: string, error: string): StreamSummary =>
  streamOf(name, { error, rows: 0, series: 0, span: undefined, curves: [] })

export const runOf = (
  streams: ReadonlyArray<StreamSummary>,
  given: Partial<RunSummary> = {}
): RunSummary => ({
  source: "http://localhost:9090",
  destination: "prometheus.duckdb",
  mode: "incremental_append",
  stepSeconds: 60,
  startedAt: start + 86_400_000,
  seconds: 2.5,
  rows: streams.reduce((total, { rows }) => total + rows, 0),
  bytes: 1_234_567,
  cost: { requests: 12, bytes: 34_567, samples: 8640, serverCpuSeconds: 0.31 },
  previewCommand: "duckdb prometheus.duckdb 'from up'",
  streams,
  ...given
})
