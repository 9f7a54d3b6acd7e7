/** What a stream's table contains, for the code that writes it: samples with the labels of their series, or rows of a table. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { columnsIn } from "../../records/LabelColumns.ts"
import type { StreamKind } from "../../samples/Layout.ts"
import type { SampleBlock } from "../../samples/Sample.ts"
import { RECORD_ID, type RowBlock, type TableSchema } from "../../samples/TableRow.ts"
import type { TimedBlock } from "../contents.ts"
import type { Run } from "./Dialect.ts"
import { insertStaged } from "./insertStaged.ts"
import { isOwnColumn, type TimeRange } from "./names.ts"
import { quoteName } from "./quoteSql.ts"
import { type Shape, wrongColumns, wrongKeys } from "./shapes.ts"
import { stageSamples } from "./staging/StagedSamples.ts"
import { stageTable } from "./staging/StagedTable.ts"
import { grow } from "./streamTables.ts"
import type { TableDatabase } from "./TableDatabase.ts"
import { insertUnique } from "./uniqueRows.ts"

/** Blocks that are staged for a table. */
export interface StagedBlocks<Block> {
  readonly append: (block: Block) => Promise<void>
  /** Marks all blocks so far. */
  readonly mark: () => void
  /** The approximate number of staged bytes. */
  readonly bytes: () => number
  /** Whether two rows may have the same key. */
  readonly hasRepeated: () => boolean
  /** Must be called before statements. */
  readonly flush: () => Promise<void>
  readonly removeMarked: () => Promise<void>
  /** The columns that the table must have, without those of all tables. */
  readonly wanted: () => ReadonlyArray<string>
  /** Creates the table with these columns, or adds those that it lacks. `known` are undefined if there is no table. */
  readonly grow: (run: Run, table: string, known: ReadonlyArray<string> | undefined) => Promise<void>
  /** A statement that inserts the marked blocks into a qualified table. `isOrdered`: in the order of staging. */
  readonly insert: (to: string, isOrdered: boolean) => string
  /** Inserts the marked blocks. In the overlapping ranges of the table, they replace rows with the same key. */
  readonly insertUnique: (run: Run, to: string, overlap: ReadonlyArray<TimeRange>) => Promise<void>
}

/** What a stream's table contains. */
export interface TableContents<Block extends TimedBlock> {
  readonly kind: StreamKind
  /** The column that identifies a row together with `time`. */
  readonly key: "series_id" | typeof RECORD_ID
  /** The columns of a table that are missing, or have another type. */
  readonly wrong: (shape: Shape) => ReadonlyArray<string>
  /** The columns of a table that differ between tables. */
  readonly columnsOf: (shape: Shape) => ReadonlyArray<string>
  /** Stages blocks for a table that has these columns. */
  readonly stage: (connection: DuckDBConnection, known: ReadonlyArray<string>) => StagedBlocks<Block>
}

/** The samples of a stream. */
export const samplesIn = (open: TableDatabase, stream: string): TableContents<SampleBlock> => ({
  kind: open.kindOf(stream),
  key: "series_id",
  wrong: (shape) => wrongColumns(shape, open.layoutOf(stream)),
  columnsOf: ({ names }) => names.filter((name) => !isOwnColumn(open.layoutOf(stream).rest, name)),
  stage: (connection, known) => {
    const { dialect, duckdb, maxLabels } = open
    const layout = open.layoutOf(stream)
    const labels = columnsIn(layout, known, dialect.columnOf, maxLabels())
    const staged = stageSamples(duckdb, connection, labels, layout, dialect)
    const wanted = () => labels?.names ?? []
    return {
      ...staged,
      wanted,
      grow: (run, table, columns) => grow(run, open, table, layout, columns, wanted()),
      insert: (to, isOrdered) => insertStaged(to, staged, isOrdered),
      insertUnique: (run, to, overlap) => insertUnique(run, to, staged, overlap)
    }
  }
})

/** The rows of a table. */
export const rowsOf = (open: TableDatabase, { columns }: TableSchema): TableContents<RowBlock> => ({
  kind: "table",
  key: RECORD_ID,
  wrong: wrongKeys,
  columnsOf: ({ names }) => names,
  stage: (connection) => {
    const { dialect, duckdb } = open
    const staged = stageTable(duckdb, connection, columns, dialect.acceptsText)
    const names = columns.map(({ name }) => name)
    const insert = (to: string, isOrdered: boolean): string =>
      `INSERT INTO ${to} (${names.map(quoteName).join(", ")})
       SELECT * EXCLUDE (number) FROM (${staged.select("marked", (object) => `${object}::JSON`)})${isOrdered ? " ORDER BY number" : ""}`
    return {
      ...staged,
      wanted: () => names,
      grow: async (run, table, known) => {
        if (known === undefined) {
          for (const sql of dialect.createRows(table, columns)) await run(sql)
          return
        }
        // An earlier version of this program had fewer.
        const there = new Set(known.map(dialect.folded))
        for (const column of columns) {
          if (!there.has(dialect.folded(column.name))) await run(dialect.addRowColumn(table, column))
        }
      },
      insert,
      insertUnique: async (run, to, overlap) => {
        await staged.makeUnique(run, to, overlap)
        await run(insert(to, false))
      }
    }
  }
})
