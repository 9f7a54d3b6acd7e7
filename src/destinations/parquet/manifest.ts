/** The manifest of a stream in a folder of Parquet files: which part files are live, and where they are. */
import { Schema } from "effect"
import { contentsFields } from "../folder/contents.ts"
import { fileName } from "../folder/fileName.ts"
import { STATE_VERSION } from "../folder/StateFolder.ts"
import { Count, manifestFields } from "../manifest.ts"

const PartFile = Schema.Struct({
  day: Schema.String,
  /** Its number, which no other file of the stream has. */
  part: Count,
  bytes: Count,
  ...contentsFields,
  /** Where it is moved from, in the folder. */
  from: Schema.optionalKey(Schema.String)
})
export type PartFile = typeof PartFile.Type

export const ParquetManifest = Schema.Struct({
  ...manifestFields,
  version: Schema.Literal(STATE_VERSION),
  files: Schema.Array(PartFile),
  /** The number of the next file. */
  nextPart: Count,
  /** The columns of labels that files have. */
  columns: Schema.Array(Schema.String),
  /** No series and time is there twice. */
  isUnique: Schema.Boolean,
  /** The first file of a refresh that is under way and appends. */
  refreshFrom: Schema.optionalKey(Count),
  /** The files of a refresh that is under way and replaces. */
  next: Schema.optionalKey(Schema.Struct({ files: Schema.Array(PartFile) })),
  /** The folder of the refresh takes the place of the stream's folder. */
  isReplaced: Schema.optionalKey(Schema.Literal(true)),
  /** Files that are no longer live, and are removed. */
  removed: Schema.optionalKey(Schema.Array(PartFile))
})
export type ParquetManifest = typeof ParquetManifest.Type

/** The files of a refresh in progress. */
export const refreshFiles = ({ files, next, refreshFrom }: ParquetManifest): ReadonlyArray<PartFile> =>
  next?.files ?? (refreshFrom === undefined ? [] : files.filter(({ part }) => part >= refreshFrom))

export const emptyManifest = (stream: string): ParquetManifest => ({
  version: STATE_VERSION,
  stream,
  files: [],
  nextPart: 1,
  columns: [],
  isUnique: true
})

/** Where files of a stream are to be: those that are seen, or those of a refresh that is under way. */
export type Where = "main" | "next"

export const baseOf = (where: Where, stream: string): string =>
  where === "main" ? fileName(stream) : `_state/_new/${fileName(stream)}`

export const placeOf = (where: Where, stream: string, { day, part }: PartFile): string =>
  `${baseOf(where, stream)}/day=${day}/part-${`${part}`.padStart(8, "0")}.parquet`

/** Where a new file is before it is moved to its place. */
export const freshPath = (stream: string, part: number): string => `_state/_new/${fileName(stream)}=${part}`

/** A day as it is written in the name of a folder. */
export const dayOf = (midnight: number): string => new Date(midnight).toISOString().split("T")[0]!

export const isDay = (text: string): boolean => {
  const midnight = Date.parse(text)
  return Number.isFinite(midnight) && dayOf(midnight) === text
}

/** Whether a manifest names only files that this program makes. */
export const hasOwnNames = ({ files, next, nextPart, removed = [], stream }: ParquetManifest): boolean => {
  const parts = new Set<number>()
  for (const file of [...files, ...(next?.files ?? []), ...removed]) {
    if (!isDay(file.day) || file.part >= nextPart || parts.has(file.part)) return false
    parts.add(file.part)
    const known = [
      undefined,
      freshPath(stream, file.part),
      placeOf("main", stream, file),
      placeOf("next", stream, file)
    ]
    if (!known.includes(file.from)) return false
  }
  return true
}
