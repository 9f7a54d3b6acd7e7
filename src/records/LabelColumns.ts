/** Assigns columns to labels. Columns that differ only in case are the same, as in warehouses and typed tables. */
import { columnOf } from "./Columns.ts"

/** By default, labels beyond this number have no column. */
export const DEFAULT_LABEL_COLUMNS = 1000

/** The columns of labels. Columns are only added. */
export interface LabelColumns {
  /** The columns in the order in which they were added. */
  readonly names: ReadonlyArray<string>
  /** The column of a label, added if necessary; undefined if the label cannot have one. */
  readonly columnFor: (label: string) => string | undefined
  /** The existing column that clashes with the column of a label. */
  readonly ownerOf: (label: string) => string | undefined
}

/**
 * `known` are the label columns that a table already has. `nameOf` returns the column name of a label, if it can have a column.
 * Of labels that differ only in case, the first one gets the column.
 */
export const labelColumns = (
  known: ReadonlyArray<string> = [],
  nameOf: (label: string) => string | undefined = columnOf,
  most = DEFAULT_LABEL_COLUMNS
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

/** The columns of a set of labels, and the labels without a column because of a clash. */
export interface AssignedColumns {
  readonly columns: ReadonlyArray<{ readonly column: string; readonly label: string }>
  readonly clashes: ReadonlyArray<{ readonly label: string; readonly column: string }>
}

/** Lower case first: of labels that differ only in case, users most likely mean that one. */
const byPreference = (a: string, b: string): number => {
  const plain = a < b ? -1 : a > b ? 1 : 0
  return Number(a !== a.toLowerCase()) - Number(b !== b.toLowerCase()) || plain
}

/** Assigns a column to each label of a set, sorted by name. Of labels that differ only in case, one gets it. */
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
