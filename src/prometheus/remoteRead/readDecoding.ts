/** How a response to a remote read is decoded, in either form. */
import type { SeriesCache } from "../../samples/Series.ts"
import type { TimeRange } from "../RangeQuery.ts"
import type { ExternalLabels } from "./externalLabels.ts"

/** What decoding needs besides the bytes. */
export interface ReadDecoding {
  /** Samples outside of it are left out: servers may send complete chunks. Both ends are included. */
  readonly range: TimeRange
  /** The series of earlier responses to the same query. */
  readonly series: SeriesCache | undefined
  readonly excludedLabels: ReadonlySet<string>
  /** Labels that the server added. */
  readonly externalLabels?: ExternalLabels | undefined
  /** Whether blocks have stale markers too: see `staleMarkers`. */
  readonly keepStaleMarkers?: boolean | undefined
  /** Whether a streamed response must end with the result of a second query: see `sentinel`. */
  readonly hasSentinel?: boolean | undefined
  /** Whether the response may be one message of samples, in which a zero has no sign. */
  readonly acceptsSamples?: boolean | undefined
}
