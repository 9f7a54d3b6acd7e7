/**
 * Stages rows with fixed columns before they are inserted into a table or file. They are in a temporary DuckDB table, which spills
 * to disk beyond DuckDB's memory limit.
 */
import type { DuckDBAppender, DuckDBConnection } from "@duckdb/node-api"
import { jsonLine } from "../../../records/jsonLine.ts"
import { type Cell, RECORD_ID, type RowBlock, type TableColumn } from "../../../samples/TableRow.ts"
import type { Run } from "../Dialect.ts"
import { isBetween, type TimeRange } from "../names.ts"
import { quoteName } from "../quoteSql.ts"
import type { Staged } from "./StagedSamples.ts"
import type { Part } from "./stagedRows.ts"

type DuckDB = typeof import("@duckdb/node-api")

/** DuckDB's types of columns. An object is staged as its text. */
export const duckdbTypes: Readonly<Record<TableColumn["kind"], string>> = {
  text: "VARCHAR",
  number: "DOUBLE",
  count: "BIGINT",
  time: "TIMESTAMPTZ",
  object: "JSON"
}

/** The size of a row without its texts. */
const ROW_BYTES = 100

const TABLE = "temp.staged_rows"

const key = (a: string, b: string): string =>
  `${a}.${RECORD_ID} = ${b}.${RECORD_ID} AND ${a}.time = ${b}.time`

export type StagedTable = ReturnType<typeof stageTable>

/**
 * Stages rows in the temporary table `staged_rows` of a connection of its own: a column `number` with the order of the rows, and
 * the columns of the table.
 */
export const stageTable = (
  { DuckDBTimestampTZValue }: DuckDB,
  connection: DuckDBConnection,
  columns: ReadonlyArray<TableColumn>,
  acceptsText: (text: string) => boolean = () => true
) => {
  let hasTable = false
  let bytes = 0
  let rows: Staged = { first: 0, marked: 0, all: 0 }
  let lastMillis = Number.NEGATIVE_INFINITY
  let hasRepeated = false

  const create = async () => {
    const types = columns.map(
      ({ kind, name }) => `${quoteName(name)} ${kind === "object" ? "VARCHAR" : duckdbTypes[kind]}`
    )
    await connection.run(`CREATE OR REPLACE TEMP TABLE staged_rows (number INTEGER, ${types.join(", ")})`)
    hasTable = true
  }

  const textOf = (text: string): string => {
    bytes += text.length
    const wellFormed = text.toWellFormed()
    return acceptsText(wellFormed) ? wellFormed : wellFormed.replaceAll("\0", "\ufffd")
  }

  const appendCell = (appender: DuckDBAppender, kind: TableColumn["kind"], cell: Cell | undefined) => {
    if (cell === null || cell === undefined) return appender.appendNull()
    switch (kind) {
      case "number":
        return appender.appendDouble(Number(cell))
      case "count":
        return appender.appendBigInt(BigInt(Number(cell)))
      case "time":
        return appender.appendTimestampTZ(
          new DuckDBTimestampTZValue(BigInt(Date.parse(String(cell))) * 1000n)
        )
      case "text":
        return appender.appendVarchar(textOf(String(cell)))
      case "object":
        return appender.appendVarchar(textOf(wellFormedJson(cell)))
    }
  }

  const clear = async () => {
    rows = { first: 0, marked: 0, all: 0 }
    bytes = 0
    hasRepeated = false
    lastMillis = Number.NEGATIVE_INFINITY
    if (hasTable) await create()
  }

  const isIn = (part: Part, row: string): string =>
    part === "marked"
      ? `${row}.number >= ${rows.first} AND ${row}.number < ${rows.marked}`
      : `${row}.number >= ${rows.marked} AND ${row}.number < ${rows.all}`

  return {
    append: async ({ rows: appended, times }: RowBlock): Promise<void> => {
      if (appended.length === 0) return
      if (!hasTable) await create()
      // Any two rows of the same time may have the same key.
      if (times[0]! <= lastMillis || times.some((time, i) => time === times[i - 1])) hasRepeated = true
      lastMillis = Math.max(lastMillis, times.at(-1)!)
      const appender = await connection.createAppender("staged_rows", null, "temp")
      for (const [index, row] of appended.entries()) {
        appender.appendInteger(rows.all + index)
        for (const { kind, name } of columns) appendCell(appender, kind, row[name])
        appender.endRow()
      }
      appender.closeSync()
      bytes += appended.length * ROW_BYTES
      rows = { ...rows, all: rows.all + appended.length }
    },
    /** The approximate number of staged bytes. */
    bytes: (): number => bytes,
    /** Marks all rows so far. */
    mark: (): void => {
      rows = { ...rows, marked: rows.all }
    },
    /** Whether two rows may have the same key. */
    hasRepeated: (): boolean => hasRepeated,
    flush: async (): Promise<void> => {},
    /** Removes the marked rows. */
    removeMarked: async (): Promise<void> => {
      if (rows.marked === rows.all) return clear()
      rows = { ...rows, first: rows.marked }
    },
    /** Removes all rows. */
    clear,
    /** A query for the rows of a part, with an expression for each object. `where` is a condition on `r`. */
    select: (part: Part, objectOf: (column: string) => string, where = "true"): string => {
      const selected = columns.map(({ kind, name }) =>
        kind === "object"
          ? `${objectOf(`r.${quoteName(name)}`)} AS ${quoteName(name)}`
          : `r.${quoteName(name)}`
      )
      return `SELECT r.number, ${selected.join(", ")} FROM ${TABLE} AS r WHERE ${isIn(part, "r")} AND ${where}`
    },
    /**
     * Removes marked rows if a later one has the same key. In the overlapping ranges of a qualified table, each marked row then
     * replaces the row with its key. An equal row stays, so that rows that are read again take no space.
     */
    makeUnique: async (run: Run, to: string, overlap: ReadonlyArray<TimeRange>): Promise<void> => {
      if (hasRepeated) {
        await run(
          `DELETE FROM ${TABLE} AS r USING (
             SELECT ${RECORD_ID}, time, max(number) AS number FROM ${TABLE} AS r WHERE ${isIn("marked", "r")}
             GROUP BY ${RECORD_ID}, time HAVING count(*) > 1
           ) AS later
           WHERE ${isIn("marked", "r")} AND ${key("r", "later")} AND r.number < later.number`
        )
      }
      const isSame = columns
        .map(({ kind, name }) => {
          const column = quoteName(name)
          return `old.${column}${kind === "object" ? "::VARCHAR" : ""} IS NOT DISTINCT FROM new.${column}`
        })
        .join(" AND ")
      for (const range of overlap) {
        const within = `${isBetween("old.time", range)} AND ${isIn("marked", "new")} AND ${key("old", "new")}`
        await run(
          `DELETE FROM ${TABLE} AS r USING (
             SELECT new.number FROM ${to} AS old JOIN ${TABLE} AS new ON ${within} AND ${isSame}
           ) AS same WHERE r.number = same.number`
        )
        await run(`DELETE FROM ${to} AS old USING ${TABLE} AS new WHERE ${within}`)
      }
    }
  }
}

/** DuckDB's JSON does not support lone surrogates. */
const wellFormedJson = (value: unknown): string =>
  jsonLine(value, (_, inner: unknown) => {
    if (typeof inner === "string") return inner.toWellFormed()
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).map(([name, member]) => [name.toWellFormed(), member]))
  })
