/**
 * How the labels of a series map to columns of a record. Columns that differ only in case are the same, as in warehouses and
 * typed tables.
 */

/** The columns of every stream, in addition to its labels. */
const reserved: ReadonlySet<string> = new Set([
  "time",
  "value",
  "special_value",
  "series_id",
  "histogram",
  "other_labels",
  "labels"
])

const PREFIX = "label_"

const isReserved = (name: string): boolean => reserved.has(name.toLowerCase())

/**
 * The column of a label: its own name, or `label_<name>` if that is a reserved column, ignoring case (warehouses do not
 * distinguish `Time` from `time`).
 *
 * Undefined for a label whose own name looks like such a column (`label_time`). The name alone decides the meaning of a column,
 * so that label goes to `other_labels`.
 */
export const columnOf = (label: string): string | undefined => {
  if (isReserved(label)) return PREFIX + label
  const rest = label.toLowerCase().startsWith(PREFIX) ? label.slice(PREFIX.length) : undefined
  return rest !== undefined && isReserved(rest) ? undefined : label
}

/** By default, labels beyond this number have no column. */
export const DEFAULT_LABEL_COLUMNS = 1000

/** The columns of labels. Columns are only added. */
export interface LabelColumns {
  /** The columns in the order in which they were added. */
  readonly names: ReadonlyArray<string>
  /** The column of a label, added if necessary; undefined if the label cannot have one. */
  readonly columnFor: (label: string) => string | undefined
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
  return {
    names,
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
const byPreference = (a: string, b: string): number =>
  Number(a !== a.toLowerCase()) - Number(b !== b.toLowerCase()) || (a < b ? -1 : 1)

/** Assigns a column to each label of a set, sorted by name. Of labels that differ only in case, one gets it. */
export const assignColumns = (labels: Iterable<string>): AssignedColumns => {
  const owners = new Map<string, AssignedColumns["columns"][number]>()
  const clashes: Array<AssignedColumns["clashes"][number]> = []
  for (const label of Array.from(labels).sort(byPreference)) {
    const column = columnOf(label)
    const owner = column === undefined ? undefined : owners.get(column.toLowerCase())
    if (column === undefined || owner !== undefined) clashes.push({ label, column: owner?.column ?? label })
    else owners.set(column.toLowerCase(), { column, label })
  }
  return { columns: Array.from(owners.values()).sort((a, b) => (a.column < b.column ? -1 : 1)), clashes }
}
