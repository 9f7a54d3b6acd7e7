/** The manifest of a stream, which all destinations save with its rows, and the states in it. */
import { Effect, Result, Schema } from "effect"
import { ConfigError } from "../config/ConnectorConfig.ts"
import { type StreamKind, streamKinds } from "../samples/Layout.ts"
import { decodeState, StateReader } from "../sync/StateStore.ts"
import { decodeStreamState, type StreamState } from "../sync/StreamState.ts"
import { DestinationError, isRefresh, type SavedStream, type SyncMode } from "./Destination.ts"
import type { OpenOptions, StreamShapes } from "./DestinationKind.ts"

/** The part of a manifest that all destinations share. Each destination adds the location of the rows. */
export interface StreamManifest {
  readonly stream: string
  /** What its rows are. */
  readonly kind: StreamKind
  /** The kind of the rows of an unfinished full refresh in overwrite mode. */
  readonly nextKind?: StreamKind
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
  kind: Schema.Literals(streamKinds),
  nextKind: Schema.optionalKey(Schema.Literals(streamKinds)),
  state: Schema.optionalKey(Schema.Unknown),
  refreshState: Schema.optionalKey(Schema.Unknown),
  partMillis: Schema.optionalKey(Schema.Int)
}

/** A number of things, or a position. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Manifests, and what a run writes to their streams in a destination with this name. */
interface Opened extends Pick<StreamShapes, "kindOf"> {
  readonly name: string
  readonly manifests: ReadonlyMap<string, StreamManifest>
}

/** The states that a read in a mode resumes. Saving them is part of a commit. Fails for a stream of another kind. */
export const stateReaderOf =
  ({ kindOf, manifests, name }: Opened) =>
  (mode: SyncMode): StateReader["Service"] =>
    StateReader.of({
      load: (stream) => {
        const manifest = manifests.get(stream)
        if (manifest === undefined) return Effect.succeedNone
        const { refreshState, state } = manifest
        const kind = kindOf(stream)
        const refusal = refusalOfKind(name, manifest, kind, mode)
        // Fail before anything is read, not after.
        if (refusal !== undefined) return Effect.fail(new ConfigError({ message: refusal }))
        if (!isRefresh(mode)) return decodeState(stream, state)
        return decodeState(stream, isOfMode(manifest, mode, kind) ? refreshState : undefined)
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

/** Why a run must not write rows of a kind to a stream in this mode; undefined if it may. */
export const refusalOfKind = (
  name: string,
  { kind: saved, stream }: Pick<StreamManifest, "kind" | "stream">,
  kind: StreamKind,
  mode: SyncMode
): string | undefined => {
  // A refresh that replaces all rows may change what they are.
  if (saved === kind || mode === "full_refresh_overwrite") return undefined
  const isNamed = kind === "query" || kind === "group"
  return `${name} has rows of the ${saved} ${stream}, and this run reads a ${kind} with that name. ${isNamed ? `Give the ${kind} another name, choose` : "Choose"} another destination, or replace the rows with --full-refresh.`
}

/** Fails if a run must not write streams of a kind to a stream in this mode. */
export const refuseKind = (
  ...given: Parameters<typeof refusalOfKind>
): Effect.Effect<void, DestinationError> =>
  Effect.suspend(() => {
    const refusal = refusalOfKind(...given)
    return refusal === undefined ? Effect.void : new DestinationError({ message: refusal })
  })

/** Options that open each stream as its saved kind, whatever a run reads. */
export const asSaved = (
  options: OpenOptions,
  manifests: ReadonlyArray<Pick<StreamManifest, "kind" | "stream">>
): OpenOptions => {
  const kinds = new Map(manifests.map(({ kind, stream }) => [stream, kind]))
  return { ...options, kindOf: (stream) => kinds.get(stream) ?? "metric" }
}

/** What a destination has saved of streams. A damaged state is left out: the read reports it. */
export const savedStreams = (manifests: Iterable<StreamManifest>): ReadonlyMap<string, SavedStream> =>
  new Map(
    Array.from(manifests, ({ kind, refreshState, state, stream }) => [
      stream,
      { kind, state: stateIn(stream, state) ?? stateIn(stream, refreshState) }
    ])
  )

/** The same for a destination that several processes write. They drop a full refresh that is not complete. */
export const sharedStreams = (manifests: Iterable<StreamManifest>): ReadonlyMap<string, SavedStream> =>
  new Map(
    Array.from(manifests, ({ kind, state, stream }) => [stream, { kind, state: stateIn(stream, state) }])
  )

const stateIn = (stream: string, state: unknown): StreamState | undefined =>
  Result.getOrUndefined(decodeStreamState(stream, state))

/** The state of a full refresh that is not complete. */
export const refreshInProgress = ({
  refreshState,
  stream
}: Pick<StreamManifest, "refreshState" | "stream">): StreamState | undefined => stateIn(stream, refreshState)

/** Whether a refresh in progress would be in this mode, and of this kind. */
const isOfMode = (
  { kind: saved, next, nextKind }: StreamManifest,
  mode: SyncMode,
  kind: StreamKind
): boolean =>
  isRefresh(mode) &&
  (mode === "full_refresh_overwrite"
    ? next !== undefined && nextKind === kind
    : next === undefined && saved === kind)

/** The state of a stopped full refresh. Only a refresh in the same mode and of the same kind resumes it. */
export const refreshOf = (
  manifest: StreamManifest,
  mode: SyncMode,
  kind: StreamKind
): StreamState | undefined => (isOfMode(manifest, mode, kind) ? refreshInProgress(manifest) : undefined)

/** The later of two times. Null is no time. */
export const later = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.max(a, b)
