/** The manifests of streams, in a separate schema. Users and other tools may have changed them. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Result, Schema, Struct } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { layoutOfKind, type StreamKind } from "../../samples/Layout.ts"
import { contentsFields } from "../contents.ts"
import type { DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { Count, manifestFields } from "../manifest.ts"
import type { Dialect, RunQuery } from "./Dialect.ts"
import { OWN_SCHEMA, type Relation } from "./names.ts"
import { quoteText } from "./quoteSql.ts"
import { looksLikeOurs, type Shape, wrongColumns, wrongKeys } from "./shapes.ts"

const tableFields = {
  table: Schema.String,
  /** The time of its latest row. */
  lastMillis: contentsFields.lastMillis
}

const ManifestSchema = Schema.Struct({
  ...manifestFields,
  ...tableFields,
  /** Whether the table exists. It does not before the first refresh that replaces rows is complete. */
  hasTable: Schema.Boolean,
  /** Whether all rows have a unique series and time. */
  isUnique: Schema.Boolean,
  /** How many of its last rows belong to a stopped refresh that appends. */
  refreshRows: Schema.optionalKey(Count),
  /** The table of a stopped refresh that replaces rows. */
  next: Schema.optionalKey(Schema.Struct(tableFields)),
  /** A table to remove. */
  orphan: Schema.optionalKey(Schema.String)
})

/** The saved manifest of a stream. */
export type Manifest = typeof ManifestSchema.Type

/** The manifest of a stream without a table. */
export const emptyManifest = (stream: string, kind: StreamKind, table: string): Manifest => ({
  version: 1,
  stream,
  kind,
  table,
  hasTable: false,
  lastMillis: null,
  isUnique: true
})

const ManifestJson = Schema.fromJsonString(ManifestSchema)

/** The version of DuckDB's tables. */
export const VERSION = 3

/** How the tables of earlier versions differ. */
const earlier: ReadonlyMap<unknown, string> = new Map([
  [1, "whose tables have primary keys"],
  [2, "whose histograms are text"]
])

/** The manifest of a stream from its saved text; undefined if it is damaged. */
export const manifestFrom = (stream: string, text: unknown): Manifest | undefined => {
  const decoded = Schema.decodeUnknownResult(ManifestJson)(text)
  return Result.isSuccess(decoded) && decoded.success.stream === stream ? decoded.success : undefined
}

/** The names of the tables of a stream. */
export const tablesOf = (manifest: Manifest | undefined): ReadonlyArray<string> =>
  manifest === undefined
    ? []
    : [manifest.table, manifest.next?.table, manifest.orphan].filter((table) => table !== undefined)

/** Runs a query. */
type Query<E = DestinationError> = (sql: string) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, E>

/** How the manifests are read, and by whom. */
export interface About extends Pick<OpenOptions, "labelColumns" | "path" | "source"> {
  readonly dialect: Dialect
}

/** The tables and views beside the tables of streams, by folded name. */
interface Found {
  readonly relations: ReadonlyMap<string, Relation>
  readonly shapes: ReadonlyMap<string, Shape>
}

/** Reads the manifests, without references to tables that no longer exist. */
export const loadManifests = Effect.fnUntraced(function* (about: About, query: Query, found: Found) {
  const runQuery = (sql: string) =>
    Effect.mapError(query(sql), (error) =>
      /(Catalog|Binder) Error/.test(error.message)
        ? damage(about, `${OWN_SCHEMA} is not as this program writes it`)
        : error
    )
  yield* checkAbout(about, runQuery)
  const manifests = new Map<string, Manifest>()
  /** Streams whose manifest was changed by another program. */
  const damaged = new Set<string>()
  for (const [key, text] of yield* runQuery(
    `SELECT stream, entry FROM ${about.dialect.streams} ORDER BY stream`
  )) {
    const stream = streamOf(key)
    // It belongs to no stream, so it can be ignored.
    if (stream === undefined) continue
    const manifest = manifestFrom(stream, text)
    if (manifest === undefined || manifests.has(stream)) {
      damaged.add(stream)
      manifests.delete(stream)
    } else if (!damaged.has(stream)) manifests.set(stream, asFound(about, manifest, found))
  }
  return { manifests, damaged }
})

/** The saved manifest of one stream; undefined if it has none. */
export const readManifest = async (
  { streams }: Dialect,
  runQuery: RunQuery,
  stream: string
): Promise<Manifest | "damaged" | undefined> => {
  const rows = await runQuery(`SELECT entry FROM ${streams} WHERE stream = ${quoteText(keyOf(stream))}`)
  if (rows.length === 0) return undefined
  return (rows.length === 1 ? manifestFrom(stream, rows[0]?.[0]) : undefined) ?? "damaged"
}

