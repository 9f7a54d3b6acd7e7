/**
 * Tables of a schema in PostgreSQL. Rows are inserted and compared through DuckDB; whatever else there is to do, the server does.
 *
 * DuckDB caches what it knows of tables, also if a transaction is rolled back. So the cache is cleared after each change of a
 * table.
 */
import { createHash, randomBytes } from "node:crypto"
import type { Layout } from "../../samples/Layout.ts"
import type { TableColumn } from "../../samples/TableRow.ts"
import type { Dialect } from "../tables/Dialect.ts"
import { jsonHistograms } from "../tables/histograms.ts"
import {
  DATABASE,
  duckdbColumnOf,
  folded,
  inTableOrder,
  tableName as plainName,
  type TimeRange
} from "../tables/names.ts"
import { quoteName, quoteText } from "../tables/quoteSql.ts"
import { MAX_NAME_BYTES } from "./address.ts"

/** The version of the tables in a schema. */
const VERSION = 2

/** What DuckDB keeps of the tables. */
export const CLEAR_CACHE = "CALL pg_clear_cache()"

/** A statement for DuckDB that runs statements on the server, in its transaction. */
export const onServer = (sql: string): string => `CALL postgres_execute('${DATABASE}', ${quoteText(sql)})`

/** A query for DuckDB with the rows of a query of the server. */
export const fromServer = (sql: string): string =>
  `SELECT * FROM postgres_query('${DATABASE}', ${quoteText(sql)})`

/** A text for SQL of the server, whatever its setting `standard_conforming_strings`. */
export const serverText = (text: string): string =>
  `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`

/** The tables of this program in the schema, and its sequence. No stream has a table of such a name. */
const PREFIX = "_source_prometheus_"
export const ownRelations = { about: `${PREFIX}about`, streams: `${PREFIX}streams`, rows: `${PREFIX}rows` }

/**
 * A column for tables to which rows are only appended: the order in which they were inserted, because the last one of a series
 * and time counts, and PostgreSQL keeps no order. Rows from before have none.
 */
export const INSERTED = "inserted"

/** Columns that PostgreSQL, or this program, adds to each table. A label of that name is renamed like `time`. */
const reserved: ReadonlySet<string> = new Set(["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", INSERTED])
const LABEL = "label_"

/** The column of a label. Names that are too long are in the column for other labels, under their full name. */
export const postgresColumnOf = (label: string): string | undefined => {
  const lower = folded(label)
  if (reserved.has(lower)) return LABEL + label
  if (lower.startsWith(LABEL) && reserved.has(lower.slice(LABEL.length))) return undefined
  const column = duckdbColumnOf(label)
  return column === undefined || Buffer.byteLength(column) > MAX_NAME_BYTES ? undefined : column
}

/** A name that fits: a longer one is cut off, and ends with a part of its hash. */
export const fittingName = (name: string): string => {
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return name
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 12)
  let kept = name
  while (Buffer.byteLength(kept) > MAX_NAME_BYTES - hash.length - 1)
    kept = Array.from(kept).slice(0, -1).join("")
  return `${kept}_${hash}`
}

/** Our tables are not for streams. */
const ownNames: ReadonlySet<string> = new Set(Object.values(ownRelations))

/** The table name for a stream that fits. Names that DuckDB does not distinguish get a number. */
export const tableName = (stream: string, taken: ReadonlySet<string>): string => {
  const all = { has: (name: string) => ownNames.has(name) || taken.has(name) } as ReadonlySet<string>
  const plain = plainName(stream, new Set())
  for (let number = 1; ; number++) {
    const name = fittingName(number === 1 ? plain : `${plain}_${number}`)
    if (!all.has(folded(name))) return name
  }
}

/** The columns that are not labels, and their types as PostgreSQL names them. */
export const ownTypes = (rest: Layout["rest"]): ReadonlyMap<string, string> =>
  new Map([
    ["time", "timestamp with time zone"],
    ["value", "double precision"],
    ["special_value", "text"],
    ["series_id", "text"],
    // Other than jsonb, it keeps each digit, and has no limits.
    ["histogram", "json"],
    [rest, "json"]
  ])

/** PostgreSQL's types of the columns of tables of rows. */
const rowTypes: Readonly<Record<TableColumn["kind"], string>> = {
  text: "text",
  number: "double precision",
  count: "bigint",
  time: "timestamp with time zone",
  object: "json"
}

const rowColumn = ({ kind, name }: TableColumn): string => `${quoteName(name)} ${rowTypes[kind]}`

const time = (millis: number): string => `to_timestamp(${millis} / 1000.0)`

/** A condition of the server on a time. */
export const timeBetween = ({ first, last }: TimeRange, column = "time"): string =>
  `${column} BETWEEN ${time(first)} AND ${time(last)}`

