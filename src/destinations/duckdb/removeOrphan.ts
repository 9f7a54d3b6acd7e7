/** Removes tables that are no longer needed. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import { without } from "../manifest.ts"
import type { Manifest } from "./manifests.ts"
import type { OpenDatabase } from "./OpenDatabase.ts"
import { folded, qualified } from "./tables.ts"

/** Removes the orphaned table of a stream, if it has one. A table stays until the refresh that replaces it is complete. */
export const removeOrphan = Effect.fnUntraced(function* (
  open: OpenDatabase,
  connection: DuckDBConnection,
  manifest: Manifest
) {
  const { orphan, table } = manifest
  if (orphan === undefined) return manifest
  const removed = yield* open.database.transact(connection, async (run): Promise<Manifest> => {
    await run(`DROP TABLE IF EXISTS ${qualified(orphan)}`)
    return without(manifest, "orphan")
  })
  if (orphan !== table) open.tableNames.delete(folded(orphan))
  return removed
})
