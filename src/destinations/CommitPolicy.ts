/**
 * The rules of a stream's commits, which all destinations share: what a mode resumes, when a commit is persisted, and which
 * states are saved with it. A destination only adds a backend.
 *
 * Commits are gathered. What is pending when a process is killed is read again by the next run.
 */
import { Effect, type Scope } from "effect"
import type { SampleBlock } from "../samples/Sample.ts"
import { encodeStreamState, StreamState } from "../sync/StreamState.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { type DestinationError, isRefresh, type StreamWriter, type SyncMode } from "./Destination.ts"
import { refreshOf, type StreamManifest, without } from "./manifest.ts"

/** What `persist` makes durable. */
export interface Commit {
  /** What the rows are part of. `complete_refresh`: in overwrite mode, they now replace the stream's rows. */
  readonly kind: "incremental" | "refresh" | "complete_refresh"
  /** The stream has been read to its end. */
  readonly isComplete: boolean
  /** The states that the manifest has from now on, and no other ones. */
  readonly states: Pick<StreamManifest, "state" | "refreshState">
}

/** What a destination does for one stream of one run. Its scope discards what was appended and not persisted. */
export interface Backend<Manifest extends StreamManifest> {
  /** Takes samples, which the caller may recycle afterwards. Readers do not see them before `persist`. */
  readonly append: (blocks: ReadonlyArray<SampleBlock>) => Effect.Effect<void, DestinationError>
  /** What was appended so far is part of the next `persist`, and `state` stands for it. What follows is not. */
  readonly mark: (state: StreamState) => void
  /** How many bytes wait to be persisted. */
  readonly unpersistedBytes: () => number
  /** Makes rows and states durable: both or neither. Returns the manifest that says so. */
  readonly persist: (commit: Commit) => Effect.Effect<Manifest, DestinationError>
}

/** How a stream is opened. */
export interface Opening<Manifest extends StreamManifest> {
  /** What is there of the stream. */
  readonly manifest: Manifest
  readonly mode: SyncMode
  /** Whether the read resumes the state that the destination has for this mode. */
  readonly isResumed: boolean
  /** A commit is persisted when so much time has passed, or so many bytes wait. */
  readonly limits: { readonly millis: number; readonly bytes: () => number }
}

/**
 * Writes a stream through a backend. The backend continues the stopped refresh of the manifest only if `open` is called with
 * true; otherwise that refresh no longer counts once something is persisted.
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
      // Of thousands of streams, most may have nothing new.
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

    /** Uninterruptible, as a backend cannot be stopped halfway. After a failure nobody knows what it has. */
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
 * The states to save after the latest commit. An incremental commit ends a stopped refresh. An incremental sync resumes from a
 * complete refresh, and another refresh starts from the beginning.
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

/** Whether a manifest has these states already. */
const hasStates = ({ refreshState, state }: StreamManifest, states: Commit["states"]): boolean =>
  state !== undefined && refreshState === undefined && JSON.stringify(state) === JSON.stringify(states.state)
