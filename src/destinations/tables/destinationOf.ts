/** The service of a destination over an open database. */
import { Effect } from "effect"
import type { TimedBlock } from "../contents.ts"
import { Destination, DestinationError, type SyncMode } from "../Destination.ts"
import { partLengthsOf, savedStreams, stateReaderOf } from "../manifest.ts"
import { contentsOf } from "./contents.ts"
import { openStream } from "./openStream.ts"
import { rowsOf, samplesIn, type TableContents } from "./TableContents.ts"
import type { TableDatabase } from "./TableDatabase.ts"

/** The members that differ between databases. */
export interface OwnMembers extends Pick<Destination["Service"], "bytes" | "previewCommand"> {
  readonly readOnly: boolean
}

export const destinationOf = (
  database: TableDatabase,
  { bytes, previewCommand, readOnly }: OwnMembers
): Destination["Service"] => {
  const open = <Block extends TimedBlock>(
    stream: string,
    contents: TableContents<Block>,
    mode: SyncMode,
    isResumed: boolean
  ) =>
    readOnly
      ? Effect.fail(new DestinationError({ message: `${database.path} is open for reading only.` }))
      : openStream(database, stream, contents, mode, isResumed)
  return Destination.of({
    open: (stream, mode, isResumed = false) => open(stream, samplesIn(database, stream), mode, isResumed),
    openTable: (schema, mode, isResumed = false) =>
      open(schema.stream, rowsOf(database, schema), mode, isResumed),
    streams: () => savedStreams(database.manifests.values()),
    partLengths: partLengthsOf(database),
    states: stateReaderOf({ ...database, name: database.path }),
    contents: (stream, of) => contentsOf(database, stream, of),
    bytes,
    previewCommand
  })
}
