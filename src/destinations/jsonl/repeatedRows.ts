/**
 * JSON lines are only appended, so a repeated row cannot be removed. In deduped mode no repeated row is written: a sync that
 * may repeat rows is refused.
 */
import { Result } from "effect"
import { decodeStreamState, type StreamState } from "../../sync/StreamState.ts"
import { formatTime } from "../../text/formatTime.ts"
import type { TimedBlock } from "../contents.ts"
import type { Contents, SyncMode } from "../Destination.ts"
import { dataPath, type LinesFolder } from "./files.ts"
import type { LinesManifest } from "./manifest.ts"

const instead = (replacing: string | undefined): string =>
  `Run with --mode incremental_append, which keeps both, or choose a destination that replaces rows${replacing === undefined ? "" : ` (${replacing})`}`

/** Why a sync in this mode must not append to a stream's file; undefined if it may. */
export const refusalOf = (
  opened: LinesFolder,
  { appended, isUnique, stream }: LinesManifest,
  mode: SyncMode
): string | undefined =>
  mode !== "incremental_append_deduped" || (isUnique && (appended === undefined || appended.rows === 0))
    ? undefined
    : `${dataPath(opened, stream)} was written in a mode that appends, so it may have rows twice, and JSON lines are only appended: incremental_append_deduped cannot make them unique. ${instead(opened.replacing)}. To keep this file, read it all again with --full-refresh.`

/** Why a mode does not support these settings; undefined if it does. */
export const refusalOfSettings = (
  mode: SyncMode,
  { lookbackMillis }: { readonly lookbackMillis: number },
  replacing: string
): string | undefined =>
  mode !== "incremental_append_deduped" || lookbackMillis === 0
    ? undefined
    : `lookback_window is ${lookbackMillis / 1000} seconds, so rows that are there are read again, and JSON lines are only appended: incremental_append_deduped cannot replace them. ${instead(replacing)}. Or set lookback_window to 0.`

/** The error for a block that would repeat rows, if that was not known before the read. */
export const wouldRepeat = (
  path: string,
  { length, times }: TimedBlock,
  replacing: string | undefined
): string =>
  `${path} may have rows from ${formatTime(times[0]!)} to ${formatTime(times[length - 1]!)} already, and JSON lines are only appended: incremental_append_deduped cannot replace them. ${instead(replacing)}. To keep this file, read the stream again with --full-refresh.`

/** Whether a file with these rows, which were read up to a state, may already have some rows of a block. */
export const mayHaveRowsOf = (
  { firstMillis, lastMillis }: Contents,
  state: StreamState | undefined
): ((block: TimedBlock) => boolean) => {
  if (firstMillis === null || lastMillis === null) return () => false
  const covered = state?.covered ?? []
  const isAllCovered =
    covered.length > 0 && covered[0]!.firstMillis <= firstMillis && lastMillis <= covered.at(-1)!.lastMillis
  return ({ length, times }) => {
    const first = times[0]!
    const last = times[length - 1]!
    if (first > lastMillis || last < firstMillis) return false
    return !isAllCovered || covered.some((span) => first <= span.lastMillis && last >= span.firstMillis)
  }
}

/** The state that incremental syncs resume from. */
export const stateOf = ({ state, stream }: LinesManifest): StreamState | undefined =>
  Result.getOrUndefined(decodeStreamState(stream, state))
