/** How the labels of a series become columns of a record. */

/** The columns that are ours, in every stream. */
export const reservedColumns = [
  "time",
  "value",
  "special_value",
  "series_id",
  "histogram",
  "other_labels",
  "labels"
] as const

const PREFIX = "label_"

const reserved: ReadonlySet<string> = new Set(reservedColumns)

const isReserved = (name: string): boolean => reserved.has(name.toLowerCase())

/**
 * The column of a label: its own name, or `label_<name>` where that is one of ours, in whatever case (warehouses
 * do not tell `Time` from `time`).
 *
 * Undefined for a label that is itself called like such a column (`label_time`): the name alone decides what a
 * column means, so that label goes to `other_labels`.
 */
export const columnOf = (label: string): string | undefined => {
  if (isReserved(label)) return PREFIX + label
  const rest = label.toLowerCase().startsWith(PREFIX) ? label.slice(PREFIX.length) : undefined
  return rest !== undefined && isReserved(rest) ? undefined : label
}

/** Columns for a set of labels, and the labels that can have none without a clash. */
export interface LabelColumns {
  readonly columns: ReadonlyArray<{ readonly column: string; readonly label: string }>
  readonly clashes: ReadonlyArray<{ readonly label: string; readonly column: string }>
}

/** Lower case first: of labels that differ only in case, that one is the likeliest to be meant. */
const byPreference = (a: string, b: string): number => {
  const plain = a < b ? -1 : a > b ? 1 : 0
  return Number(a !== a.toLowerCase()) - Number(b !== b.toLowerCase()) || plain
}

/** Gives each label its column, sorted by name. Of labels that differ only in case one gets it. */
export const assignColumns = (labels: Iterable<string>): LabelColumns => {
  const columns: Array<{ readonly column: string; readonly label: string }> = []
  const clashes: Array<{ readonly label: string; readonly column: string }> = []
  const taken = new Map<string, string>()
  for (const label of Array.from(labels).sort(byPreference)) {
    const column = columnOf(label)
    const owner = column === undefined ? label : taken.get(column.toLowerCase())
    if (column === undefined || owner !== undefined) {
      clashes.push({ label, column: owner ?? label })
    } else {
      taken.set(column.toLowerCase(), column)
      columns.push({ column, label })
    }
  }
  columns.sort((a, b) => (a.column < b.column ? -1 : 1))
  return { columns, clashes }
}
