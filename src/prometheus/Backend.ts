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
  /** The exact rule for that age. Undefined if it is not known: the age above is then an assumption. */
  readonly lookback: Lookback | undefined
  /** Whether it may begin a range later than requested, beside the grid, without a word. */
  readonly mayMoveStart: boolean
  /** The expression whose value at each point of the grid is the latest sample of the selected series. */
  readonly latestSample: (selector: string) => string
  /** Lists of names or values with exactly so many entries may have been cut without a word. */
  readonly listLimits: ReadonlyArray<number>
}

/** How far before a point its sample may be. */
export interface Lookback {
  readonly lookbackMillis: number
  /** Whether a sample that is exactly as old as the look-back is too old, as it is since Prometheus 3. */
  readonly isLeftOpen: boolean
}

/** Prometheus' default, which all others share. */
export const DEFAULT_LOOKBACK_MILLIS = 300_000
