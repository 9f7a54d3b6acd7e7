/**
 * Rows of tables with fixed columns, unlike samples of metrics, whose columns are labels. The JSON Schema of the catalog, the
 * columns in databases and files, and the documentation are all derived from one description of the columns.
 */
import { hash } from "node:crypto"

/**
 * The type of a column. `text`, `number` and `count` (an integer) are as in JSON. `time` is UTC, `2026-01-01T00:00:00Z`, with
 * milliseconds only if they are not zero. `object` is a JSON object, such as labels.
 */
export type ColumnKind = "text" | "number" | "count" | "time" | "object"

/** A column of a table. */
export interface TableColumn {
  readonly name: string
  readonly kind: ColumnKind
  /** Whether each row has a value. Others may be null. */
  readonly isRequired?: true
  readonly description: string
}

/** The columns of every table: together they identify a row. */
export const keyColumns = (ofRow: string, time: string): ReadonlyArray<TableColumn> => [
  {
    name: RECORD_ID,
    kind: "text",
    isRequired: true,
    description: `The identity of ${ofRow}: 32 hex digits.`
  },
  { name: "time", kind: "time", isRequired: true, description: time }
]

/** The column with the identity of a row, which does not depend on the time. */
export const RECORD_ID = "record_id"

/** A table that is a stream. */
export interface TableSchema {
  /** The name of the stream. */
  readonly stream: string
  readonly description: string
  readonly columns: ReadonlyArray<TableColumn>
}

/** The value of a column, as in JSON. */
export type Cell = string | number | null | Readonly<Record<string, unknown>>

/** A row: a value for each column. */
export type Row = Readonly<Record<string, Cell>>

/** Rows in the order of time. */
export interface RowBlock {
  readonly _tag: "RowBlock"
  /** The number of rows. */
  readonly length: number
  /** Milliseconds since the Unix epoch, of each row. */
  readonly times: Float64Array
  readonly rows: ReadonlyArray<Row>
}

/** The maximum number of rows in a block. It limits the memory of destinations. */
const MAX_BLOCK_ROWS = 1000

/** Rows and their times, sorted by time, as blocks. Rows of the same time keep their order. */
export const rowBlocks = (
  rows: ReadonlyArray<readonly [timeMillis: number, row: Row]>
): ReadonlyArray<RowBlock> => {
  const sorted = rows.toSorted(([a], [b]) => a - b)
  const blocks: Array<RowBlock> = []
  for (let from = 0; from < sorted.length; from += MAX_BLOCK_ROWS) {
    const part = sorted.slice(from, from + MAX_BLOCK_ROWS)
    blocks.push({
      _tag: "RowBlock",
      length: part.length,
      times: Float64Array.from(part, ([time]) => time),
      rows: part.map(([, row]) => row)
    })
  }
  return blocks
}

/** The stable identity of what a row describes: the first 128 bits of SHA-256 over its parts as a JSON array in UTF-8. */
export const recordId = (identity: ReadonlyArray<unknown>): string =>
  hash("sha256", JSON.stringify(identity)).slice(0, 32)
