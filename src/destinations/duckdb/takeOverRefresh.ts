/** A refresh that was stopped in one of the two modes goes on in the other. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import type { SyncMode } from "../Destination.ts"
import { later, refreshUnderWay, without } from "../manifest.ts"
import type { Entry } from "./bookkeeping.ts"
import { firstOfRefresh } from "./contents.ts"
import { type Ask, inOrder } from "./Database.ts"
import { besideTable, grow, labelsOf, type Place } from "./OpenDatabase.ts"
import { quoteName, quoteText } from "./quoteSql.ts"
import { createTable, folded, labelOf, qualified } from "./tables.ts"

/** Puts the rows of a refresh that is under way where they belong in this mode. The stream's table has no key if they go there. */
export const takeOverRefresh = Effect.fnUntraced(function* (
  place: Place,
  connection: DuckDBConnection,
  entry: Entry,
  mode: SyncMode
) {
  if (refreshUnderWay(entry) === undefined) return entry
  if (mode === "full_refresh_overwrite" && entry.next === undefined) {
    return yield* takeAway(place, connection, entry)
  }
  if (mode === "full_refresh_append" && entry.next !== undefined) {
    return yield* append(place, connection, entry, entry.next)
  }
  return entry
})

/** The rows of the refresh, which are the last ones of the stream's table, in a table of their own. */
const takeAway = Effect.fnUntraced(function* (place: Place, connection: DuckDBConnection, entry: Entry) {
  const { refreshRows = 0, table } = entry
  const rest = without(entry, "refreshRows")
  const labels = yield* labelsOf(place, table)
  const aside = besideTable(place, table, "refresh")
  const others = besideTable(place, table, "without refresh")
  const taken = yield* place.database.transact(connection, async (run) => {
    const main = qualified(table)
    const lastOf = async (of: string) => {
      const [row] = (
        await connection.runAndReadAll(`SELECT epoch_ms(max(time)) FROM ${qualified(of)}`)
      ).getRowsJS()
      return row?.[0] === null || row === undefined ? null : Number(row[0])
    }
    await run(createTable(aside, place.labelColumns, labels, false))
    if (refreshRows === 0) return { ...rest, next: { table: aside, lastMillis: null, hasKey: false } }
    const ask: Ask = async (sql) => (await connection.runAndReadAll(sql)).getRowsJS()
    const isOfRefresh = `rowid >= ${await firstOfRefresh(ask, entry)}`
    await inOrder(
      run,
      `INSERT INTO ${qualified(aside)} BY NAME FROM ${main} WHERE ${isOfRefresh} ORDER BY rowid`
    )
    // Copied, and not deleted there: rows behind many that were deleted are numbered anew.
    await run(createTable(others, place.labelColumns, labels, false))
    await inOrder(
      run,
      `INSERT INTO ${qualified(others)} BY NAME FROM ${main} WHERE NOT ${isOfRefresh} ORDER BY rowid`
    )
    await run(`DROP TABLE ${main}`)
    await run(`ALTER TABLE ${qualified(others)} RENAME TO ${quoteName(table)}`)
    return {
      ...rest,
      lastMillis: await lastOf(table),
      next: { table: aside, lastMillis: await lastOf(aside), hasKey: false }
    }
  })
  place.taken.delete(folded(others))
  return taken
})

/** The rows of the refresh at the end of the stream's table. */
const append = Effect.fnUntraced(function* (
  place: Place,
  connection: DuckDBConnection,
  entry: Entry,
  next: NonNullable<Entry["next"]>
) {
  const { table } = entry
  const known = entry.hasTable ? yield* labelsOf(place, table) : undefined
  const owners = new Map((known ?? []).map((name) => [folded(name), name]))
  const all = yield* labelsOf(place, next.table)
  // Labels that differ from a column only in case are in none.
  const others = all.filter((name) => owners.has(folded(name)) && owners.get(folded(name)) !== name)
  const wanted = all.filter((name) => !others.includes(name))
  const merged = others.reduce(
    (json, name) =>
      `CASE WHEN ${quoteName(name)} IS NULL THEN ${json}
       ELSE json_merge_patch(coalesce(${json}, '{}'::JSON), json_object(${quoteText(labelOf(name))}, ${quoteName(name)})) END`,
    "other_labels"
  )
  const rows =
    others.length === 0
      ? "*"
      : `* EXCLUDE (other_labels, ${others.map(quoteName).join(", ")}), ${merged} AS other_labels`
  const taken = yield* place.database.transact(connection, async (run) => {
    await grow(run, place, table, known, wanted, false)
    const refreshRows = await inOrder(
      run,
      `INSERT INTO ${qualified(table)} BY NAME SELECT ${rows} FROM ${qualified(next.table)} ORDER BY rowid`
    )
    await run(`DROP TABLE ${qualified(next.table)}`)
    return {
      ...without(entry, "next", "refreshRows"),
      hasTable: true,
      lastMillis: later(entry.lastMillis, next.lastMillis),
      refreshRows
    }
  })
  place.taken.delete(folded(next.table))
  return taken
})
