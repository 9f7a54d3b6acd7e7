/** How the labels of a series map to columns of a record. */

/** The columns of every stream, in addition to its labels. */
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
