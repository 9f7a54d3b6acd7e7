/**
 * The manifest and the table of a stream for its parts. They are created, and columns for new labels are added, in a transaction of
 * their own, so that commits of parts are short. Another process may be faster.
 */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Struct } from "effect"
import { shellQuote } from "../../text/shellQuote.ts"
import { DestinationError } from "../Destination.ts"
import { refusalOfKind } from "../manifest.ts"
import type { RunQuery } from "../tables/Dialect.ts"
import {
  emptyManifest,
  type Manifest,
  readManifest,
  renameAbout,
  saveManifest,
  tablesOf
} from "../tables/manifests.ts"
import { DATABASE, folded, ownColumns } from "../tables/names.ts"
import { quoteName } from "../tables/quoteSql.ts"
import type { SeenLabels } from "../tables/staging/seenLabels.ts"
import { ducklakeDialect as dialect } from "./ducklakeDialect.ts"
import type { SharedLake, Transaction } from "./SharedLake.ts"

/** The saved manifest of a stream. Fails if parts cannot be written to it. */
export const savedManifest = async (
  { kindOf, options: { path } }: Pick<SharedLake, "kindOf" | "options">,
  runQuery: RunQuery,
  stream: string
): Promise<Manifest | undefined> => {
  const found = await readManifest(dialect, runQuery, stream)
  if (found === "damaged") {
    throw new DestinationError({
      message: `${path} is damaged: ${dialect.streamsName} has an entry of ${stream} that this program has not written. Read the stream again without parts: --full-refresh --select ${shellQuote(stream)}.`
    })
  }
  if (found === undefined) return undefined
  const refusal = refusalOfKind(path, found, kindOf(stream), "incremental_append_deduped")
  if (refusal !== undefined) throw new DestinationError({ message: refusal })
  if (!found.isUnique) {
    throw new DestinationError({
      message: `${stream} in ${path} may have repeated rows, which a run without parts has appended meanwhile. Start this process again.`
    })
  }
  return found
}

/** Whether a manifest has a table, and nothing that a stopped refresh has left. */
export const isPrepared = ({ hasTable, next, orphan, refreshRows, refreshState }: Manifest): boolean =>
  hasTable && [next, orphan, refreshRows, refreshState].every((left) => left === undefined)

/** Makes new manifests in a transaction that adds them. Of two such transactions, only one is committed. */
export const newManifests = (
  { kindOf, options }: Pick<SharedLake, "kindOf" | "options">,
  { run, runQuery }: Transaction
) => {
  const { labelColumns, path, source } = options
  /** The folded names of the tables of streams, and of all others. */
  let names: { readonly taken: Set<string>; readonly foreign: ReadonlySet<string> } | undefined
  const readNames = async () => {
    const entries = await runQuery(`SELECT entry FROM ${dialect.streams}`)
    const [about] = await runQuery(`SELECT source, label_columns FROM ${dialect.about}`)
    if (entries.length > 0 && (about?.[0] !== source || about?.[1] !== labelColumns)) {
      throw new DestinationError({
        message:
          about?.[0] === source
            ? `${path} is written by other processes with another value of label_columns. Choose another catalog, or use the same value.`
            : `${path} holds data of ${about?.[0]}, and this is ${source}. Choose another catalog.`,
        isFatal: true
      })
    }
    await run(renameAbout({ ...options, dialect }))
    const taken = new Set(
      entries.flatMap(([entry]) => {
        try {
          return tablesOf(JSON.parse(String(entry)) as Manifest).map(folded)
        } catch {
          return []
        }
      })
    )
    const found =
      await runQuery(`SELECT table_name FROM duckdb_tables() WHERE database_name = '${DATABASE}' AND schema_name = 'main'
      UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = '${DATABASE}' AND schema_name = 'main' AND NOT internal`)
    return { taken, foreign: new Set(found.map(([name]) => folded(String(name)))) }
  }
  return async (stream: string): Promise<Manifest> => {
    names ??= await readNames()
    const table = dialect.tableName(stream, names.taken)
    if (names.foreign.has(folded(table))) {
      throw new DestinationError({
        message: `${path} has a table ${quoteName(table)} that was not created by source-prometheus. Rename it, or choose another catalog.`
      })
    }
    names.taken.add(folded(table))
    return emptyManifest(stream, kindOf(stream), table)
  }
}

