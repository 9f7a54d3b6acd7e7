/** What is remembered of each stream beside its data, in whatever format, and the states that are part of it. */
import { Effect, Result, Schema } from "effect"
import { decodeFrom, StateStore } from "../sync/StateStore.ts"
import { decodeStreamState, encodeStreamState, StreamState } from "../sync/StreamState.ts"

/** What all formats remember of a stream. */
export interface Entry {
  readonly stream: string
  /** As the stream's state is saved. */
  readonly state?: unknown
}

/** The members of `Entry`, for the schema of a format. */
export const entryFields = {
  version: Schema.Literal(1),
  stream: Schema.String,
  state: Schema.optionalKey(Schema.Unknown)
}

/** How many of something, or where in it. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The states of a destination as the store that a read asks. Saving is part of a commit. */
export const stateStoreOf = ({
  entries
}: {
  readonly entries: ReadonlyMap<string, Entry>
}): StateStore["Service"] =>
  StateStore.of({
    load: (stream) => decodeFrom(new Map([[stream, entries.get(stream)?.state]]), stream),
    save: () => Effect.void
  })

/** The state of a full refresh that has begun and is not complete: the next one may go on from it. */
export const refreshUnderWay = ({ state, stream }: Entry): StreamState | undefined => {
  const decoded = decodeStreamState(stream, state)
  return Result.isSuccess(decoded) && decoded.success.full_refresh === true ? decoded.success : undefined
}

/**
 * The state to save with an entry that had another: the latest that was committed, if any. Of a refresh that is whole an
 * incremental sync goes on, while another refresh begins anew.
 */
export const stateToSave = (
  before: Entry,
  committed: StreamState | undefined,
  isWholeRefresh: boolean
): Pick<Entry, "state"> => {
  const latest = committed ?? (isWholeRefresh ? refreshUnderWay(before) : undefined)
  if (latest === undefined) return before.state === undefined ? {} : { state: before.state }
  const { step, time, version } = latest
  return { state: encodeStreamState(isWholeRefresh ? new StreamState({ time, step, version }) : latest) }
}

/** What is left of an entry without some of its members. */
export const without = <E extends object, K extends keyof E>(
  entry: E,
  ...keys: ReadonlyArray<K>
): Omit<E, K> => {
  const copy: Partial<E> = { ...entry }
  for (const key of keys) delete copy[key]
  return copy as Omit<E, K>
}

/** The later one of two times, of which there may be none. */
export const later = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.max(a, b)

/** Whether a refresh with the one state goes on from the other, by the rules of a read. */
export const isSameRefresh = (a: StreamState, b: StreamState): boolean =>
  a.step === b.step && a.generation_id === b.generation_id
