/**
 * The parts of a sync as work for other processes: one submits them, any number of workers execute them.
 *
 * Only `layerPartQueue` and `work` know how: on the cluster of Effect, whose modules are not stable yet.
 */
import { Context, type Duration, type Effect, Schema } from "effect"
import type { SyncPart } from "../sync/parts.ts"

/** What a worker has read and committed. */
export const PartDone = Schema.Struct({
  /** The rows, and how many series they are of. */
  rows: Schema.Int,
  series: Schema.Int,
  /** The times of the first and the last row, in milliseconds since the epoch. */
  span: Schema.optional(Schema.Tuple([Schema.Int, Schema.Int])),
  /** How many requests were retried. */
  retries: Schema.Int,
  /** What the server had to do for it. A worker of an earlier version does not say. */
  cost: Schema.optional(Schema.Struct({ requests: Schema.Int, bytes: Schema.Int, samples: Schema.Int })),
  /** Why there are no rows, if that is more than that there are none. */
  notice: Schema.optional(Schema.String)
})

export type PartDone = typeof PartDone.Type

/** A worker could not do a part. */
export class PartFailed extends Schema.TaggedError<PartFailed>()("PartFailed", {
  message: Schema.String,
  /** Whether the same part may succeed later, or on another worker. */
  isTransient: Schema.Boolean,
  /** Whether the other streams would fail too. */
  isFatal: Schema.Boolean
}) {}

/** The cluster cannot be used at all. `message` says why, and what to do. */
export class ClusterError extends Schema.TaggedError<ClusterError>()("ClusterError", {
  message: Schema.String,
  /** Whether the database may be reached later: it restarts, or has not started yet. */
  isPassing: Schema.optional(Schema.Boolean)
}) {}

/** The workers that take the parts of a sync. */
export interface Workers {
  readonly count: number
  /** How many parts they execute at the same time. */
  readonly slots: number
}

/** What happens to a part. */
export interface Watching {
  /** Asked when its turn comes. A part that is not wanted any more is not submitted. */
  readonly isWanted?: () => boolean
  /** It is submitted for the first time. */
  readonly onStart?: Effect.Effect<void>
  /** It will be submitted again after a delay. */
  readonly onRetry?: (error: PartFailed, delay: Duration.Duration) => Effect.Effect<void>
}

/** The queue of one sync. It limits how many parts are submitted at the same time. */
export class PartQueue extends Context.Service<
  PartQueue,
  {
    /**
     * Submits a part and waits for its end. A part that fails for a passing reason is submitted again, a few times. Undefined if
     * the part is not wanted any more.
     */
    readonly submit: (part: SyncPart, watching?: Watching) => Effect.Effect<PartDone | undefined, PartFailed>
    /** The workers that are alive. */
    readonly workers: Effect.Effect<Workers>
    /** Fails once the sync belongs to another process. */
    readonly lost: Effect.Effect<never, ClusterError>
    /** The sync has ended: the next one does not continue it. */
    readonly end: Effect.Effect<void>
  }
>()("source-prometheus/cluster/PartQueue") {}

/** How to reach the cluster, and what it syncs. */
export interface ClusterOptions {
  readonly address: ClusterAddress
  /**
   * The settings on which the rows depend, by names for users, without secrets. Workers take only parts of syncs with the same
   * ones. `destination` is among them.
   */
  readonly settings: Readonly<Record<string, string>>
}

/** A PostgreSQL database, without a password. */
export interface ClusterAddress {
  readonly url: string
  /** For messages. */
  readonly text: string
}
