/** The manifest of a stream of Parquet files: its live part files and their locations. */
import { Schema } from "effect"
import type { StreamKind } from "../../samples/Layout.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { contentsFields } from "../contents.ts"
import { DestinationError } from "../Destination.ts"
import { fileName } from "../folder/fileName.ts"
import { Count, manifestFields } from "../manifest.ts"

/** The version of the files and their manifests. In files of version 2, histograms are text. */
const VERSION = 3

const PartFile = Schema.Struct({
  day: Schema.String,
  /** Its number, which is unique in the stream. */
  part: Count,
  bytes: Count,
  ...contentsFields,
  /** The path in the folder from which it is moved into place. */
  from: Schema.optionalKey(Schema.String),
  /** The name that the process gave it, if several write to the folder. No other file ever has it. */
  id: Schema.optionalKey(Schema.String),
  /** The process that copies it into place, if it is another one. */
  mover: Schema.optionalKey(Schema.String)
})
export type PartFile = typeof PartFile.Type

export const ParquetManifest = Schema.Struct({
  ...manifestFields,
  version: Schema.Literal(VERSION),
  files: Schema.Array(PartFile),
  /** The number of the next file. */
  nextPart: Count,
  /** The label columns of the files. */
  columns: Schema.Array(Schema.String),
  /** Whether each series and time is unique. */
  isUnique: Schema.Boolean,
  /** The first file of a refresh in progress that appends. */
  refreshFrom: Schema.optionalKey(Count),
  /** The files of a refresh in progress that replaces rows, and their label columns. */
  next: Schema.optionalKey(
    Schema.Struct({ files: Schema.Array(PartFile), columns: Schema.Array(Schema.String) })
  ),
  /** Whether the folder of the refresh replaces the stream's folder. */
  isReplaced: Schema.optionalKey(Schema.Literal(true)),
  /** Superseded files, which are deleted. */
  removed: Schema.optionalKey(Schema.Array(PartFile))
})
export type ParquetManifest = typeof ParquetManifest.Type

/** The files of a refresh in progress. */
export const refreshFiles = ({ files, next, refreshFrom }: ParquetManifest): ReadonlyArray<PartFile> =>
  next?.files ?? (refreshFrom === undefined ? [] : files.filter(({ part }) => part >= refreshFrom))

export const emptyManifest = (stream: string, kind: StreamKind): ParquetManifest => ({
  version: VERSION,
  stream,
  kind,
  files: [],
  nextPart: 1,
  columns: [],
  isUnique: true
})

/** The two folders for files of a stream: the visible one, or that of a refresh in progress. */
export type Where = "main" | "next"

export const baseOf = (where: Where, stream: string): string =>
  where === "main" ? fileName(stream) : `_state/_new/${fileName(stream)}`

export const placeOf = (where: Where, stream: string, { day, part }: PartFile): string =>
  `${baseOf(where, stream)}/day=${day}/part-${`${part}`.padStart(8, "0")}.parquet`

/** The path of a new file before it is moved into place. */
export const freshPath = (stream: string, part: number): string => `_state/_new/${fileName(stream)}=${part}`

/** Whether a file may be a part in the folder of a day. */
export const isPartName = (name: string): boolean => /^part-\d{8,}\.parquet$/.test(name)

/** The error of a part that is not what a manifest lists. */
export const missingPart = (path: string, statePath: string, stream: string): DestinationError =>
  new DestinationError({
    message: `${path} is missing or not the file that ${statePath} names. Restore them together, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
  })

/** The path of a new file of one of several processes before it is moved into place. */
export const asidePath = (stream: string, id: string): string => `_state/_new/${fileName(stream)}=${id}`

/** A day as in the name of a folder. */
export const dayOf = (midnight: number): string => new Date(midnight).toISOString().split("T")[0]!

export const isDay = (text: string): boolean => {
  const midnight = Date.parse(text)
  return Number.isFinite(midnight) && dayOf(midnight) === text
}

/** Whether a manifest only names files that this program creates. */
export const hasOwnNames = ({ files, next, nextPart, removed = [], stream }: ParquetManifest): boolean => {
  const parts = new Set<number>()
  for (const file of [...files, ...(next?.files ?? []), ...removed]) {
    if (!isDay(file.day) || file.part >= nextPart || parts.has(file.part)) return false
    parts.add(file.part)
    if (file.id !== undefined && !/^[0-9a-f]{18}-\d{1,15}$/.test(file.id)) return false
    const known = [
      undefined,
      ...(file.id === undefined ? [] : [asidePath(stream, file.id)]),
      freshPath(stream, file.part),
      placeOf("main", stream, file),
      placeOf("next", stream, file)
    ]
    if (!known.includes(file.from)) return false
  }
  return true
}

/** The size of all parts. */
export const bytesOf = ({ files, next }: ParquetManifest): number =>
  [...files, ...(next?.files ?? [])].reduce((sum, { bytes }) => sum + bytes, 0)

/** The format of the manifests. */
export const format = { name: "Parquet", version: VERSION, schema: ParquetManifest, isOurs: hasOwnNames }