/** Statements of the server, after which DuckDB looks at its tables again. */
const change = (sql: string): string => `${onServer(sql)}; ${CLEAR_CACHE}`

export const postgresDialect = (schema: string): Dialect => {
  const inSchema = (name: string) => `${quoteName(schema)}.${quoteName(name)}`
  const streams = inSchema(ownRelations.streams)
  return {
    engine: "DuckDB, which writes to PostgreSQL,",
    place: "schema",
    version: VERSION,
    about: `${DATABASE}.${inSchema(ownRelations.about)}`,
    streams: `${DATABASE}.${streams}`,
    aboutName: ownRelations.about,
    streamsName: ownRelations.streams,
    folded,
    tableName,
    columnOf: postgresColumnOf,
    acceptsText: (text) => !text.includes("\0"),
    histograms: jsonHistograms,
    qualified: (table) => `${DATABASE}.${inSchema(table)}`,
    // An index on blocks of rows, because a key would slow down each insert. Indexes share the names of tables.
    createTable: (table, rest, labels) => {
      const columns = inTableOrder<readonly [name: string, type: string]>(
        rest,
        [...ownTypes(rest)],
        labels.map((name) => [name, "text"])
      )
      return [
        change(
          `CREATE TABLE ${inSchema(table)} (${columns.map(([name, type]) => `${quoteName(name)} ${type}`).join(", ")});
           CREATE INDEX ${quoteName(`${PREFIX}time_${randomBytes(8).toString("hex")}`)} ON ${inSchema(table)} USING brin (time)`
        )
      ]
    },
    createRows: (table, columns) => [
      change(
        `CREATE TABLE ${inSchema(table)} (${columns.map(rowColumn).join(", ")});
         CREATE INDEX ${quoteName(`${PREFIX}time_${randomBytes(8).toString("hex")}`)} ON ${inSchema(table)} USING brin (time)`
      )
    ],
    addRowColumn: (table, column) => change(`ALTER TABLE ${inSchema(table)} ADD COLUMN ${rowColumn(column)}`),
    addColumn: (table, column) =>
      change(`ALTER TABLE ${inSchema(table)} ADD COLUMN ${quoteName(column)} text`),
    dropTable: (table) => change(`DROP TABLE IF EXISTS ${inSchema(table)}`),
    renameTable: (table, to) => change(`ALTER TABLE ${inSchema(table)} RENAME TO ${quoteName(to)}`),
    numberRows: (table) =>
      change(
        `ALTER TABLE ${inSchema(table)} ADD COLUMN IF NOT EXISTS ${INSERTED} bigint;
         ALTER TABLE ${inSchema(table)} ALTER COLUMN ${INSERTED} SET DEFAULT nextval(${serverText(inSchema(ownRelations.rows))})`
      ),
    rowsByMinute: (table, range) =>
      fromServer(
        `SELECT floor(extract(epoch FROM time) / 60)::float8 AS minute, count(*) AS count FROM ${inSchema(table)}
         WHERE ${range === undefined ? "true" : timeBetween(range)} GROUP BY 1`
      ),
    contents: (table, where) =>
      fromServer(
        `SELECT count(*)::float8 AS rows, (extract(epoch FROM min(time)) * 1000)::float8 AS first, (extract(epoch FROM max(time)) * 1000)::float8 AS last
         FROM ${inSchema(table)} WHERE ${where}`
      ),
    lastRows: async (_, table, rows) =>
      rows === 0
        ? "false"
        : `${INSERTED} >= (
             SELECT min(${INSERTED}) FROM (
               SELECT ${INSERTED} FROM ${inSchema(table)} WHERE ${INSERTED} IS NOT NULL ORDER BY ${INSERTED} DESC LIMIT ${rows}
             ) AS last
           )`,
    removeEarlier: (table, range, key) =>
      onServer(
        `DELETE FROM ${inSchema(table)} AS old USING (
           SELECT ctid AS place, row_number() OVER (PARTITION BY ${key}, time ORDER BY ${INSERTED} DESC NULLS LAST) AS number
           FROM ${inSchema(table)} WHERE ${timeBetween(range)}
         ) AS later
         WHERE old.ctid = later.place AND later.number > 1`
      ),
    saveManifest: (key, entry, isKnown) =>
      onServer(
        isKnown
          ? `UPDATE ${streams} SET entry = ${serverText(entry)} WHERE stream = ${serverText(key)}`
          : `DELETE FROM ${streams} WHERE stream = ${serverText(key)};
             INSERT INTO ${streams} VALUES (${serverText(key)}, ${serverText(entry)})`
      )
  }
}
