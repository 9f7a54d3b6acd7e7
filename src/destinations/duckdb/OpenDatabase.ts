/** The database that is open, and the tables of its streams. */
import { Effect } from "effect"
import { shellQuote } from "../../text/shellQuote.ts"
import { DestinationError, type SyncMode } from "../Destination.ts"
import { without } from "../manifest.ts"
import type { Entry } from "./bookkeeping.ts"
import type { Database, Run } from "./Database.ts"
import { quoteName } from "./quoteSql.ts"
import { looksOurs } from "./shapes.ts"
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
  /** How many labels of a stream have columns of their own, at most. */
  readonly mostLabels: () => number
  /** How many bytes may be staged in all streams. */
  readonly stagedBytes: () => number
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

/** What of a stream is there already. */
export interface Opened {
  readonly entry: Entry
  /** Its table is missing, or others have changed it: only a refresh that replaces can do without. */
  readonly isLost: boolean
}

/** What of a stream is there already. What this program has not made is left alone. */
export const entryOf = Effect.fnUntraced(function* (place: Place, stream: string, mode: SyncMode) {
  const { database, path } = place
  const table = tableOf(place, stream)
  place.tables.set(stream, table)
  place.taken.add(folded(table))
  const found = database.relations.get(folded(table))
  const shape = yield* database.shapeOf(table)
  const isForeign = found === "view" || (shape !== undefined && !looksOurs(shape))
  const none: Entry = { version: 1, stream, table, hasTable: false, lastMillis: null, hasKey: false }
  const known = database.entries.get(stream) ?? none
  const refuse = (why: string) => new DestinationError({ message: `${path} ${why}` })
  const again = `--full-refresh --select ${shellQuote(stream)}`
  const restore = `Restore the file from before, or read the stream again with ${again}.`
  const isDamaged = database.damaged.has(stream)

  if (isForeign || (!isDamaged && !known.hasTable && found !== undefined)) {
    return yield* refuse(
      `has a ${found ?? "table"} ${quoteName(table)} that this program has not made. Rename it${known.hasTable || isDamaged ? `, and read the stream again with ${again}` : ""}, or choose another file.`
    )
  }
  const wrong = isDamaged
    ? `is damaged: ${OWN_SCHEMA}.streams has an entry of ${stream} that this program has not written.`
    : !known.hasTable
      ? undefined
      : shape === undefined
        ? `has no table ${quoteName(table)}, but ${OWN_SCHEMA}.streams says it had: records are missing.`
        : shape.wrong.length > 0
          ? `has a table ${quoteName(table)} that was changed: ${columnsText(shape.wrong)} missing or of another type.`
          : undefined
  if (wrong === undefined) return { entry: known, isLost: false } satisfies Opened
  if (mode !== "full_refresh_overwrite") return yield* refuse(`${wrong} ${restore}`)
  // Until the refresh is complete, the states stand for no row of what is there.
  const entry: Entry = isDamaged
    ? { ...none, ...(shape === undefined ? {} : { hasTable: true, ahead: null }) }
    : without(known, "ahead")
  return { entry, isLost: true } satisfies Opened
})

const columnsText = (names: ReadonlyArray<string>): string =>
  names.length === 1
    ? `its column ${names[0]} is`
    : `its columns ${names.slice(0, -1).join(", ")} and ${names.at(-1)} are`

/** A name for another table of a stream: hardly that of a metric. */
export const besideTable = (place: Place, table: string, purpose: string): string => {
  const name = tableName(
    `${table} (${purpose})`,
    new Set([...place.taken, ...place.database.relations.keys()])
  )
  place.taken.add(folded(name))
  return name
}

/** The columns of labels that a table has, none where it is not there. */
export const labelsOf = (
  place: Place,
  table: string
): Effect.Effect<ReadonlyArray<string>, DestinationError> =>
  Effect.map(place.database.shapeOf(table), (shape) => {
    const own = new Set(ownColumns(place.labelColumns).map(([name]) => name))
    return shape?.names.filter((name) => !own.has(name)) ?? []
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
