/** The service of a destination over an open database. */
import { Effect } from "effect"
import { Destination, DestinationError } from "../Destination.ts"
import { partLengthsOf, stateReaderOf } from "../manifest.ts"
import { contentsOf } from "./contents.ts"
import { openStream } from "./openStream.ts"
import type { TableDatabase } from "./TableDatabase.ts"

/** The members that differ between databases. */
export interface OwnMembers extends Pick<Destination["Service"], "bytes" | "previewCommand"> {
  readonly readOnly: boolean
}

export const destinationOf = (
  database: TableDatabase,
  { bytes, previewCommand, readOnly }: OwnMembers
): Destination["Service"] =>
  Destination.of({
    open: (stream, mode, isResumed = false) =>
      readOnly
        ? Effect.fail(new DestinationError({ message: `${database.path} is open for reading only.` }))
        : openStream(database, stream, mode, isResumed),
    streams: () => [...database.manifests.keys()],
    partLengths: partLengthsOf(database),
    states: stateReaderOf(database),
    contents: (stream, of) => contentsOf(database, stream, of),
    bytes,
    previewCommand
  })
