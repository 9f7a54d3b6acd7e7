/** Queries for the rows that staged samples become in the table of their stream: those before the mark. */
import { quoteName } from "./quoteSql.ts"
import type { StagedSamples } from "./staging/StagedSamples.ts"
import { FLOAT_VALUE, SPECIAL_VALUE } from "./staging/stagedSql.ts"
import { ownColumns } from "./tables.ts"

/** The columns of `stagedRows`, as the list of an INSERT. */
export const stagedColumns = ({ labels }: StagedSamples): string =>
  [...ownColumns(labels !== undefined).map(([name]) => name), ...(labels?.names ?? [])]
    .map(quoteName)
    .join(", ")

/**
 * The rows for which a condition on `r.time` is true. With `isUnique`, only the last row of each series and time; otherwise
 * repeated ones are in the order in which they were staged.
 */
export const stagedRows = (staged: StagedSamples, isUnique: boolean, condition = "true"): string => {
  const { labels } = staged
  const floats = staged.floats()
  const histograms = staged.histograms()
  // Labels by their position: a label may have the name of any other column.
  const named = (labels?.names ?? []).map((_, index) => `labels[${index + 1}] AS label_${index}`)
  const series = `(SELECT ${["number", "series_id", "rest::JSON AS rest", ...named].join(", ")} FROM temp.staged_series)`
  const ofLabels = named.map((_, index) => `, s.label_${index}`).join("")
  const select = (value: string, special: string, histogram: string, from: string) =>
    `SELECT r.time, ${value} AS value, ${special} AS special_value, s.series_id, ${histogram} AS histogram, s.rest${ofLabels}
     FROM ${from} AS r JOIN ${series} AS s ON s.number = r.series`
  const isPart = ({ first, marked }: { readonly first: number; readonly marked: number }) =>
    `r.number >= ${first} AND r.number < ${marked} AND ${condition}`
  if (staged.hasRepeated()) {
    const all = `(
      SELECT * FROM (
        SELECT series, time, value, NULL::VARCHAR AS histogram, number AS place, 1 AS kind, 0 AS number
        FROM temp.staged AS r WHERE ${isPart(floats)}
        UNION ALL
        SELECT series, time, NULL, histogram, before, 0, number
        FROM temp.staged_histogram AS r WHERE ${isPart(histograms)}
      ) ${isUnique ? "QUALIFY row_number() OVER (PARTITION BY series, time ORDER BY place DESC, kind DESC, number DESC) = 1" : ""}
    )`
    const rows = select(FLOAT_VALUE, SPECIAL_VALUE, "r.histogram::JSON", all)
    return isUnique ? rows : `${rows} ORDER BY r.place, r.kind, r.number`
  }
  const ofFloats = `${select(FLOAT_VALUE, SPECIAL_VALUE, "NULL::JSON", "temp.staged")} WHERE ${isPart(floats)}`
  // Most streams have no histograms, and a query for them would not be free.
  if (histograms.marked === histograms.first) return ofFloats
  return `${ofFloats} UNION ALL
    ${select("NULL::DOUBLE", "NULL::VARCHAR", "r.histogram::JSON", "temp.staged_histogram")} WHERE ${isPart(histograms)}`
}
