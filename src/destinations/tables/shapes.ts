/** The shapes of a database's tables. Users and other tools may have changed them. */
import type { DuckDBConnection } from "@duckdb/node-api"
import type { Layout } from "../../samples/Layout.ts"
import { RECORD_ID } from "../../samples/TableRow.ts"
import { DATABASE, folded, ownColumns } from "./names.ts"
import { quoteText } from "./quoteSql.ts"

/** A table. */
export interface Shape {
  /** The names of its columns. */
  readonly names: ReadonlyArray<string>
  /** Those of our own columns, of any layout, that are missing or have another type. */
  readonly wrong: ReadonlyArray<string>
}

/** The columns for all remaining labels. A table has exactly one of them. */
const rests: ReadonlyArray<Layout["rest"]> = ["other_labels", "labels"]

/** Our own columns of a table in a layout that are missing, or have another type. */
export const wrongColumns = ({ wrong }: Shape, { rest }: Pick<Layout, "rest">): ReadonlyArray<string> =>
  wrong.filter((name) => name === rest || (name !== RECORD_ID && !rests.some((other) => other === name)))

/** The key columns of a table of rows that are missing, or have another type. Other missing columns are added. */
export const wrongKeys = ({ wrong }: Shape): ReadonlyArray<string> =>
  wrong.filter((name) => name === RECORD_ID || name === "time")

/** The types of all of our own columns, whatever the layout. */
export const typesOfAll = <A>(typesOf: (rest: Layout["rest"]) => Iterable<readonly [string, A]>) => {
  const types = new Map(rests.flatMap((rest) => [...typesOf(rest)]))
  return types.set(RECORD_ID, types.get("series_id")!)
}

/** Columns that tables of other programs are unlikely to have. */
const MARKS = ["series_id", "special_value", RECORD_ID]

/** Whether source-prometheus probably created a table, even if it was changed later. */
export const looksLikeOurs = ({ names }: Shape): boolean => MARKS.some((mark) => names.includes(mark))

/** The types by DuckDB's names. */
const typeNames: Readonly<Record<string, string>> = { TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE" }

/**
 * All tables of the schema `main`, by folded name. One query for all tables, because a query for each of thousands takes long.
 * Its rows are streamed: columns of thousands of tables would take much of DuckDB's memory. The strings of names are shared.
 */
export const shapesOf = async (connection: DuckDBConnection): Promise<Map<string, Shape>> => {
  const types = typesOfAll((rest) =>
    ownColumns(rest).map(([name, type]) => [name, typeNames[type] ?? type] as const)
  )
  const inMain = `database_name = ${quoteText(DATABASE)} AND schema_name = 'main'`
  const shared = new Map<string, string>()
  const shapes = new Map<string, { names: Array<string>; wrong: Array<string> }>()
  const result = await connection.stream(
    `SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE ${inMain}`
  )
  for await (const rows of result.yieldRows()) {
    for (const [table, column, type] of rows) {
      const key = folded(String(table))
      let shape = shapes.get(key)
      if (shape === undefined) {
        shape = { names: [], wrong: [...types.keys()] }
        shapes.set(key, shape)
      }
      const name = String(column)
      if (!shared.has(name)) shared.set(name, name)
      shape.names.push(shared.get(name)!)
      if (types.get(name) === type) shape.wrong.splice(shape.wrong.indexOf(name), 1)
    }
  }
  return shapes
}

/** The shape of a table that this program has changed, so it has all of our own columns; undefined if it does not exist. */
export const shapeOfOwn = async (connection: DuckDBConnection, table: string): Promise<Shape | undefined> => {
  try {
    return { names: (await connection.run(`FROM ${table} LIMIT 0`)).columnNames(), wrong: [] }
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("Catalog Error")) return undefined
    throw error
  }
}
