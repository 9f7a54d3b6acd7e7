/** The manifest of a stream in a folder of JSON lines: which bytes of its file are live. */
import { Schema } from "effect"
import type { StreamKind } from "../../samples/Layout.ts"
import { contentsFields, sumOf } from "../contents.ts"
import { emptyContents } from "../Destination.ts"
import { fileName } from "../folder/fileName.ts"
import { Count, manifestFields } from "../manifest.ts"

/** The version of the lines and their manifests. */
export const VERSION = 2

/** A byte range of a file. */
const extentFields = { bytes: Count, ...contentsFields }
const Extent = Schema.Struct(extentFields)
export type Extent = typeof Extent.Type

export const LinesManifest = Schema.Struct({
  ...manifestFields,
  version: Schema.Literal(VERSION),
  /** The committed lines of the stream's file, without those of a refresh in progress. */
  main: Extent,
  /** Whether each series and time is unique, and the state covers the complete file. */
  isUnique: Schema.Boolean,
  /** The lines after them, appended by a refresh in progress. */
  appended: Schema.optionalKey(Extent),
  /** The new file of a refresh in progress that replaces rows. */
  next: Schema.optionalKey(Schema.Struct({ file: Schema.String, ...extentFields })),
  /** The new file that replaces the stream's file. */
  replacedBy: Schema.optionalKey(Schema.String)
})
export type LinesManifest = typeof LinesManifest.Type

export const nothing: Extent = { bytes: 0, ...emptyContents }

/** Two consecutive extents as one. */
export const joined = (a: Extent, b: Extent = nothing): Extent => ({
  bytes: a.bytes + b.bytes,
  ...sumOf([a, b])
})

/** The complete extent of the stream's file. */
export const allOf = ({ appended, main }: LinesManifest): Extent => joined(main, appended)

export const emptyManifest = (stream: string, kind: StreamKind): LinesManifest => ({
  version: VERSION,
  stream,
  kind,
  main: nothing,
  isUnique: true
})

/** The names of new files that may replace a stream's file. */
const newNames = (stream: string, ending: string): ReadonlyArray<string> =>
  ["1", "2", "3"].map((number) => `${fileName(stream)}.${number}${ending}`)

/** Whether a manifest only names files that this program creates. */
export const hasOwnNames = ({ next, replacedBy, stream }: LinesManifest, ending: string): boolean => {
  const names = newNames(stream, ending)
  return [next?.file, replacedBy].every((name) => name === undefined || names.includes(name))
}

/** A name for a new file that is not in the manifest. */
export const freshName = ({ next, replacedBy, stream }: LinesManifest, ending: string): string =>
  newNames(stream, ending).find((name) => name !== next?.file && name !== replacedBy)!
