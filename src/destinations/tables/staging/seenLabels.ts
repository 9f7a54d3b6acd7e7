/**
 * The columns that a process has given to the labels of a part. Other processes may have given the columns of the stream in another
 * order meanwhile: of labels that differ only in case, the first one gets the column.
 */
import type { DuckDBConnection } from "@duckdb/node-api"
import { jsonLine } from "../../../records/jsonLine.ts"
import { DEFAULT_LABEL_COLUMNS, type LabelColumns, labelColumns } from "../../../records/LabelColumns.ts"
import { byBytes } from "../../../samples/Series.ts"
import type { StagedSamples } from "./StagedSamples.ts"

/** Columns of labels that are remembered by label. */
export interface SeenLabels extends LabelColumns {
  /** The column of each label so far; undefined if it has none. */
  readonly seen: ReadonlyMap<string, string | undefined>
  /** The same labels with the columns that the stream has now, and more of them. */
  readonly again: (known: ReadonlyArray<string>) => SeenLabels
}

/** Starts with the columns that a stream has. `nameOf` and `most` are as those of `labelColumns`. */
export const seenLabels = (
  known: ReadonlyArray<string>,
  nameOf: (label: string) => string | undefined,
  most = DEFAULT_LABEL_COLUMNS
): SeenLabels => {
  const columns = labelColumns(known, nameOf, most)
  const seen = new Map<string, string | undefined>()
  return {
    names: columns.names,
    seen,
    columnFor: (label) => {
      const column = columns.columnFor(label)
      seen.set(label, column)
      return column
    },
    again: (known) => {
      const again = seenLabels(known, nameOf, most)
      for (const label of seen.keys()) again.columnFor(label)
      return again
    }
  }
}

/** Whether all labels have the same columns. */
export const areSame = (a: SeenLabels, b: SeenLabels): boolean =>
  Array.from(a.seen).every(([label, column]) => b.seen.get(label) === column)

/** How many series are inserted at once. */
const BATCH = 500

/** Moves the labels of staged series to other columns. Nothing may be staged afterwards. Returns the samples with these columns. */
export const moveLabels = async (
  { LIST, VARCHAR }: typeof import("@duckdb/node-api"),
  connection: DuckDBConnection,
  staged: StagedSamples,
  before: SeenLabels,
  after: SeenLabels
): Promise<StagedSamples> => {
  const labelOf = new Map(Array.from(before.seen, ([label, column]) => [column, label]))
  const found = await connection.runAndReadAll(
    "SELECT number, series_id, rest, labels FROM temp.staged_series"
  )
  const series = found.getRowsJS() as unknown as ReadonlyArray<
    readonly [number: number, id: string, rest: string | null, values: ReadonlyArray<string | null>]
  >
  await connection.run("DELETE FROM temp.staged_series")
  for (let from = 0; from < series.length; from += BATCH) {
    const appender = await connection.createAppender("staged_series", null, "temp")
    for (const [number, id, others, values] of series.slice(from, from + BATCH)) {
      const labels: Array<readonly [string, string]> =
        others === null ? [] : Object.entries(JSON.parse(others))
      for (const [index, value] of values.entries()) {
        if (value !== null) labels.push([labelOf.get(before.names[index])!, value])
      }
      const moved = new Map<string, string>()
      const rest: Array<readonly [string, string]> = []
      for (const [label, value] of labels) {
        const column = after.columnFor(label)
        if (column === undefined) rest.push([label, value])
        else moved.set(column, value)
      }
      appender.appendInteger(number)
      appender.appendVarchar(id)
      if (rest.length === 0) appender.appendNull()
      else appender.appendVarchar(jsonLine(Object.fromEntries(rest.sort(([a], [b]) => byBytes(a, b)))))
      appender.appendList(
        after.names.map((name) => moved.get(name) ?? null),
        LIST(VARCHAR)
      )
      appender.endRow()
    }
    appender.closeSync()
  }
  return { ...staged, labels: after }
}
