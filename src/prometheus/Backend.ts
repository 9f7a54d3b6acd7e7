/** What kind of server responds, and what that means for a reader. */

/** A kind of server. */
export interface Backend {
  /** For people, with the version if it is known: `Prometheus 3.16.0`. */
  readonly name: string
  /** The maximum age of the sample that a point of the grid has. */
  readonly lookbackMillis: number
  /** The expression whose value at each point of the grid is the latest sample of the selected series. */
  readonly latestSample: (selector: string) => string
}

/** A server that is not known evaluates a selector with Prometheus' default look-back. */
export const unknownBackend: Backend = {
  name: "unknown",
  lookbackMillis: 300_000,
  latestSample: (selector) => selector
}
