/** Which labels have a column, where columns that differ only in case are the same: in warehouses and typed tables. */
import { columnOf } from "./Columns.ts"

/** More labels than this have no column of their own by default. */
export const MOST_LABEL_COLUMNS = 1000

/** The columns of labels, which only become more. */
export interface LabelColumns {
  /** The columns in the order in which they were added. */
  readonly names: ReadonlyArray<string>
  /** The column of a label, which is added if need be; undefined if the label can have none. */
  readonly columnFor: (label: string) => string | undefined
  /** The column that the column of a label would clash with. */
  readonly ownerOf: (label: string) => string | undefined
}

/**
 * `known` are the columns that a table already has for labels; `nameOf` returns the name of a label's column, if it can have one. Of
 * labels that differ only in case the first gets the column.
 */
export const labelColumns = (
  known: ReadonlyArray<string> = [],
  nameOf: (label: string) => string | undefined = columnOf,
  most = MOST_LABEL_COLUMNS
): LabelColumns => {
  const names = [...known]
  const owners = new Map(names.map((name) => [name.toLowerCase(), name]))
  const ownerOf = (label: string) => {
    const column = nameOf(label)
    return column === undefined ? undefined : owners.get(column.toLowerCase())
  }
  return {
    names,
    ownerOf,
    columnFor: (label) => {
      const column = nameOf(label)
      if (column === undefined) return undefined
      const owner = owners.get(column.toLowerCase())
      if (owner !== undefined) return owner === column ? column : undefined
      if (names.length >= most) return undefined
      owners.set(column.toLowerCase(), column)
      names.push(column)
      return column
    }
  }
}

/** Columns for a set of labels, and the labels that can have none without a clash. */
export interface AssignedColumns {
  readonly columns: ReadonlyArray<{ readonly column: string; readonly label: string }>
  readonly clashes: ReadonlyArray<{ readonly label: string; readonly column: string }>
}

/** Lower case first: of labels that differ only in case, that one is the likeliest to be meant. */
const byPreference = (a: string, b: string): number => {
  const plain = a < b ? -1 : a > b ? 1 : 0
  return Number(a !== a.toLowerCase()) - Number(b !== b.toLowerCase()) || plain
}

/** Gives each label of a set its column, sorted by name. Of labels that differ only in case one gets it. */
export const assignColumns = (labels: Iterable<string>): AssignedColumns => {
  const assigned = labelColumns([], columnOf, Infinity)
  const columns: Array<{ readonly column: string; readonly label: string }> = []
  const clashes: Array<{ readonly label: string; readonly column: string }> = []
  for (const label of Array.from(labels).sort(byPreference)) {
    const owner = assigned.ownerOf(label)
    const column = owner === undefined ? assigned.columnFor(label) : undefined
    if (column === undefined) clashes.push({ label, column: owner ?? label })
    else columns.push({ column, label })
  }
  columns.sort((a, b) => (a.column < b.column ? -1 : 1))
  return { columns, clashes }
}
