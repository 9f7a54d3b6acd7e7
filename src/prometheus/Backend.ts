/** What kind of server responds, and what that means for a reader. */

/** The kinds of servers that have a profile of their own. */
export type BackendKind =
  | "prometheus"
  | "prometheus2"
  | "prometheus3"
  | "victoriaMetrics"
  | "victoriaMetricsCluster"
  | "thanos"
  | "mimir"
  | "cortex"
  | "grafanaCloud"
  | "amazon"
  | "google"
  | "azure"
  | "m3"
  | "unknown"

/** A server, as far as its kind is known. */
export interface Backend {
  readonly kind: BackendKind
  /** For people, with the version if it is known: `Prometheus 3.16.0`. */
  readonly name: string
  /** The maximum age of the sample that a point of the grid has. */
  readonly lookbackMillis: number
  /** Whether it may begin a range later than requested, beside the grid, without a word. */
  readonly mayMoveStart: boolean
  /** The expression whose value at each point of the grid is the latest sample of the selected series. */
  readonly latestSample: (selector: string) => string
  /** Lists of names or values with exactly so many entries may have been cut without a word. */
  readonly listLimits: ReadonlyArray<number>
}

/** Prometheus' default, which all others share. */
export const DEFAULT_LOOKBACK_MILLIS = 300_000
