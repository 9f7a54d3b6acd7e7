/** Queries for the rows that staged samples are in the table of their stream: those before the mark. */
import { quoteName } from "./quoteSql.ts"
import type { StagedSamples } from "./staging/StagedSamples.ts"
import { FLOAT_VALUE, SPECIAL_VALUE } from "./staging/stagedSql.ts"
import { ownColumns } from "./tables.ts"

/** The columns of `stagedRows`, as the list of an INSERT. */
export const stagedColumns = ({ labels }: StagedSamples): string =>
  [...ownColumns(labels !== undefined).map(([name]) => name), ...(labels?.names ?? [])]
    .map(quoteName)
    .join(", ")

/** Some of what is staged, as conditions on a row `r` of each table. */
export interface Slice {
  readonly floats: string
  readonly histograms: string
}

/**
 * All that is before the mark, in slices of at most about so many rows; where it has a series and time more than once, in the
 * order in which it came, and then a slice has all histograms that are behind its floats, however many.
 */
export const slicesOf = (staged: StagedSamples, mostRows: number): ReadonlyArray<Slice> => {
  const floats = staged.floats().marked
  const histograms = staged.histograms().marked
  const count = Math.max(1, Math.ceil((floats + histograms) / mostRows))
  return Array.from({ length: count }, (_, index) => {
    const part = (all: number, at: number) => Math.floor((all * at) / count)
    const rows = (all: number) => `r.number >= ${part(all, index)} AND r.number < ${part(all, index + 1)}`
    if (floats === 0) return { floats: "false", histograms: rows(histograms) }
    // Their order counts only where one may take the place of another.
    if (!staged.hasRepeated()) return { floats: rows(floats), histograms: rows(histograms) }
    const from = index === 0 ? "" : ` AND r.before > ${part(floats, index)}`
    const to = index === count - 1 ? "" : ` AND r.before <= ${part(floats, index + 1)}`
    return { floats: rows(floats), histograms: `r.number < ${histograms}${from}${to}` }
  })
}

/** What of a slice another condition holds for. */
export const within = ({ floats, histograms }: Slice, condition: string): Slice => ({
  floats: `${floats} AND ${condition}`,
  histograms: `${histograms} AND ${condition}`
})

/** The rows. With `isUnique`, only the last of each series and time. */
export const stagedRows = (staged: StagedSamples, slice: Slice, isUnique: boolean): string => {
  const { labels } = staged
  // Labels by their place: a label may be called as any of the other columns.
  const named = (labels?.names ?? []).map((_, index) => `labels[${index + 1}] AS label_${index}`)
  const series = `(SELECT ${["number", "series_id", "rest::JSON AS rest", ...named].join(", ")} FROM temp.staged_series)`
  const ofLabels = named.map((_, index) => `, s.label_${index}`).join("")
  const select = (value: string, special: string, histogram: string, from: string) =>
    `SELECT r.time, ${value} AS value, ${special} AS special_value, s.series_id, ${histogram} AS histogram, s.rest${ofLabels}
     FROM ${from} AS r JOIN ${series} AS s ON s.number = r.series`
  if (staged.hasRepeated()) {
    // All in the order in which it came, which is what tells the last of several.
    const all = `(
      SELECT * FROM (
        SELECT series, time, value, NULL::VARCHAR AS histogram, number AS place, 1 AS kind, 0 AS number
        FROM temp.staged AS r WHERE ${slice.floats}
        UNION ALL
        SELECT series, time, NULL, histogram, before, 0, number
        FROM temp.staged_histogram AS r WHERE ${slice.histograms}
      ) ${isUnique ? "QUALIFY row_number() OVER (PARTITION BY series, time ORDER BY place DESC, kind DESC, number DESC) = 1" : ""}
    )`
    return `${select(FLOAT_VALUE, SPECIAL_VALUE, "r.histogram::JSON", all)} ORDER BY r.place, r.kind, r.number`
  }
  const floats = `${select(FLOAT_VALUE, SPECIAL_VALUE, "NULL::JSON", "temp.staged")} WHERE ${slice.floats}`
  // Most streams have none, and then their query would cost something for nothing.
  if (staged.histograms().marked === 0) return floats
  return `${floats} UNION ALL
    ${select("NULL::DOUBLE", "NULL::VARCHAR", "r.histogram::JSON", "temp.staged_histogram")} WHERE ${slice.histograms}`
}
