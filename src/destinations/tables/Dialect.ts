/** What differs between the databases that streams are tables of. All statements run in DuckDB, which attaches the database. */
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
  /** The fully qualified name of a table of streams. */
  readonly qualified: (table: string) => string
  readonly createTable: (
    table: string,
    hasLabelColumns: boolean,
    labels: ReadonlyArray<string>
  ) => ReadonlyArray<string>
  readonly addColumn: (table: string, column: string) => string
  /** Whether a transaction that adds a column may not rename the table too. */
  readonly addsColumnsApart?: boolean
  readonly dropTable: (table: string) => string
  readonly renameTable: (table: string, to: string) => string
  /** A query for the number of rows of each minute since the epoch: `minute` and `count`. */
  readonly rowsByMinute: (table: string, range: TimeRange | undefined) => string
  /** A query for the number of rows, and the first and last time in milliseconds. `where` is a condition of this dialect. */
  readonly contents: (table: string, where: string) => string
  /** A condition for the last rows of a table, of which there are so many. */
  readonly lastRows: (runQuery: RunQuery, table: string, rows: number) => Promise<string>
  /** Removes rows of a time range if a row inserted later has their series and time. */
  readonly removeEarlier: (table: string, range: TimeRange) => string
}
