/** The manifest of a stream in a folder of JSON lines: which bytes of its file are live. */
import { Schema } from "effect"
import { noRows } from "../Destination.ts"
import { contentsFields, sumOf } from "../folder/contents.ts"
import { fileName } from "../folder/fileName.ts"
import { STATE_VERSION } from "../folder/StateFolder.ts"
import { Count, manifestFields } from "../manifest.ts"

/** A range of a file. */
const extentFields = { bytes: Count, ...contentsFields }
const Extent = Schema.Struct(extentFields)
export type Extent = typeof Extent.Type

export const LinesManifest = Schema.Struct({
  ...manifestFields,
  version: Schema.Literal(STATE_VERSION),
  /** The committed lines of the stream's file, without those of a refresh in progress. */
  main: Extent,
  /** No series and time is in the file twice, and the state stands for all of it. */
  isUnique: Schema.Boolean,
  /** The lines after them, of a refresh in progress that appends. */
  appended: Schema.optionalKey(Extent),
  /** The file, in the folder for new ones, of a refresh in progress that replaces. */
  next: Schema.optionalKey(Schema.Struct({ file: Schema.String, ...extentFields })),
  /** The file, in the folder for new ones, that takes the place of the stream's file. */
  replacedBy: Schema.optionalKey(Schema.String)
})
export type LinesManifest = typeof LinesManifest.Type

export const nothing: Extent = { bytes: 0, ...noRows }

/** One extent after the other. */
export const joined = (a: Extent, b: Extent = nothing): Extent => ({
  bytes: a.bytes + b.bytes,
  ...sumOf([a, b])
})

/** All of the stream's file. */
export const allOf = ({ appended, main }: LinesManifest): Extent => joined(main, appended)

export const emptyManifest = (stream: string): LinesManifest => ({
  version: STATE_VERSION,
  stream,
  main: nothing,
  isUnique: true
})

/** The names of new files that may take the place of a stream's file. */
const newNames = (stream: string, ending: string): ReadonlyArray<string> =>
  ["1", "2", "3"].map((number) => `${fileName(stream)}.${number}${ending}`)

/** Whether a manifest names only files that this program makes. */
export const hasOwnNames = ({ next, replacedBy, stream }: LinesManifest, ending: string): boolean => {
  const names = newNames(stream, ending)
  return [next?.file, replacedBy].every((name) => name === undefined || names.includes(name))
}

/** A name for a new file that the manifest does not have. */
export const freshName = ({ next, replacedBy, stream }: LinesManifest, ending: string): string =>
  newNames(stream, ending).find((name) => name !== next?.file && name !== replacedBy)!