/** Drops a stopped refresh whose table was dropped or changed, so that the refresh restarts. */
const asFound = (about: About, manifest: Manifest, { relations, shapes }: Found): Manifest => {
  const { folded } = about.dialect
  const shapeOf = (table: string): Shape | undefined =>
    relations.get(folded(table)) === "table" ? shapes.get(folded(table)) : undefined
  const isUsable = (table: string, kind: StreamKind): boolean => {
    const shape = shapeOf(table)
    if (shape === undefined) return false
    const wrong =
      kind === "table" ? wrongKeys(shape) : wrongColumns(shape, layoutOfKind(kind, about.labelColumns))
    return wrong.length === 0
  }
  const { hasTable, kind, next, nextKind = kind, refreshRows, table } = manifest
  if (next !== undefined && !isUsable(next.table, nextKind)) {
    const left = shapeOf(next.table)
    return {
      ...Struct.omit(manifest, ["next", "nextKind", "refreshState"]),
      ...(left !== undefined && looksLikeOurs(left) ? { orphan: next.table } : {})
    }
  }
  return refreshRows === undefined || (hasTable && isUsable(table, kind))
    ? manifest
    : Struct.omit(manifest, ["refreshRows", "refreshState"])
}

/** A stream as a text for SQL. Characters that SQL cannot represent are escaped. */
export const keyOf = (stream: string): string => JSON.stringify(stream).slice(1, -1)

/** The stream of such a text; undefined if it is invalid. */
const streamOf = (key: unknown): string | undefined => {
  try {
    const stream: unknown = JSON.parse(`"${String(key)}"`)
    return typeof key === "string" && typeof stream === "string" ? stream : undefined
  } catch {
    return undefined
  }
}

/** Records the source and the label columns of an empty database. */
export const renameAbout = ({ dialect, labelColumns, source }: About): string =>
  `UPDATE ${dialect.about} SET source = ${quoteText(source)}, label_columns = ${labelColumns}`

/** Saves the manifest of a stream, which may have one already, or several damaged ones. */
export const saveManifest = async (
  dialect: Dialect,
  connection: DuckDBConnection,
  manifest: Manifest,
  isKnown: boolean,
  isDamaged: boolean
): Promise<void> => {
  const { streams } = dialect
  const key = keyOf(manifest.stream)
  if (dialect.saveManifest !== undefined) {
    await connection.run(dialect.saveManifest(key, JSON.stringify(manifest), isKnown && !isDamaged))
    return
  }
  if (isDamaged) await connection.run(`DELETE FROM ${streams} WHERE stream = $1`, [key])
  await connection.run(
    isKnown ? `UPDATE ${streams} SET entry = $2 WHERE stream = $1` : `INSERT INTO ${streams} VALUES ($1, $2)`,
    [key, JSON.stringify(manifest)]
  )
}

/** The statements that create the bookkeeping of a database. */
export const bookkeeping = (
  database: string,
  { labelColumns, source }: Pick<OpenOptions, "labelColumns" | "source">
): string => `
  CREATE SCHEMA ${database}.${OWN_SCHEMA};
  CREATE TABLE ${database}.${OWN_SCHEMA}.about (version INTEGER, source VARCHAR, label_columns BOOLEAN);
  CREATE TABLE ${database}.${OWN_SCHEMA}.streams (stream VARCHAR, entry VARCHAR);
  INSERT INTO ${database}.${OWN_SCHEMA}.about VALUES (${VERSION}, ${quoteText(source)}, ${labelColumns})`

const damage = ({ dialect, path }: About, what: string) =>
  new ConfigError({
    message: `${path} is damaged: ${what}. Restore the ${dialect.place} from before, or choose another one.`
  })

/** Refuses a database of other programs or versions, or with other settings. */
const checkAbout = Effect.fnUntraced(function* (
  options: About,
  runQuery: Query<ConfigError | DestinationError>
) {
  const { dialect, labelColumns, path, source } = options
  const { place } = dialect
  const refuse = (why: string) => new ConfigError({ message: `${path} ${why}` })
  const [about] = yield* runQuery(`SELECT * FROM ${dialect.about}`)
  const [version, savedSource, savedLabelColumns] = about ?? []
  if (typeof version === "number" && version > dialect.version) {
    return yield* refuse(
      `was written by a newer version of this program. Use that version, or choose another ${place}.`
    )
  }
  const difference = version === dialect.version ? undefined : earlier.get(version)
  if (difference !== undefined) {
    return yield* refuse(
      `was written by an earlier build of this program, ${difference}. Choose another ${place}, and read the streams again into it.`
    )
  }
  if (
    version !== dialect.version ||
    typeof savedSource !== "string" ||
    typeof savedLabelColumns !== "boolean"
  ) {
    return yield* damage(options, `${dialect.aboutName} is not as this program writes it`)
  }
  const [counted] = yield* runQuery(`SELECT count(*) FROM ${dialect.streams}`)
  if (Number(counted?.[0]) === 0) return
  if (savedSource !== source) {
    return yield* refuse(`holds data of ${savedSource}, and this is ${source}. Choose another ${place}.`)
  }
  if (savedLabelColumns !== labelColumns) {
    const named = (columns: boolean) => (columns ? "a column per label" : "one column for all labels")
    return yield* refuse(
      `has ${named(savedLabelColumns)}, and this run writes ${named(labelColumns)} (label_columns). Choose another ${place}, or run as before.`
    )
  }
})
