/**
 * A schema of PostgreSQL as a destination: a table per stream. Rows and manifest are committed in one transaction of the server.
 *
 * The tables are written through DuckDB and its extension, like those of a DuckDB file.
 */

import type { FileSystem } from "effect"
import { Effect, Layer, Result } from "effect"
import type { ConfigError } from "../../config/ConnectorConfig.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { Destination, type DestinationError } from "../Destination.ts"
import type { DestinationKind, OpenOptions } from "../DestinationKind.ts"
import { destinationOf } from "../tables/destinationOf.ts"
import { quoteName } from "../tables/quoteSql.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { tableOf } from "../tables/streamTables.ts"
import { parseAddress } from "./address.ts"
import { type OpenSchema, openSchema } from "./openSchema.ts"
import { makeSharedLayer } from "./sharedLayer.ts"

/** A command that shows some rows of a stream. */
const previewCommand = ({ address, database, schema }: OpenSchema, stream: string): string =>
  `psql -d ${shellQuote(address)} -c ${shellQuote(`SELECT * FROM ${quoteName(schema)}.${quoteName(tableOf(database, stream))} ORDER BY time DESC LIMIT 10`)}`

/** Opens the schema for one run, with its states. */
export const layer = (
  options: OpenOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.map(openSchema(options), (opened) =>
      destinationOf(opened.database, {
        readOnly: options.readOnly ?? false,
        bytes: opened.bytes,
        previewCommand: (stream) => previewCommand(opened, stream)
      })
    )
  )

/** Opens the schema for parts, beside other processes. */
export const sharedLayer = (options: OpenOptions) =>
  makeSharedLayer({ options, exclusive: layer, previewCommand })

/** `postgres:URL`. */
export const postgres: DestinationKind = {
  scheme: "postgres",
  aliases: ["postgresql"],
  place: "URL",
  takesGzip: false,
  memoryMegabytes: DEFAULT_MEMORY_MEGABYTES,
  replacesRows: true,
  remotePlace: (place) =>
    place.trim() === ""
      ? undefined
      : Result.map(parseAddress(place), () => (place.startsWith("//") ? `postgresql:${place}` : place)),
  owns: () => false,
  layer,
  sharedLayer
}
