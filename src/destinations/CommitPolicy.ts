/**
 * The commit policy of all destinations: what a mode resumes, when a commit is persisted, and which states are saved with it.
 * A destination adds a backend.
 *
 * Commits are collected and persisted together. If a process is killed, the next run reads the pending ones again.
 */
import { Effect, type Scope, Struct } from "effect"
import type { StreamKind } from "../samples/Layout.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { encodeStreamState, StreamState } from "../sync/StreamState.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { type DestinationError, isRefresh, type StreamWriter, type SyncMode } from "./Destination.ts"
import { refreshOf, type StreamManifest } from "./manifest.ts"

/** The input of `persist`. */
export interface Commit {
  /** The kind of sync. `complete_refresh`: in overwrite mode, the rows of the refresh now replace the stream's rows. */
  readonly kind: "incremental" | "refresh" | "complete_refresh"
  /** The stream has been read to its end. */
  readonly isComplete: boolean
  /** The states of the new manifest, and what they are states of. It has no other ones. */
  readonly states: Pick<StreamManifest, "state" | "refreshState" | "kind" | "nextKind">
}

/** A destination's backend for one stream of one run. Closing its scope discards appended rows that are not persisted. */
export interface Backend<Manifest extends StreamManifest, Block = SampleBlock> {
  /** Appends samples or rows, which the caller may recycle afterwards. Readers do not see them before `persist`. */
  readonly append: (blocks: ReadonlyArray<Block>) => Effect.Effect<void, DestinationError>
  /** Ends a commit: the rows appended so far are part of the next `persist`, later ones are not. `state` is their state. */
  readonly mark: (state: StreamState) => void
  /** The size of the rows that are not persisted. */
  readonly unpersistedBytes: () => number
  /** Makes rows and states durable: both or neither. Returns the new manifest. */
  readonly persist: (commit: Commit) => Effect.Effect<Manifest, DestinationError>
}

/** How to open a stream. */
export interface Opening<Manifest extends StreamManifest> {
  /** The manifest of the stream, as it was opened. */
  readonly manifest: Manifest
  /** The kind of the rows to write. Only in overwrite mode may the manifest have another one. */
  readonly kind: StreamKind
  readonly mode: SyncMode
  /** Whether the read resumes the state of the destination for this mode. */
  readonly isResumed: boolean
  /** A commit is persisted after this time, or once this many bytes are pending. */
  readonly limits: { readonly millis: number; readonly bytes: () => number }
}

/**
 * Writes a stream through a backend. The backend continues the stopped refresh of the manifest only if `open` is called with
 * true. Otherwise that refresh stays until the first `persist`, and is lost with it.
 */
export const openWriter: <Manifest extends StreamManifest, R, Block>(
  opening: Opening<Manifest>,
  open: (resumesRefresh: boolean) => Effect.Effect<Backend<Manifest, Block>, DestinationError, R>
) => Effect.Effect<StreamWriter<Block>, DestinationError, R | Scope.Scope> = Effect.fnUntraced(function* <
  Manifest extends StreamManifest,
  R,
  Block
>(
  opening: Opening<Manifest>,
  open: (resumesRefresh: boolean) => Effect.Effect<Backend<Manifest, Block>, DestinationError, R>
) {
  const { isResumed, kind: kindOfRows, limits, mode } = opening
  let { manifest } = opening
  const resumed = isResumed ? refreshOf(manifest, mode, kindOfRows) : undefined
  const backend = yield* open(resumed !== undefined)
  /** The state of the latest commit, at first that of a resumed refresh. */
  let latest = resumed
  let isPending = false
  let hasRows = false
  let hasFailed = false
  let persistedAt = yield* steadyMillis

  const persist = Effect.fnUntraced(function* (isComplete: boolean) {
    const kind = !isRefresh(mode) ? "incremental" : isComplete ? "complete_refresh" : "refresh"
    const states =
      kind === "refresh" && mode === "full_refresh_overwrite"
        ? { ...statesToSave(manifest, latest, kind, mode), kind: manifest.kind, nextKind: kindOfRows }
        : { ...statesToSave(manifest, latest, kind, mode), kind: kindOfRows }
    // Of thousands of streams, most may have nothing new.
    const isUnchanged = kind === "incremental" && !hasRows && hasStates(manifest, states)
    if (!isUnchanged) {
      manifest = yield* Effect.withSpan(backend.persist({ kind, isComplete, states }), "Destination.commit", {
        attributes: { stream: manifest.stream, kind, isComplete, time: latest?.time },
        captureStackTrace: false
      })
    }
    isPending = false
    persistedAt = yield* steadyMillis
  })

  const isFull = (): boolean => backend.unpersistedBytes() >= limits.bytes()

  const append = Effect.fnUntraced(function* (blocks: ReadonlyArray<Block>) {
    if (isPending && isFull()) yield* persist(false)
    hasRows = true
    yield* backend.append(blocks)
  })

  const commit = Effect.fnUntraced(function* (state: StreamState) {
    backend.mark(state)
    latest = state
    isPending = true
    if (isFull() || (yield* steadyMillis) - persistedAt >= limits.millis) yield* persist(false)
  })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => (isPending && !hasFailed ? persist(false) : Effect.void)).pipe(
      Effect.catch((error) =>
        Effect.logError(
          `The last uncommitted samples of ${manifest.stream} were not saved; the next run reads them again. ${error.message}`
        )
      )
    )
  )

  /** Uninterruptible, as a backend cannot stop halfway. After a failure, its rows are unknown. */
  const orFailed = <A>(effect: Effect.Effect<A, DestinationError>) =>
    Effect.tapError(Effect.uninterruptible(effect), () => Effect.sync(() => (hasFailed = true)))
  const writer: StreamWriter<Block> = {
    write: (blocks) => orFailed(append(blocks)),
    commit: (state) => orFailed(commit(state)),
    complete: orFailed(Effect.suspend(() => persist(true)))
  }
  return writer
})

/**
 * The states to save after the latest commit. An incremental commit ends a stopped refresh. An incremental sync resumes the state
 * of a complete refresh; another refresh starts from the beginning.
 */
const statesToSave = (
  { state }: StreamManifest,
  latest: StreamState | undefined,
  kind: Commit["kind"],
  mode: SyncMode
): Pick<StreamManifest, "state" | "refreshState"> => {
  const kept = state === undefined ? {} : { state }
  if (latest === undefined) {
    return kind === "complete_refresh" && mode === "full_refresh_overwrite" ? {} : kept
  }
  switch (kind) {
    case "incremental":
      return { state: encodeStreamState(latest) }
    case "refresh":
      return { ...kept, refreshState: encodeStreamState(latest) }
    case "complete_refresh":
      return {
        state: encodeStreamState(new StreamState(Struct.omit(latest, ["full_refresh", "generation_id"])))
      }
  }
}

/** Whether a manifest already has these states, and no others. */
const hasStates = ({ refreshState, state }: StreamManifest, states: Commit["states"]): boolean =>
  state !== undefined && refreshState === undefined && JSON.stringify(state) === JSON.stringify(states.state)
