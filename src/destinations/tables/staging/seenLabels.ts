/**
 * The columns that a process has given to the labels of staged samples, and what to do if other processes have given columns of the
 * table in another order meanwhile: of labels that differ only in case, the first one gets the column.
 */
import type { DuckDBAppender, DuckDBConnection } from "@duckdb/node-api"
import { jsonLine } from "../../../records/jsonLine.ts"
import { type LabelColumns, labelColumns } from "../../../records/LabelColumns.ts"
import { columnIn, hasNamedColumns, type Layout } from "../../../samples/Layout.ts"
import { byBytes } from "../../../samples/Series.ts"

/** Columns of labels that are remembered by label. */
export interface SeenLabels extends LabelColumns {
  /** The column of each label so far; undefined if it has none. */
  readonly seen: ReadonlyMap<string, string | undefined>
}

/** The rules of a database. */
export interface ColumnRules {
  readonly columnOf: (label: string) => string | undefined
  readonly most: number
}

/** The rules of a layout in a database; undefined if no label gets a column. */
export const rulesIn = (layout: Layout, { columnOf, most }: ColumnRules): ColumnRules | undefined =>
  hasNamedColumns(layout) ? { columnOf: columnIn(layout, columnOf), most } : undefined

/** Starts with the columns that a table has. */
export const seenLabels = (known: ReadonlyArray<string>, { columnOf, most }: ColumnRules): SeenLabels => {
  const columns = labelColumns(known, columnOf, most)
  const seen = new Map<string, string | undefined>()
  return {
    names: columns.names,
    seen,
    columnFor: (label) => {
      const column = columns.columnFor(label)
      seen.set(label, column)
      return column
    }
  }
}

/** The same labels with the columns that the table has now. */
export const seenAgain = (
  { seen }: SeenLabels,
  known: ReadonlyArray<string>,
  rules: ColumnRules
): SeenLabels => {
  const again = seenLabels(known, rules)
  for (const label of seen.keys()) again.columnFor(label)
  return again
}

/** Whether all labels have the same columns. */
export const areSame = (a: SeenLabels, b: SeenLabels): boolean =>
  Array.from(a.seen).every(([label, column]) => b.seen.get(label) === column)

type DuckDB = typeof import("@duckdb/node-api")

/** Appends the labels of a series to its row: those without a column as JSON, and a list with the values of the columns. */
export const appendLabels = (
  appender: DuckDBAppender,
  { LIST, VARCHAR }: Pick<DuckDB, "LIST" | "VARCHAR">,
  labels: ReadonlyArray<readonly [label: string, value: string]>,
  columns: SeenLabels,
  acceptsText: (text: string) => boolean = () => true
): void => {
  const values = new Map<string, string>()
  const rest: Array<readonly [string, string]> = []
  for (const [label, value] of labels) {
    const column = acceptsText(value) ? columns.columnFor(label) : undefined
    if (column === undefined) rest.push([label, value])
    else values.set(column, value)
  }
  if (rest.length === 0) appender.appendNull()
  else appender.appendVarchar(jsonLine(Object.fromEntries(rest.sort(([a], [b]) => byBytes(a, b)))))
  appender.appendList(
    columns.names.map((name) => values.get(name) ?? null),
    LIST(VARCHAR)
  )
}

/** How many series are inserted at once. */
const BATCH = 2000

/** Stages the series of a connection again, whose labels had the columns `before`, with the columns `after`. */
export const stageSeriesAgain = async (
  duckdb: DuckDB,
  connection: DuckDBConnection,
  before: SeenLabels,
  after: SeenLabels,
  acceptsText: (text: string) => boolean = () => true
): Promise<void> => {
  const labelOf = new Map(Array.from(before.seen, ([label, column]) => [column, label] as const))
  const read = await connection.runAndReadAll(
    "SELECT number, series_id, rest, labels FROM temp.staged_series"
  )
  const all = read.getRowsJS() as unknown as ReadonlyArray<
    readonly [number, string, string | null, ReadonlyArray<string | null>]
  >
  await connection.run(
    "CREATE OR REPLACE TEMP TABLE staged_series (number INTEGER, series_id VARCHAR, rest VARCHAR, labels VARCHAR[])"
  )
  for (let from = 0; from < all.length; from += BATCH) {
    const appender = await connection.createAppender("staged_series", null, "temp")
    for (const [number, id, others, values] of all.slice(from, from + BATCH)) {
      const labels: Array<readonly [string, string]> =
        others === null ? [] : Object.entries(JSON.parse(others) as Record<string, string>)
      for (const [index, value] of values.entries()) {
        if (value !== null) labels.push([labelOf.get(before.names[index])!, value])
      }
      appender.appendInteger(number)
      appender.appendVarchar(id)
      appendLabels(appender, duckdb, labels, after, acceptsText)
      appender.endRow()
    }
    appender.closeSync()
  }
}
