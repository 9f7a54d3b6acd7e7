/**
 * The rules for the commits of a stream, shared by all destinations: what a mode resumes, when a commit is persisted, and which
 * states are saved with it. A destination only adds a backend.
 *
 * Commits are batched. If the process is killed, the next run reads pending commits again.
 */
import { Effect, type Scope } from "effect"
import type { SampleBlock } from "../samples/Sample.ts"
import { encodeStreamState, StreamState } from "../sync/StreamState.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { type DestinationError, isRefresh, type StreamWriter, type SyncMode } from "./Destination.ts"
import { refreshOf, type StreamManifest, without } from "./manifest.ts"

/** The input of `persist`. */
export interface Commit {
  /** The kind of sync that the rows belong to. `complete_refresh`: in overwrite mode, they now replace the stream's rows. */
  readonly kind: "incremental" | "refresh" | "complete_refresh"
  /** The stream has been read to its end. */
  readonly isComplete: boolean
  /** All states of the manifest from now on. */
  readonly states: Pick<StreamManifest, "state" | "refreshState">
}

/** A destination's backend for one stream of one run. Closing its scope discards rows that were appended but not persisted. */
export interface Backend<Manifest extends StreamManifest> {
  /** Appends samples, which the caller may recycle afterwards. They become visible to readers with `persist`. */
  readonly append: (blocks: ReadonlyArray<SampleBlock>) => Effect.Effect<void, DestinationError>
  /** Includes everything appended so far in the next `persist`, with its `state`. Later samples are not included. */
  readonly mark: (state: StreamState) => void
  /** The number of bytes waiting to be persisted. */
  readonly unpersistedBytes: () => number
  /** Persists rows and states atomically. Returns the new manifest. */
  readonly persist: (commit: Commit) => Effect.Effect<Manifest, DestinationError>
}

/** How to open a stream. */
export interface Opening<Manifest extends StreamManifest> {
  /** The existing manifest of the stream. */
  readonly manifest: Manifest
  readonly mode: SyncMode
  /** Whether the read resumes the state that the destination has for this mode. */
  readonly isResumed: boolean
  /** A commit is persisted after this time, or when this many bytes are waiting. */
  readonly limits: { readonly millis: number; readonly bytes: () => number }
}

/**
 * Writes a stream through a backend. The backend continues the stopped refresh of the manifest only if `open` is called with
 * true. Otherwise the next `persist` discards that refresh.
 */
export const openWriter: <Manifest extends StreamManifest, R>(
  opening: Opening<Manifest>,
  open: (resumesRefresh: boolean) => Effect.Effect<Backend<Manifest>, DestinationError, R>
) => Effect.Effect<StreamWriter, DestinationError, R | Scope.Scope> = Effect.fnUntraced(
  function* (opening, open) {
    const { isResumed, limits, mode } = opening
    let { manifest } = opening
    const resumed = isResumed ? refreshOf(manifest, mode) : undefined
    const backend = yield* open(resumed !== undefined)
    /** The state of the latest commit, or of the refresh that is resumed. */
    let latest = resumed
    let isPending = false
    let hasRows = false
    let hasFailed = false
    let persistedAt = yield* steadyMillis

    const persist = Effect.fnUntraced(function* (isComplete: boolean) {
      const kind = !isRefresh(mode) ? "incremental" : isComplete ? "complete_refresh" : "refresh"
      const states = statesToSave(manifest, latest, kind, mode)
      // With thousands of streams, most may have nothing new.
      const isUnchanged = kind === "incremental" && !hasRows && hasStates(manifest, states)
      if (!isUnchanged) manifest = yield* backend.persist({ kind, isComplete, states })
      isPending = false
      persistedAt = yield* steadyMillis
    })

    const isFull = (): boolean => backend.unpersistedBytes() >= limits.bytes()

    const append = Effect.fnUntraced(function* (blocks: ReadonlyArray<SampleBlock>) {
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

    /** Uninterruptible, because a backend cannot be stopped halfway. After a failure its state is unknown. */
    const orFailed = <A>(effect: Effect.Effect<A, DestinationError>) =>
      Effect.tapError(Effect.uninterruptible(effect), () => Effect.sync(() => (hasFailed = true)))
    const writer: StreamWriter = {
      write: (blocks) => orFailed(append(blocks)),
      commit: (state) => orFailed(commit(state)),
      complete: orFailed(Effect.suspend(() => persist(true)))
    }
    return writer
  }
)

/**
 * The states to save after the latest commit. An incremental commit discards the state of a stopped refresh. After a complete
 * refresh, an incremental sync resumes from it, and another refresh starts from the beginning.
 */
const statesToSave = (
  { state }: StreamManifest,
  latest: StreamState | undefined,
  kind: Commit["kind"],
  mode: SyncMode
): Commit["states"] => {
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
        state: encodeStreamState(new StreamState(without(latest, "full_refresh", "generation_id")))
      }
  }
}

/** Whether a manifest already has these states. */
const hasStates = ({ refreshState, state }: StreamManifest, states: Commit["states"]): boolean =>
  state !== undefined && refreshState === undefined && JSON.stringify(state) === JSON.stringify(states.state)
