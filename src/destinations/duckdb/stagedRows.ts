/** Queries that convert marked staged samples to rows of the stream's table. */
import { quoteName } from "./quoteSql.ts"
import type { Staged, StagedSamples } from "./staging/StagedSamples.ts"
import { floatColumns } from "./staging/stagedSql.ts"
import { ownColumns } from "./tables.ts"

/** The columns of `stagedRows`, as the column list of an INSERT. */
export const stagedColumns = ({ labels }: StagedSamples): string =>
  [...ownColumns(labels !== undefined).map(([name]) => name), ...(labels?.names ?? [])]
    .map(quoteName)
    .join(", ")

/** The condition for marked rows on a row `r`. */
const isMarked = ({ first, marked }: Staged): string => `r.number >= ${first} AND r.number < ${marked}`

/** Whether histograms are staged. Most streams have none, and queries for them have a cost. */
const hasHistograms = (staged: StagedSamples): boolean =>
  staged.histograms().marked > staged.histograms().first

/** The rows. `inOrder`: in the order in which they were staged. */
export const stagedRows = (staged: StagedSamples, order: "any order" | "in order"): string => {
  const { labels } = staged
  const isOrdered = order === "in order"
  // Labels by position, because a label may have the name of another column.
  const named = (labels?.names ?? []).map((_, index) => `labels[${index + 1}] AS label_${index}`)
  const series = `(SELECT ${["number", "series_id", "rest::JSON AS rest", ...named].join(", ")} FROM temp.staged_series)`
  const ofLabels = named.map((_, index) => `, s.label_${index}`).join("")
  const select = (columns: string, table: string, position: string, rows: Staged) =>
    `SELECT r.time, ${columns}, s.rest${ofLabels}${isOrdered ? `, ${position}` : ""}
     FROM temp.${table} AS r JOIN ${series} AS s ON s.number = r.series WHERE ${isMarked(rows)}`
  const floats = select(
    `${floatColumns(staged)}, s.series_id, NULL::JSON AS histogram`,
    "staged",
    "r.number AS place, 1 AS kind, 0 AS number",
    staged.floats()
  )
  const histograms = select(
    "NULL::DOUBLE, NULL::VARCHAR, s.series_id, r.histogram::JSON",
    "staged_histogram",
    "r.before, 0, r.number",
    staged.histograms()
  )
  const all = hasHistograms(staged) ? `${floats} UNION ALL ${histograms}` : floats
  return isOrdered ? `SELECT * EXCLUDE (place, kind, number) FROM (${all}) ORDER BY place, kind, number` : all
}

/** The rows that satisfy a condition on `r.time`, without the columns of their series. */
export const stagedValues = (staged: StagedSamples, where: string): string => {
  const select = (columns: string, table: string, rows: Staged) =>
    `SELECT r.series, r.time, ${columns} FROM temp.${table} AS r WHERE ${isMarked(rows)} AND ${where}`
  const floats = select(`${floatColumns(staged)}, NULL::VARCHAR AS histogram`, "staged", staged.floats())
  return hasHistograms(staged)
    ? `${floats} UNION ALL ${select("NULL, NULL, r.histogram", "staged_histogram", staged.histograms())}`
    : floats
}

/** Statements that remove the staged rows of a query for `series` and `time`. */
export const removeStaged = (staged: StagedSamples, query: string): ReadonlyArray<string> =>
  ["staged", ...(hasHistograms(staged) ? ["staged_histogram"] : [])].map(
    (table) =>
      `DELETE FROM temp.${table} AS r USING (${query}) AS found
       WHERE ${isMarked(table === "staged" ? staged.floats() : staged.histograms())} AND r.series = found.series AND r.time = found.time`
  )

/** Statements that remove a staged row if a later one has the same series and time. */
export const removeRepeated = (staged: StagedSamples): ReadonlyArray<string> => {
  const histograms = staged.histograms()
  const remove = (table: string, later: string, isEarlier: string) =>
    `DELETE FROM temp.${table} AS r USING (${later}) AS later WHERE r.series = later.series AND r.time = later.time AND ${isEarlier}`
  const repeated = (table: string, rows: Staged) =>
    remove(
      table,
      `SELECT series, time, max(number) AS number FROM temp.${table} AS r WHERE ${isMarked(rows)}
       GROUP BY series, time HAVING count(*) > 1`,
      "r.number < later.number"
    )
  if (!hasHistograms(staged)) return [repeated("staged", staged.floats())]
  return [
    repeated("staged", staged.floats()),
    repeated("staged_histogram", histograms),
    remove(
      "staged",
      `FROM temp.staged_histogram AS r WHERE ${isMarked(histograms)}`,
      "r.number < later.before"
    ),
    remove(
      "staged_histogram",
      `FROM temp.staged AS r WHERE ${isMarked(staged.floats())}`,
      "r.before <= later.number"
    )
  ]
}
