/** Tables get a primary key, or lose it, where a mode asks for it: DuckDB can add one in memory only, and remove none. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import { without } from "../manifest.ts"
import type { Entry } from "./bookkeeping.ts"
import type { Ask } from "./Database.ts"
import { besideTable, labelsOf, type Place } from "./OpenDatabase.ts"
import { quoteName } from "./quoteSql.ts"
import { createTable, folded, INTO_THEIR_PLACE, ownColumns, qualified } from "./tables.ts"

/** The stream's table without its key. */
export const dropKey = Effect.fnUntraced(function* (
  place: Place,
  connection: DuckDBConnection,
  entry: Entry
) {
  const { table } = entry
  const labels = yield* labelsOf(place, table)
  const made = besideTable(place, table, "without key")
  const changed = yield* place.database.transact(connection, async (run) => {
    await run(createTable(made, place.labelColumns, labels, false))
    await run(`INSERT INTO ${qualified(made)} BY NAME FROM ${qualified(table)}`)
    await run(`DROP TABLE ${qualified(table)}`)
    await run(`ALTER TABLE ${qualified(made)} RENAME TO ${quoteName(table)}`)
    return { ...entry, hasKey: false }
  })
  place.taken.delete(folded(made))
  return changed
})

/** A table of more rows is worth a word before it is copied. */
const MANY_ROWS = 1_000_000

/** So much of the rows that are merged at once: to find those that have the same key takes memory, too. */
const PART = 1 / 3

/**
 * The stream's table, or that of its refresh, with a key: of the rows that had the same, the last is left. Its rows are
 * copied in as many transactions as the memory asks for, after which the copy takes its place.
 */
export const addKey = Effect.fnUntraced(function* (
  place: Place,
  connection: DuckDBConnection,
  before: Entry,
  which: "table" | "next"
) {
  const { query, transact } = place.database
  const table = which === "next" ? (before.next?.table ?? before.table) : before.table
  const from = qualified(table)
  const labels = yield* labelsOf(place, table)
  const making = besideTable(place, before.table, "with key")
  const to = qualified(making)
  // Later rows have later numbers, and keep them as long as none is deleted, which is never done where there is no key.
  const askEnd = async (ask: Ask) => {
    const [found] = await ask(`SELECT max(rowid)::DOUBLE FROM ${from}`)
    return found?.[0] === null ? 0 : Number(found?.[0]) + 1
  }
  const end = yield* query(askEnd)
  const columns = ownColumns(place.labelColumns).length + labels.length
  const rowsAtOnce = Math.max(1, Math.floor(place.rowsAtOnce(columns).merged * PART))
  if (end > MANY_ROWS) {
    yield* Effect.logInfo(
      `The table ${quoteName(table)} of some ${end} rows gets its primary key, which may take some minutes.`
    )
  }
  let entry: Entry = yield* transact(connection, async (run) => {
    await run(createTable(making, place.labelColumns, labels, true))
    return { ...before, making }
  })
  for (let start = 0; start < end; start += rowsAtOnce) {
    const slice = `rowid >= ${start} AND rowid < ${start + rowsAtOnce}`
    entry = yield* transact(connection, async (run) => {
      await run(`
        INSERT INTO ${to} BY NAME FROM ${from}
        WHERE ${slice} AND rowid IN (SELECT max(rowid) FROM ${from} WHERE ${slice} GROUP BY series_id, time)
        ${start === 0 ? "" : INTO_THEIR_PLACE}`)
      return entry
    })
  }
  const changed = yield* transact(connection, async (run) => {
    const ask: Ask = async (sql) => (await connection.runAndReadAll(sql)).getRowsJS()
    if ((await askEnd(ask)) !== end)
      throw new Error(`rows of the table ${table} were numbered anew while they were copied`)
    await run(`DROP TABLE ${from}`)
    await run(`ALTER TABLE ${to} RENAME TO ${quoteName(table)}`)
    const rest = without(entry, "making")
    if (which === "next")
      return rest.next === undefined ? rest : { ...rest, next: { ...rest.next, hasKey: true } }
    // Of a refresh that appended and was stopped, it is not known any more which rows are its own.
    const goesOn = rest.refreshRows === undefined
    return { ...(goesOn ? rest : without(rest, "refreshRows", "refreshState")), hasKey: true }
  })
  place.taken.delete(folded(making))
  return changed
})
