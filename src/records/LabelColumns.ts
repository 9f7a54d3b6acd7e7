/**
 * How the labels of a series map to columns of a record. Columns that differ only in case are the same, as in warehouses and
 * typed tables. In a catalog, columns that a platform would store under one name are the same, too.
 */

import { columnIn, hasNamedColumns, type Layout } from "../samples/Layout.ts"
import { METRIC_NAME } from "../samples/Series.ts"

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

/** The columns that a layout gives to the labels of a stream; undefined if no label gets one. */
export const columnsIn = (
  layout: Layout,
  known: ReadonlyArray<string> = [],
  nameOf: (label: string) => string | undefined = columnOf,
  most = DEFAULT_LABEL_COLUMNS
): LabelColumns | undefined => {
  if (!hasNamedColumns(layout)) return undefined
  const columns = labelColumns(known, columnIn(layout, nameOf), most)
  // A table without rows has the column, too.
  if (layout.metricName === "column") columns.columnFor(METRIC_NAME)
  return columns
}

/** The columns of a set of labels, and the labels without a column because of a clash. */
export interface AssignedColumns {
  readonly columns: ReadonlyArray<{ readonly column: string; readonly label: string }>
  readonly clashes: ReadonlyArray<{ readonly label: string; readonly column: string }>
}

/**
 * The names under which platforms and warehouses may store a column. They keep letters and digits of ASCII, in lower case; the
 * first form is PyAirbyte's, the second that of Airbyte's destinations, which also remove accents. Names may not begin with a
 * digit.
 */
const storedNames = (column: string): ReadonlyArray<string> => {
  const withoutAccents = column.normalize("NFKD").replace(/\p{M}/gu, "").replace(/\s+/gu, "_")
  return [column, withoutAccents].map((name) =>
    name
      .toLowerCase()
      .replace(/[^a-z0-9]/gu, "_")
      .replace(/^(?=[0-9])/, "_")
  )
}

/** The columns that platforms add to every table. */
const isOfPlatform = (stored: string): boolean => stored.startsWith("_airbyte_") || stored.startsWith("_ab_")

/** Plain names first, and lower case: of labels that share a column, users most likely mean that one. */
const byPreference = (a: string, b: string): number =>
  Number(!isPlain(a)) - Number(!isPlain(b)) ||
  Number(a !== a.toLowerCase()) - Number(b !== b.toLowerCase()) ||
  (a < b ? -1 : 1)

const isPlain = (name: string): boolean => /^[A-Za-z_]\w*$/.test(name)

/**
 * Assigns a column to each label of a set, sorted by name. Of labels that a platform or a warehouse would store in one column,
 * one gets it. A label has none if its column would have the name of another column, or no letter and no digit.
 */
export const assignColumns = (labels: Iterable<string>): AssignedColumns => {
  const columns: Array<AssignedColumns["columns"][number]> = []
  const clashes: Array<AssignedColumns["clashes"][number]> = []
  // Each form has owners of its own: a name of one form says nothing about those of the other.
  const owners = storedNames("").map(() => new Map(Array.from(reserved, (column) => [column, column])))
  for (const label of Array.from(labels).sort(byPreference)) {
    const column = columnOf(label)
    const stored = column === undefined ? [] : storedNames(column)
    const owner = stored.map((name, form) => owners[form]!.get(name)).find((owner) => owner !== undefined)
    if (
      column === undefined ||
      owner !== undefined ||
      stored.some((name) => isOfPlatform(name) || /^_*$/.test(name))
    ) {
      clashes.push({ label, column: owner ?? label })
      continue
    }
    columns.push({ column, label })
    for (const [form, name] of stored.entries()) owners[form]!.set(name, column)
  }
  return { columns: columns.sort((a, b) => (a.column < b.column ? -1 : 1)), clashes }
}
