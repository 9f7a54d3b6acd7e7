/** The database that is open, and the tables of its streams. */
import { Effect } from "effect"
import { DestinationError } from "../Destination.ts"
import { quoteName } from "../quoteSql.ts"
import type { Database, Entry, Run } from "./Database.ts"
import { addLabelColumn, createTable, folded, OWN_SCHEMA, ownColumns, tableName } from "./tables.ts"

/** The keys of a transaction are in memory, beside its rows. To merge rows takes several times what it takes to insert them. */
export interface RowsAtOnce {
  readonly inserted: number
  readonly merged: number
}

export interface Place {
  readonly path: string
  readonly labelColumns: boolean
  readonly database: Database
  /** How many bytes may be staged in all streams. */
  readonly stagedBytes: number
  /** How many rows of so many columns go into a table with a key in one transaction. */
  readonly rowsAtOnce: (columns: number) => RowsAtOnce
  /** The tables of streams of which nothing may be remembered yet. */
  readonly tables: Map<string, string>
  /** The names of all tables that streams have, or will have, folded. */
  readonly taken: Set<string>
  /** How many streams are open. */
  readonly open: { count: number }
}

/** The table of a stream, also of one that has none yet. */
export const tableOf = (place: Place, stream: string): string =>
  place.database.entries.get(stream)?.table ?? place.tables.get(stream) ?? tableName(stream, place.taken)

/** What of a stream is there already. Other people's tables are left alone, and missing ones are not made again. */
export const entryOf = Effect.fnUntraced(function* (place: Place, stream: string) {
  const { database, path } = place
  const table = tableOf(place, stream)
  place.tables.set(stream, table)
  place.taken.add(folded(table))
  const entry: Entry = database.entries.get(stream) ?? {
    version: 1,
    stream,
    table,
    hasTable: false,
    lastMillis: null,
    hasKey: false
  }
  if (!entry.hasTable && database.tables.has(folded(table))) {
    return yield* new DestinationError({
      message: `${path} has a table ${quoteName(table)} that this program has not made. Rename it, or choose another file.`
    })
  }
  for (const needed of [
    ...(entry.hasTable ? [table] : []),
    ...(entry.next === undefined ? [] : [entry.next.table])
  ]) {
    if ((yield* database.columnsOf(needed)) === undefined) {
      return yield* new DestinationError({
        message: `${path} has no table ${quoteName(needed)}, but ${OWN_SCHEMA}.streams says it had: records are missing. Restore the file from before, or delete the stream's row there, and its tables, to read the stream ${stream} again.`
      })
    }
  }
  return entry
})

/** A name for another table of a stream: hardly that of a metric. */
export const besideTable = (place: Place, table: string, purpose: string): string => {
  const name = tableName(`${table} (${purpose})`, new Set([...place.taken, ...place.database.tables]))
  place.taken.add(folded(name))
  return name
}

/** The columns of labels that a table has, none where it is not there. */
export const labelsOf = (
  place: Place,
  table: string
): Effect.Effect<ReadonlyArray<string>, DestinationError> =>
  Effect.map(place.database.columnsOf(table), (columns = []) => {
    const own = new Set(ownColumns(place.labelColumns).map(([name]) => name))
    return columns.filter((name) => !own.has(name))
  })

/** Makes a table with columns for some labels, or adds those that it does not have. */
export const grow = async (
  run: Run,
  place: Place,
  table: string,
  known: ReadonlyArray<string> | undefined,
  wanted: ReadonlyArray<string>,
  hasKey: boolean
): Promise<void> => {
  if (known === undefined) {
    await run(createTable(table, place.labelColumns, wanted, hasKey))
    return
  }
  const there = new Set(known.map(folded))
  for (const name of wanted) if (!there.has(folded(name))) await run(addLabelColumn(table, name))
}
