/** The tables of the streams of an open database. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Struct } from "effect"
import type { Layout, StreamKind } from "../../samples/Layout.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { DestinationError, type SyncMode } from "../Destination.ts"
import { refuseKind } from "../manifest.ts"
import type { Run } from "./Dialect.ts"
import { emptyManifest, type Manifest } from "./manifests.ts"
import { quoteName } from "./quoteSql.ts"
import { looksLikeOurs, type Shape } from "./shapes.ts"
import type { TableDatabase } from "./TableDatabase.ts"

/** The table of a stream. It may not exist yet. */
export const tableOf = (open: TableDatabase, stream: string): string =>
  open.manifests.get(stream)?.table ??
  open.tables.get(stream) ??
  open.dialect.tableName(stream, open.tableNames)

/** The manifest of a stream to read in a mode. Refuses tables that were not created by source-prometheus. */
export const manifestOf = Effect.fnUntraced(function* (
  open: TableDatabase,
  stream: string,
  mode: SyncMode,
  {
    kind,
    wrong: wrongIn
  }: { readonly kind: StreamKind; readonly wrong: (shape: Shape) => ReadonlyArray<string> }
) {
  const { folded, place, streamsName } = open.dialect
  const table = tableOf(open, stream)
  open.tables.set(stream, table)
  open.tableNames.add(folded(table))
  const found = open.relations.get(folded(table))
  const shape = yield* open.shapeOf(table)
  const isForeign = found === "view" || (shape !== undefined && !looksLikeOurs(shape))
  const none = emptyManifest(stream, kind, table)
  const known = open.manifests.get(stream) ?? none
  const refuse = (why: string) => new DestinationError({ message: `${open.path} ${why}` })
  const again = `--full-refresh --select ${shellQuote(stream)}`
  const isDamaged = open.damaged.has(stream)
  const isOwn = isDamaged || known.hasTable || known.orphan === table

  if (isForeign || (!isOwn && found !== undefined)) {
    return yield* refuse(
      `has a ${found ?? "table"} ${quoteName(table)} that was not created by source-prometheus. Rename it${isOwn ? `, and read the stream again with ${again}` : ""}, or choose another ${place}.`
    )
  }
  if (!isDamaged) yield* refuseKind(open.path, known, kind, mode)
  const problem = isDamaged
    ? `is damaged: ${streamsName} has an entry of ${stream} that this program has not written.`
    : problemOf(open, known, shape, wrongIn)
  if (problem === undefined) return known
  if (mode !== "full_refresh_overwrite") {
    return yield* refuse(
      `${problem} Restore the ${place} from before, or read the stream again with ${again}.`
    )
  }
  // If the manifest is damaged, no state says which rows the table has.
  if (!isDamaged) return known
  return shape === undefined ? none : { ...none, orphan: table }
})

/** How the table of a stream differs from its manifest. */
const problemOf = (
  { dialect }: TableDatabase,
  { hasTable, table }: Manifest,
  shape: Shape | undefined,
  wrongIn: (shape: Shape) => ReadonlyArray<string>
): string | undefined => {
  if (!hasTable) return undefined
  if (shape === undefined) {
    return `has no table ${quoteName(table)}, but ${dialect.streamsName} says it had: records are missing.`
  }
  const wrong = wrongIn(shape)
  const last = wrong.at(-1)
  if (last === undefined) return undefined
  const columns =
    wrong.length === 1
      ? `its column ${last} is`
      : `its columns ${wrong.slice(0, -1).join(", ")} and ${last} are`
  return `has a table ${quoteName(table)} that was changed: ${columns} missing or of another type.`
}

/** A name for the table of a refresh, which is unlikely to be the name of a metric. */
export const refreshTable = (open: TableDatabase, table: string): string => {
  const { folded, tableName } = open.dialect
  const name = tableName(`${table} (refresh)`, new Set([...open.tableNames, ...open.relations.keys()]))
  open.tableNames.add(folded(name))
  return name
}

/** Creates a table with columns for some labels, or adds the missing columns. */
export const grow = async (
  run: Run,
  { dialect }: TableDatabase,
  table: string,
  { rest }: Layout,
  known: ReadonlyArray<string> | undefined,
  wanted: ReadonlyArray<string>
): Promise<void> => {
  if (known === undefined) {
    for (const sql of dialect.createTable(table, rest, wanted)) await run(sql)
    return
  }
  const there = new Set(known.map(dialect.folded))
  for (const name of wanted) if (!there.has(dialect.folded(name))) await run(dialect.addColumn(table, name))
}

/** Removes the orphaned table of a stream, if it has one. A table stays until the refresh that replaces it is complete. */
export const removeOrphan = Effect.fnUntraced(function* (
  open: TableDatabase,
  connection: DuckDBConnection,
  manifest: Manifest
) {
  const { orphan, table } = manifest
  if (orphan === undefined) return manifest
  const removed = yield* open.transact(connection, async (run): Promise<Manifest> => {
    await run(open.dialect.dropTable(orphan))
    return Struct.omit(manifest, ["orphan"])
  })
  if (orphan !== table) open.tableNames.delete(open.dialect.folded(orphan))
  return removed
})
