/**
 * Merges the small files of days that several processes write. Parts of half a minute would leave thousands of files per day.
 *
 * Files of a similar size are merged once there are some, so that a row is written again only a few times. The commit that
 * completes a day merges all that are still small.
 */
import { Effect } from "effect"
import type { DestinationError } from "../Destination.ts"
import type { PartFile } from "./manifest.ts"
import { SMALL_BYTES } from "./parts.ts"
import type { NewFile, SharedParts } from "./sharedParts.ts"

/** So many files of a similar size are merged. */
const MERGED_FILES = 8

/** Files up to this size are similar. Beyond it, a size is similar to those up to eight times as large. */
const TINY_BYTES = 64 * 1024

const sizeOf = ({ bytes }: PartFile): number =>
  Math.max(0, Math.ceil(Math.log(bytes / TINY_BYTES) / Math.log(MERGED_FILES)))

/** The files of a day to merge now; none if there are too few. */
export const filesToMerge = (
  files: ReadonlyArray<PartFile>,
  isComplete: boolean
): ReadonlyArray<PartFile> => {
  const small = files.filter(({ bytes }) => bytes < SMALL_BYTES)
  if (isComplete) return small.length > 1 ? small : []
  const bySize = Map.groupBy(small, sizeOf)
  // One commit makes the number such a multiple. Others at the same time do not merge too.
  const full = Array.from(bySize.values()).find((files) => files.length % MERGED_FILES === 0)
  return full ?? []
}

/** Merges the small files of days. Some of these days are complete now. */
export const mergeParts = Effect.fnUntraced(function* (
  parts: SharedParts,
  days: ReadonlySet<string>,
  complete: ReadonlySet<string>
): Effect.fn.Return<void, DestinationError> {
  for (const day of days) {
    let sources: ReadonlyArray<PartFile> | undefined
    let merged: NewFile | undefined
    yield* parts.commit(
      Effect.fnUntraced(function* (latest) {
        const files = latest.files.filter((file) => file.day === day)
        if (sources === undefined) sources = filesToMerge(files, complete.has(day))
        // Another process has merged or replaced some of them.
        const live = new Set(files.map(({ part }) => part))
        if (sources.length < 2 || !sources.every(({ part }) => live.has(part))) return undefined
        const settled = files.filter(({ part }) => sources!.some((source) => source.part === part))
        merged ??= yield* parts.rewrite({ aside: [], live: settled }, (_aside, rows) =>
          parts.write(day, `FROM ${rows})`, parts.spanOf(settled))
        )
        return { manifest: latest, added: [merged], removed: settled }
      })
    )
  }
})
