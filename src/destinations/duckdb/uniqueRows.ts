/** No two rows of a table have the same series and time, though no key says so: this program alone writes to it. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import { without } from "../manifest.ts"
import type { Ask, Run } from "./Database.ts"
import type { Manifest } from "./manifests.ts"
import type { OpenDatabase } from "./OpenDatabase.ts"
import { quoteName } from "./quoteSql.ts"
import { stagedColumns, stagedRows } from "./stagedRows.ts"
import type { StagedSamples } from "./staging/StagedSamples.ts"
import { qualified, timeLiteral } from "./tables.ts"

/** From the first to the last time, both included, in milliseconds. */
export interface TimeRange {
  readonly first: number
  readonly last: number
}

/**
 * Inserts staged rows. In the overlap, where the table may have some of them already, a row replaces the one of the same series and time. One that is there already with
 * the same value stays: windows that are read again take no space.
 */
export const insertUnique = async (
  run: Run,
  table: string,
  staged: StagedSamples,
  overlap: TimeRange | undefined
): Promise<void> => {
  const insert = (rows: string) => run(`INSERT INTO ${qualified(table)} (${stagedColumns(staged)}) ${rows}`)
  if (overlap === undefined) {
    await insert(stagedRows(staged, true))
    return
  }
  const between = (time: string) =>
    `${time} BETWEEN ${timeLiteral(overlap.first)} AND ${timeLiteral(overlap.last)}`
  const rows = stagedRows(staged, true, between("r.time"))
  // -0 and 0 differ as texts alone.
  const text = (row: string) => `coalesce(${row}.value::VARCHAR, ${row}.special_value, ${row}.histogram::VARCHAR)`
  await run(`
    DELETE FROM ${qualified(table)} AS old USING (${rows}) AS new
    WHERE ${between("old.time")} AND old.time = new.time AND old.series_id = new.series_id
      AND ${text("old")} IS DISTINCT FROM ${text("new")}`)
  await insert(`
    FROM (${rows}) AS new
    WHERE NOT EXISTS (
      FROM ${qualified(table)} AS old
      WHERE ${between("old.time")} AND old.time = new.time AND old.series_id = new.series_id
    )`)
  await insert(stagedRows(staged, true, `NOT (${between("r.time")})`))
}

/** How many rows are compared with each other at once. */
const ROWS_AT_ONCE = 1_000_000

/** Making more rows unique takes long enough to be worth a message. */
const MANY_ROWS = 5_000_000

/** The ranges of time of about so many rows each, in milliseconds: from the first time, up to and without the second. */
const rangesOf = async (ask: Ask, table: string): Promise<ReadonlyArray<readonly [number, number]>> => {
  const ranges = await ask(
    `SELECT min(minute)::DOUBLE, max(minute)::DOUBLE FROM (
       SELECT minute, sum(count) OVER (ORDER BY minute) // ${ROWS_AT_ONCE} AS part
       FROM (SELECT epoch_ms(time) // 60000 AS minute, count(*) AS count FROM ${qualified(table)} GROUP BY minute)
     ) GROUP BY part ORDER BY part`
  )
  return ranges.map(([first, last]) => [Number(first) * 60_000, (Number(last) + 1) * 60_000])
}

/** Makes the rows of a stream's table unique, where appending modes may have repeated some: the last one inserted stays. */
export const makeUnique = Effect.fnUntraced(function* (
  { database }: OpenDatabase,
  connection: DuckDBConnection,
  manifest: Manifest
) {
  const { table } = manifest
  const name = qualified(table)
  const ranges = yield* database.query((ask) => rangesOf(ask, table))
  if (ranges.length * ROWS_AT_ONCE > MANY_ROWS) {
    yield* Effect.logInfo(`Removing repeated rows from the table ${quoteName(table)}, which may take minutes.`)
  }
  return yield* database.transact(connection, async (run): Promise<Manifest> => {
    for (const [from, to] of ranges) {
      const isIn = (time: string) => `${time} >= ${timeLiteral(from)} AND ${time} < ${timeLiteral(to)}`
      // Rows that were inserted later have greater ids.
      await run(`
        DELETE FROM ${name} AS old USING (
          SELECT series_id, time, max(rowid) AS id FROM ${name} WHERE ${isIn("time")}
          GROUP BY series_id, time HAVING count(*) > 1
        ) AS last
        WHERE ${isIn("old.time")} AND old.series_id = last.series_id AND old.time = last.time AND old.rowid < last.id`)
    }
    // Which rows a stopped refresh appended is unknown from now on.
    return { ...without(manifest, "refreshRows", "refreshState"), isUnique: true }
  })
})
