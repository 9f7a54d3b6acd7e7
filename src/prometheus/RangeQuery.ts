/** What is asked of a server: a range of time, and the query for its points. */
import type { Matcher } from "../promql/Matcher.ts"
import type { SeriesCache } from "../samples/Series.ts"
import type { ExternalLabels } from "./remoteRead/externalLabels.ts"

/** A closed range of time, in milliseconds since the epoch. For lists of names, an infinite end is none. */
export interface TimeRange {
  readonly startMillis: number
  readonly endMillis: number
}

/** A range query: points at start, start + step, … up to and including end, in milliseconds. */
export interface RangeQuery extends TimeRange {
  readonly query: string
  readonly stepMillis: number
  /** How old the sample of a point may be, instead of the server's look-back. Some servers ignore this. */
  readonly lookbackMillis?: number
  /** The series of earlier responses to the same query. */
  readonly series?: SeriesCache
}

/**
 * A form of the response to a remote read. `samples`: one message that is held in memory, at most 128 MiB, or 256 MiB
 * decompressed. `chunks`: the server's chunks, streamed.
 */
export type ResponseForm = "samples" | "chunks"

/** The stored samples of some series in a range of time. */
export interface StoredQuery extends TimeRange {
  /** A series must match all of them. */
  readonly matchers: ReadonlyArray<Matcher>
  /** The series of earlier responses to the same query. */
  readonly series?: SeriesCache
}

/** A remote read. */
export interface RemoteReadQuery extends StoredQuery {
  /** The server's external labels. A label with the same name and value is dropped from every series. */
  readonly externalLabels?: ExternalLabels
  /** The accepted forms of the response, the preferred one first. Chunks by default. */
  readonly accepted?: ReadonlyArray<ResponseForm>
  /** Whether the blocks have stale markers too, which end a series: see `remoteRead/staleMarkers.ts`. Not by default. */
  readonly keepStaleMarkers?: boolean
}