/** The label columns that the table of a manifest has now. */
const labelsIn = async (
  { layoutOf, options }: Pick<SharedLake, "layoutOf" | "options">,
  runQuery: RunQuery,
  { hasTable, stream, table }: Manifest
): Promise<ReadonlyArray<string> | undefined> => {
  if (!hasTable) return undefined
  const own = new Set(ownColumns(layoutOf(stream).rest).map(([name]) => name))
  const rows = await runQuery(`SELECT column_name FROM (DESCRIBE ${dialect.qualified(table)})`).catch(
    (error: unknown) => {
      if (error instanceof Error && error.message.startsWith("Catalog Error")) return []
      throw error
    }
  )
  const names = rows.map(([name]) => String(name))
  const missing = Array.from(own).filter((name) => !names.includes(name))
  if (missing.length > 0) {
    const what =
      names.length === 0
        ? `has no table ${quoteName(table)}, but ${dialect.streamsName} says it had: records are missing`
        : `has a table ${quoteName(table)} that was changed: the column ${missing.join(", ")} is missing`
    throw new DestinationError({
      message: `${options.path} ${what}. Restore the catalog from before, or read the stream again without parts: --full-refresh --select ${shellQuote(stream)}.`
    })
  }
  return names.filter((name) => !own.has(name))
}

/** What the rows of a part need. */
export interface Prepared {
  readonly table: string
  /** The labels with their columns in the table. Undefined if all labels share a column. */
  readonly labels: SeenLabels | undefined
}

/** The label columns of a stream that may not exist yet. */
export const knownLabels = async (
  lake: Pick<SharedLake, "kindOf" | "layoutOf" | "options">,
  runQuery: RunQuery,
  stream: string
): Promise<ReadonlyArray<string>> => {
  const found = await savedManifest(lake, runQuery, stream)
  return (found === undefined ? undefined : await labelsIn(lake, runQuery, found)) ?? []
}

/** Gives a stream a table with columns for labels, if it has none yet. `fit` gives the labels columns beside those of the table. */
export const prepareTable = Effect.fnUntraced(function* (
  lake: SharedLake,
  own: DuckDBConnection,
  stream: string,
  fit: (columns: ReadonlyArray<string>) => SeenLabels | undefined
) {
  const hasAll = (again: SeenLabels | undefined, there: ReadonlyArray<string>) =>
    again === undefined || again.names.length === there.length
  const found = yield* lake.query(async (runQuery): Promise<Prepared | undefined> => {
    const manifest = await savedManifest(lake, runQuery, stream)
    if (manifest === undefined || !isPrepared(manifest)) return undefined
    const there = (await labelsIn(lake, runQuery, manifest)) ?? []
    const again = fit(there)
    return hasAll(again, there) ? { table: manifest.table, labels: again } : undefined
  })
  if (found !== undefined) return found
  return yield* lake.transact(own, `the table of ${stream}`, async (transaction) => {
    const { run, runQuery } = transaction
    const saved = await savedManifest(lake, runQuery, stream)
    const manifest = saved ?? (await newManifests(lake, transaction)(stream))
    const { next, orphan, table } = manifest
    for (const left of [next?.table, orphan]) {
      if (left !== undefined && left !== table) await run(dialect.dropTable(left))
    }
    const there = await labelsIn(lake, runQuery, manifest)
    const again = fit(there ?? [])
    if (there === undefined) {
      const { rest } = lake.layoutOf(stream)
      for (const sql of dialect.createTable(table, rest, again?.names ?? [])) {
        await run(sql)
      }
    } else {
      for (const name of again?.names.slice(there.length) ?? []) await run(dialect.addColumn(table, name))
    }
    const after: Manifest = {
      ...Struct.omit(manifest, ["next", "nextKind", "orphan", "refreshRows", "refreshState"]),
      hasTable: true
    }
    await saveManifest(dialect, own, after, saved !== undefined, false)
    const result: Prepared = { table, labels: again }
    return { result, isDone: true }
  })
})
