/** Keeps series and time unique in a table without a key, because only this program writes to it. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Struct } from "effect"
import type { Run } from "./Dialect.ts"
import { comparisons, insertStaged, removeRepeated, removeStaged } from "./insertStaged.ts"
import type { Manifest } from "./manifests.ts"
import { isBetween, type TimeRange } from "./names.ts"
import { quoteName } from "./quoteSql.ts"
import type { StagedSamples } from "./staging/StagedSamples.ts"
import type { TableDatabase } from "./TableDatabase.ts"

/** How many rows are compared at once. DuckDB needs the first megabytes for itself. */
const rowsAtOnceIn = (megabytes: number): number => Math.max(10_000, Math.floor((megabytes - 32) * 5000))

/** Conditions on a time that split a table into ranges whose rows fit into memory. */
export const partsOf = Effect.fnUntraced(function* (open: TableDatabase, table: string, range?: TimeRange) {
  const rowsAtOnce = rowsAtOnceIn(open.memoryMegabytes())
  const parts = yield* open.query((runQuery) =>
    runQuery(
      `SELECT min(minute)::DOUBLE, max(minute)::DOUBLE FROM (
         SELECT minute, sum(count) OVER (ORDER BY minute) // ${rowsAtOnce} AS part FROM (
           ${open.dialect.rowsByMinute(table, range)}
         )
       ) GROUP BY part ORDER BY part`
    )
  )
  return parts.map(
    ([first, last]): TimeRange => ({ first: Number(first) * 60_000, last: Number(last) * 60_000 + 59_999 })
  )
})

/**
 * Inserts staged rows into a qualified table. In the overlap, the ranges of the table that may have some of them, a staged row replaces the row with
 * the same series and time. A row with the same value stays, so that windows that are read again take no space.
 */
export const insertUnique = async (
  run: Run,
  to: string,
  staged: StagedSamples,
  overlap: ReadonlyArray<TimeRange>
): Promise<void> => {
  if (staged.hasRepeated()) for (const statement of removeRepeated(staged)) await run(statement)
  await removeDifferent(run, to, staged, overlap)
  for (const part of overlap) {
    const same = `SELECT s.number AS series, old.time FROM ${to} AS old JOIN temp.staged_series AS s ON s.series_id = old.series_id WHERE ${isBetween("old.time", part)}`
    for (const statement of removeStaged(staged, same)) await run(statement)
  }
  await run(insertStaged(to, staged, false))
}

/** Removes the rows of a table in some ranges if a staged row has their series and time, and another value. */
export const removeDifferent = async (
  run: Run,
  from: string,
  staged: StagedSamples,
  ranges: ReadonlyArray<TimeRange>
): Promise<void> => {
  for (const range of ranges) {
    for (const { differs, rows } of comparisons(staged, isBetween("r.time", range))) {
      await run(`
        DELETE FROM ${from} AS old USING temp.staged_series AS s, (${rows}) AS new
        WHERE ${isBetween("old.time", range)} AND s.series_id = old.series_id AND new.series = s.number AND new.time = old.time AND ${differs}`)
    }
  }
}

/** Removing repeated rows from larger tables takes long enough to log a message. */
const MANY_ROWS = 5_000_000

/** Makes the rows of a stream's table unique. Appending modes may have repeated some; the last one inserted stays. */
export const makeUnique = Effect.fnUntraced(function* (
  open: TableDatabase,
  connection: DuckDBConnection,
  manifest: Manifest,
  key: string
) {
  const { table } = manifest
  const parts = yield* partsOf(open, table)
  if (parts.length * rowsAtOnceIn(open.memoryMegabytes()) > MANY_ROWS) {
    yield* Effect.logInfo(
      `Removing repeated rows from the table ${quoteName(table)}, which may take minutes.`
    )
  }
  return yield* open.transact(connection, async (run): Promise<Manifest> => {
    for (const part of parts) await run(open.dialect.removeEarlier(table, part, key))
    // It is no longer known which rows a stopped refresh appended.
    return { ...Struct.omit(manifest, ["refreshRows", "refreshState"]), isUnique: true }
  })
})
