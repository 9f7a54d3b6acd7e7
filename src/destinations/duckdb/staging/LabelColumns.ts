/** Which labels of a stream have columns where tables are typed and columns are not told from each other by their case. */

/** More labels than this have no column of their own, unless told. */
export const MOST_LABEL_COLUMNS = 1000

/** Which labels have a column in a table, and what is called how. It only grows. */
export interface LabelColumns {
  /** The columns in the order in which they came. */
  readonly names: ReadonlyArray<string>
  /** A label's column, made if need be; undefined if it can have none. */
  readonly columnFor: (label: string) => string | undefined
}

/**
 * `known` are the columns of labels that the table has; `columnOf` says what a label's is called, if it can have one. Of
 * labels that differ only in case the first gets the column.
 */
export const labelColumns = (
  known: ReadonlyArray<string>,
  columnOf: (label: string) => string | undefined,
  most = MOST_LABEL_COLUMNS
): LabelColumns => {
  const names = [...known]
  const owners = new Map(names.map((name) => [name.toLowerCase(), name]))
  return {
    names,
    columnFor: (label) => {
      const column = columnOf(label)
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
