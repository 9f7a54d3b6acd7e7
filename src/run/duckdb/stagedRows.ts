/** Queries for the rows that staged samples are in the table of their stream: those before the mark. */
import { quoteName } from "../quoteSql.ts"
import type { StagedSamples } from "../staging/StagedSamples.ts"
import { FLOAT_VALUE, SPECIAL_VALUE } from "../staging/stagedSql.ts"
import { ownColumns } from "./tables.ts"

/** The columns of `stagedRows`, as the list of an INSERT. */
export const stagedColumns = ({ labels }: StagedSamples): string =>
  [...ownColumns(labels !== undefined).map(([name]) => name), ...(labels?.names ?? [])]
    .map(quoteName)
    .join(", ")

/** The rows. With `isUnique`, only the last of each series and time. */
export const stagedRows = (staged: StagedSamples, isUnique: boolean): string => {
  const { labels } = staged
  // Labels by their place: a label may be called as any of the other columns.
  const named = (labels?.names ?? []).map((_, index) => `labels[${index + 1}] AS label_${index}`)
  const series = `(SELECT ${["number", "series_id", "rest::JSON AS rest", ...named].join(", ")} FROM temp.staged_series)`
  const ofLabels = named.map((_, index) => `, s.label_${index}`).join("")
  const select = (value: string, special: string, histogram: string, from: string) =>
    `SELECT r.time, ${value} AS value, ${special} AS special_value, s.series_id, ${histogram} AS histogram, s.rest${ofLabels}
     FROM ${from} AS r JOIN ${series} AS s ON s.number = r.series`
  if (staged.hasRepeated()) {
    // All in the order in which it came, which is what tells the last of several: a histogram is behind the floats that
    // were there `before` it.
    const all = `(
      SELECT * FROM (
        SELECT series, time, value, NULL::VARCHAR AS histogram, rowid AS place, 1 AS kind, 0 AS number
        FROM temp.staged AS r WHERE ${floatsMarked(staged)}
        UNION ALL
        SELECT series, time, NULL, histogram, before, 0, rowid
        FROM temp.staged_histogram AS r WHERE ${histogramsMarked(staged)}
      ) ${isUnique ? "QUALIFY row_number() OVER (PARTITION BY series, time ORDER BY place DESC, kind DESC, number DESC) = 1" : ""}
    )`
    return `${select(FLOAT_VALUE, SPECIAL_VALUE, "r.histogram::JSON", all)} ORDER BY r.place, r.kind, r.number`
  }
  return both(
    staged,
    `${select(FLOAT_VALUE, SPECIAL_VALUE, "NULL::JSON", "temp.staged")} WHERE ${floatsMarked(staged)}`,
    `${select("NULL::DOUBLE", "NULL::VARCHAR", "r.histogram::JSON", "temp.staged_histogram")} WHERE ${histogramsMarked(staged)}`
  )
}

/** Their `series_id` and `time`, up to a time. */
export const stagedKeys = (staged: StagedSamples, untilTime: string): string => {
  const select = (table: string, marked: string) =>
    `SELECT s.series_id, r.time FROM temp.${table} AS r JOIN temp.staged_series AS s ON s.number = r.series
     WHERE r.time <= ${untilTime} AND ${marked}`
  return both(
    staged,
    select("staged", floatsMarked(staged)),
    select("staged_histogram", histogramsMarked(staged))
  )
}

const floatsMarked = (staged: StagedSamples): string => `r.rowid < ${staged.floats().marked}`
const histogramsMarked = (staged: StagedSamples): string => `r.rowid < ${staged.histograms().marked}`

/** Most streams have no histograms, and then their query would cost something for nothing. */
const both = (staged: StagedSamples, floats: string, histograms: string): string =>
  staged.histograms().marked === 0 ? floats : `${floats} UNION ALL ${histograms}`
