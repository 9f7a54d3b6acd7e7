/** A refresh that was stopped in one of the two modes goes on in the other. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import type { SyncMode } from "../Destination.ts"
import { later, refreshUnderWay, without } from "../entries.ts"
import { type Entry, inOrder } from "./Database.ts"
import { besideTable, grow, labelsOf, type Place } from "./Place.ts"
import { qualified } from "./tables.ts"

/** Puts the rows of a refresh that is under way where they belong in this mode. The stream's table has no key if they go there. */
export const takeOverRefresh = Effect.fnUntraced(function* (
  place: Place,
  connection: DuckDBConnection,
  entry: Entry,
  mode: SyncMode
) {
  if (refreshUnderWay(entry) === undefined) return entry
  const { database } = place
  const { next, table } = entry
  const main = qualified(table)
  const rest = without(entry, "next", "refreshRows")
  if (mode === "full_refresh_overwrite" && next === undefined) {
    const aside = besideTable(place, table, "refresh")
    const count = entry.refreshRows ?? 0
    return yield* database.transact(connection, async (run) => {
      await run(`CREATE TABLE ${qualified(aside)} AS FROM ${main} LIMIT 0`)
      if (count > 0) {
        const isOfRefresh = `rowid >= (SELECT min(id) FROM (SELECT rowid AS id FROM ${main} ORDER BY id DESC LIMIT ${count}))`
        await inOrder(run, `INSERT INTO ${qualified(aside)} FROM ${main} WHERE ${isOfRefresh} ORDER BY rowid`)
        await run(`DELETE FROM ${main} WHERE ${isOfRefresh}`)
      }
      const [left] = (await connection.runAndReadAll(`SELECT epoch_ms(max(time)) FROM ${main}`)).getRowsJS()
      return {
        ...rest,
        lastMillis: left?.[0] === null ? null : Number(left?.[0]),
        next: { table: aside, lastMillis: entry.lastMillis, hasKey: false }
      }
    })
  }
  if (mode === "full_refresh_append" && next !== undefined) {
    const wanted = yield* labelsOf(place, next.table)
    const known = entry.hasTable ? yield* labelsOf(place, table) : undefined
    return yield* database.transact(connection, async (run) => {
      await grow(run, place, table, known, wanted, false)
      const refreshRows = await inOrder(
        run,
        `INSERT INTO ${main} BY NAME FROM ${qualified(next.table)} ORDER BY rowid`
      )
      await run(`DROP TABLE ${qualified(next.table)}`)
      return { ...rest, hasTable: true, lastMillis: later(entry.lastMillis, next.lastMillis), refreshRows }
    })
  }
  return entry
})
