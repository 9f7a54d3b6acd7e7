/** The manifest of a stream, which all destinations save with its rows, and the states in it. */
import { Effect, Result, Schema } from "effect"
import { decodeState, StateReader } from "../sync/StateStore.ts"
import { decodeStreamState, type StreamState } from "../sync/StreamState.ts"
import { isRefresh, type SyncMode } from "./Destination.ts"

/** The part of a manifest that all destinations share. Each destination adds the location of the rows. */
export interface StreamManifest {
  readonly stream: string
  /** The saved state that incremental syncs resume. */
  readonly state?: unknown
  /** The state of a full refresh that is not complete. */
  readonly refreshState?: unknown
  /** The location of the rows of that refresh, in overwrite mode. A refresh that appends has none. */
  readonly next?: unknown
  /** The length of its parts in milliseconds, if several processes write it. */
  readonly partMillis?: number
}

/** The schema fields of all manifests. */
export const manifestFields = {
  version: Schema.Literal(1),
  stream: Schema.String,
  state: Schema.optionalKey(Schema.Unknown),
  refreshState: Schema.optionalKey(Schema.Unknown),
  partMillis: Schema.optionalKey(Schema.Int)
}

/** A number of things, or a position. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The states that a read in a mode resumes. Saving them is part of a commit. */
export const stateReaderOf =
  ({ manifests }: { readonly manifests: ReadonlyMap<string, StreamManifest> }) =>
  (mode: SyncMode): StateReader["Service"] =>
    StateReader.of({
      load: (stream) => {
        const manifest = manifests.get(stream)
        if (manifest === undefined) return Effect.succeedNone
        const { refreshState, state } = manifest
        if (!isRefresh(mode)) return decodeState(stream, state)
        return decodeState(stream, isOfMode(manifest, mode) ? refreshState : undefined)
      }
    })

/** The lengths of the parts of all streams that have one, in milliseconds. */
export const partLengthsOf =
  ({ manifests }: { readonly manifests: ReadonlyMap<string, StreamManifest> }) =>
  (): ReadonlyMap<string, number> =>
    new Map(
      Array.from(manifests.values()).flatMap(({ partMillis, stream }) =>
        partMillis === undefined ? [] : [[stream, partMillis] as const]
      )
    )

/** The state of a full refresh that is not complete. */
export const refreshInProgress = ({ refreshState, stream }: StreamManifest): StreamState | undefined =>
  Result.getOrUndefined(decodeStreamState(stream, refreshState))

/** Whether a refresh in progress would be in this mode. */
const isOfMode = ({ next }: StreamManifest, mode: SyncMode): boolean =>
  isRefresh(mode) && (mode === "full_refresh_overwrite") === (next !== undefined)

/** The state of a stopped full refresh. Only a refresh in the same mode resumes it. */
export const refreshOf = (manifest: StreamManifest, mode: SyncMode): StreamState | undefined =>
  isOfMode(manifest, mode) ? refreshInProgress(manifest) : undefined

/** The later of two times. Null is no time. */
export const later = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.max(a, b)
