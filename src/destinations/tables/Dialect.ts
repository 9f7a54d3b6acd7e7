/** What differs between the databases that streams are tables of. All statements run in DuckDB, which attaches the database. */
import type { Layout } from "../../samples/Layout.ts"
import type { TableColumn } from "../../samples/TableRow.ts"
import type { HistogramColumn } from "./histograms.ts"
import type { TimeRange } from "./names.ts"

/** Runs a statement of a transaction. Returns the number of changed rows. */
export type Run = (sql: string) => Promise<number>

/** Runs a query and returns its rows. */
export type RunQuery = (sql: string) => Promise<ReadonlyArray<ReadonlyArray<unknown>>>

export interface Dialect {
  /** The program that compares names, for a sentence. */
  readonly engine: string
  /** What a user chooses instead of this destination, for a sentence: another `file`. */
  readonly place: string
  /** The version of the tables. Others are refused. */
  readonly version: number
  /** The tables of the destination's source and of manifests, and their names for a sentence. */
  readonly about: string
  readonly streams: string
  readonly aboutName: string
  readonly streamsName: string
  /** A name as the database compares it. */
  readonly folded: (name: string) => string
  /** The table name for a stream. `taken` are the folded names of other tables. */
  readonly tableName: (stream: string, taken: ReadonlySet<string>) => string
  /** The column of a label; undefined if it has none. */
  readonly columnOf: (label: string) => string | undefined
  /** Whether a column can have this text. A label with another one is in the column for other labels. Undefined if all can. */
  readonly acceptsText?: (text: string) => boolean
  /** How the column `histogram` keeps native histograms. */
  readonly histograms: HistogramColumn
  /** The fully qualified name of a table of streams. */
  readonly qualified: (table: string) => string
  readonly createTable: (
    table: string,
    rest: Layout["rest"],
    labels: ReadonlyArray<string>
  ) => ReadonlyArray<string>
  readonly addColumn: (table: string, column: string) => string
  /** Creates a table of rows whose columns are known. */
  readonly createRows: (table: string, columns: ReadonlyArray<TableColumn>) => ReadonlyArray<string>
  readonly addRowColumn: (table: string, column: TableColumn) => string
  /** Whether a transaction that adds a column may not rename the table too. */
  readonly addsColumnsApart?: boolean
  readonly dropTable: (table: string) => string
  readonly renameTable: (table: string, to: string) => string
  /** A query for the number of rows of each minute since the epoch: `minute` and `count`. */
  readonly rowsByMinute: (table: string, range: TimeRange | undefined) => string
  /** A query for the number of rows, and the first and last time in milliseconds. `where` is a condition of this dialect. */
  readonly contents: (table: string, where: string) => string
  /** A condition for this many last rows of a table. */
  readonly lastRows: (runQuery: RunQuery, table: string, rows: number) => Promise<string>
  /** Has the database number the rows that are appended to a table from now on, if it does not keep their order by itself. */
  readonly numberRows?: (table: string) => string
  /** Saves the text of a manifest, if parameters of a statement are not what does it. */
  readonly saveManifest?: (key: string, entry: string, isKnown: boolean) => string
  /** Removes rows of a time range if a row inserted later has their key and time. `key` is the column of that key. */
  readonly removeEarlier: (table: string, range: TimeRange, key: string) => string
}
