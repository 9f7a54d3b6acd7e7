/** The manifests of streams, in a schema of their own, which people and other tools may have changed. */
import { Effect, Result, Schema } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import type { DestinationError } from "../Destination.ts"
import { Count, manifestFields, without } from "../manifest.ts"
import { quoteText } from "./quoteSql.ts"
import { looksOurs, type Shape } from "./shapes.ts"
import { DATABASE, folded, OWN_SCHEMA, type Relation } from "./tables.ts"

const Millis = Schema.NullOr(Schema.Int)

const tableFields = {
  /** Its name. */
  table: Schema.String,
  /** The time of its latest row. */
  lastMillis: Millis
}

const TableSchema = Schema.Struct(tableFields)

/** What is saved of a table. */
export type TableManifest = typeof TableSchema.Type

const ManifestSchema = Schema.Struct({
  ...manifestFields,
  ...tableFields,
  /** Whether that table exists: not before the first refresh that replaces is complete. */
  hasTable: Schema.Boolean,
  /** No two of its rows have the same series and time. */
  isUnique: Schema.Boolean,
  /** How many of its rows, the last ones, are of a stopped refresh that appends. */
  refreshRows: Schema.optionalKey(Count),
  /** The table of a stopped refresh that replaces. */
  next: Schema.optionalKey(TableSchema),
  /** A table to be removed. */
  orphan: Schema.optionalKey(Schema.String)
})

/** What is saved of a stream. */
export type Manifest = typeof ManifestSchema.Type

const ManifestJson = Schema.fromJsonString(ManifestSchema)

/** What the schema of this program looks like. Others are refused: tables of version 1 have a primary key. */
const VERSION = 2

const ABOUT = `${DATABASE}.${OWN_SCHEMA}.about`
const STREAMS = `${DATABASE}.${OWN_SCHEMA}.streams`

/** The names of the tables of a stream. */
export const tablesOf = (manifest: Manifest | undefined): ReadonlyArray<string> =>
  manifest === undefined
    ? []
    : [manifest.table, manifest.next?.table, manifest.orphan].filter((table) => table !== undefined)

/** What is the same for all streams of a database. */
export interface About {
  readonly path: string
  /** Where the data comes from, such as the address of a server. A file is for one only. */
  readonly source: string
  /** A column per label, or else one column `labels`. */
  readonly labelColumns: boolean
}

/** Runs a query. */
type Query<E = DestinationError> = (sql: string) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, E>

/** What there is in the schema `main`, by names, folded. */
export interface Found {
  readonly relations: ReadonlyMap<string, Relation>
  readonly shapes: ReadonlyMap<string, Shape>
}

/** The manifests of a database. */
export interface Manifests {
  /** By stream. */
  readonly manifests: Map<string, Manifest>
  /** The streams whose manifest this program has not written. */
  readonly damaged: Set<string>
}

/** Reads the manifests, without what the tables no longer have. */
export const loadManifests = Effect.fnUntraced(function* (about: About, query: Query, found: Found) {
  const ask = (sql: string) =>
    Effect.mapError(query(sql), (error) =>
      /(Catalog|Binder) Error/.test(error.message)
        ? damage(about, `${OWN_SCHEMA} is not as this program writes it`)
        : error
    )
  yield* checkAbout(about, ask)
  const loaded: Manifests = { manifests: new Map(), damaged: new Set() }
  const { damaged, manifests } = loaded
  for (const [key, text] of yield* ask(`SELECT stream, entry FROM ${STREAMS} ORDER BY stream`)) {
    const stream = streamOf(key)
    // It is of no stream, so nobody will miss it.
    if (stream === undefined) continue
    const decoded = Schema.decodeUnknownResult(ManifestJson)(text)
    if (Result.isFailure(decoded) || decoded.success.stream !== stream || manifests.has(stream)) {
      damaged.add(stream)
      manifests.delete(stream)
    } else if (!damaged.has(stream)) manifests.set(stream, asFound(decoded.success, found))
  }
  return loaded
})

