/** Statements that insert or remove marked staged samples. */

import type { Run } from "./Dialect.ts"
import { ownColumns } from "./names.ts"
import { quoteName } from "./quoteSql.ts"
import type { StagedSamples } from "./staging/StagedSamples.ts"
import { sampleTables, stagedRows, stagedSeries } from "./staging/stagedRows.ts"

/**
 * Inserts the samples into a qualified table. `isOrdered`: in the order in which they were staged. `where` is a condition on
 * `r.time` and `s.series_id`.
 */
export const insertStaged = (
  table: string,
  staged: StagedSamples,
  isOrdered: boolean,
  where = "true"
): string => {
  const { labels, rest } = staged
  const columns = [...ownColumns(rest).map(([name]) => name), ...(labels?.names ?? [])]
  // The text of a series is cast to JSON once, not in each of its rows.
  const rows = stagedRows(staged, "marked", stagedSeries(staged, "rest::JSON"), where)
  return `INSERT INTO ${table} (${columns.map(quoteName).join(", ")})
    SELECT * EXCLUDE (place, number) FROM (${rows})${isOrdered ? " ORDER BY place, number" : ""}`
}

/** A query for rows to compare, and whether a row `old` of the stream's table differs from one of them, `new`. */
interface Comparison {
  readonly rows: string
  readonly differs: string
}

/** The rows that satisfy a condition on `r.time`: `series`, `time`, and what is compared of floats or of histograms. */
export const comparisons = (staged: StagedSamples, where: string): ReadonlyArray<Comparison> =>
  sampleTables(staged, "marked").map(({ compared, differs, isInPart, name }) => ({
    rows: `SELECT r.series, r.time, ${compared} FROM ${name} AS r WHERE ${isInPart} AND ${where}`,
    differs
  }))

/** Statements that remove the staged rows of a query for `series` and `time`. */
export const removeStaged = (staged: StagedSamples, query: string): ReadonlyArray<string> =>
  sampleTables(staged, "marked").map(
    ({ isInPart, name }) =>
      `DELETE FROM ${name} AS r USING (${query}) AS found
       WHERE ${isInPart} AND r.series = found.series AND r.time = found.time`
  )

/** Statements that remove a staged row if a later one has the same series and time. */
export const removeRepeated = (staged: StagedSamples): ReadonlyArray<string> => {
  const remove = (name: string, later: string, isEarlier: string) =>
    `DELETE FROM ${name} AS r USING (${later}) AS later WHERE r.series = later.series AND r.time = later.time AND ${isEarlier}`
  const tables = sampleTables(staged, "marked")
  const repeated = tables.map(({ isInPart, name }) =>
    remove(
      name,
      `SELECT series, time, max(number) AS number FROM ${name} AS r WHERE ${isInPart}
       GROUP BY series, time HAVING count(*) > 1`,
      "r.number < later.number"
    )
  )
  const [floats, histograms] = tables
  if (floats === undefined || histograms === undefined) return repeated
  return [
    ...repeated,
    remove(
      floats.name,
      `FROM ${histograms.name} AS r WHERE ${histograms.isInPart}`,
      "r.number < later.before"
    ),
    remove(histograms.name, `FROM ${floats.name} AS r WHERE ${floats.isInPart}`, "r.before <= later.number")
  ]
}

/**
 * Runs an INSERT that preserves the order of its rows. By default order is not preserved (`preserve_insertion_order`), which is
 * faster.
 */
export const inOrder = async (run: Run, sql: string): Promise<number> => {
  await run("SET preserve_insertion_order = true")
  try {
    return await run(sql)
  } finally {
    await run("SET preserve_insertion_order = false")
  }
}