/** A manifest without a stopped refresh whose table was dropped or changed, so that it restarts. */
const asFound = (manifest: Manifest, { relations, shapes }: Found): Manifest => {
  const shapeOf = (table: string): Shape | undefined =>
    relations.get(folded(table)) === "table" ? shapes.get(folded(table)) : undefined
  const isUsable = (table: string): boolean => shapeOf(table)?.wrong.length === 0
  const { hasTable, next, refreshRows, table } = manifest
  if (next !== undefined && !isUsable(next.table)) {
    const left = shapeOf(next.table)
    return {
      ...without(manifest, "next", "refreshState"),
      ...(left !== undefined && looksOurs(left) ? { orphan: next.table } : {})
    }
  }
  return refreshRows === undefined || (hasTable && isUsable(table))
    ? manifest
    : without(manifest, "refreshRows", "refreshState")
}

/** A stream as a text that SQL can say: what it cannot is escaped. */
export const keyOf = (stream: string): string => JSON.stringify(stream).slice(1, -1)

/** The stream that such a text stands for; undefined where it stands for none. */
const streamOf = (key: unknown): string | undefined => {
  try {
    const stream: unknown = JSON.parse(`"${String(key)}"`)
    return typeof key === "string" && typeof stream === "string" ? stream : undefined
  } catch {
    return undefined
  }
}

/** Says of an empty database what it is for from now on. */
export const renameAbout = ({ labelColumns, source }: About): string =>
  `UPDATE ${ABOUT} SET source = ${quoteText(source)}, label_columns = ${labelColumns}`

/** Deletes the manifest of a stream, by the key $1. */
export const deleteManifest = `DELETE FROM ${STREAMS} WHERE stream = $1`
export const insertManifest = `INSERT INTO ${STREAMS} VALUES ($1, $2)`
export const updateManifest = `UPDATE ${STREAMS} SET entry = $2 WHERE stream = $1`

/** What makes a database one of this program. */
export const bookkeeping = (database: string, { labelColumns, source }: About): string => `
  CREATE SCHEMA ${database}.${OWN_SCHEMA};
  CREATE TABLE ${database}.${OWN_SCHEMA}.about (version INTEGER, source VARCHAR, label_columns BOOLEAN);
  CREATE TABLE ${database}.${OWN_SCHEMA}.streams (stream VARCHAR, entry VARCHAR);
  INSERT INTO ${database}.${OWN_SCHEMA}.about VALUES (${VERSION}, ${quoteText(source)}, ${labelColumns})`

const damage = ({ path }: About, what: string) =>
  new ConfigError({
    message: `${path} is damaged: ${what}. Restore the file from before, or choose another one.`
  })

/** Refuses what others have written, and what was written in another way. */
const checkAbout = Effect.fnUntraced(function* (options: About, ask: Query<ConfigError | DestinationError>) {
  const { labelColumns, path, source } = options
  const refuse = (why: string) => new ConfigError({ message: `${path} ${why}` })
  const [about] = yield* ask(`SELECT * FROM ${ABOUT}`)
  const [version, itsSource, itsLabelColumns] = about ?? []
  if (typeof version === "number" && version > VERSION) {
    return yield* refuse(
      "was written by a newer version of this program. Use that version, or choose another file."
    )
  }
  if (version === 1) {
    return yield* refuse(
      "was written by an earlier build of this program, whose tables have primary keys. Choose another file, and read the streams again into it."
    )
  }
  if (version !== VERSION || typeof itsSource !== "string" || typeof itsLabelColumns !== "boolean") {
    return yield* damage(options, `${OWN_SCHEMA}.about is not as this program writes it`)
  }
  const [counted] = yield* ask(`SELECT count(*) FROM ${STREAMS}`)
  if (Number(counted?.[0]) === 0) return
  if (itsSource !== source) {
    return yield* refuse(`holds data of ${itsSource}, and this is ${source}. Choose another file.`)
  }
  if (itsLabelColumns !== labelColumns) {
    const named = (columns: boolean) => (columns ? "a column per label" : "one column for all labels")
    return yield* refuse(
      `has ${named(itsLabelColumns)}, and this run writes ${named(labelColumns)} (label_columns). Choose another file, or run as before.`
    )
  }
})
