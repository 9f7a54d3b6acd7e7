/** The transaction that changes a stream's rows and saves its manifest. */
import type { DuckDBConnection } from "@duckdb/node-api"
import type { Dialect, Run } from "./Dialect.ts"
import { type Manifest, saveManifest } from "./manifests.ts"

/** The manifests of an open database. */
export interface Saved {
  readonly manifests: Map<string, Manifest>
  readonly damaged: Set<string>
}

/** Runs `body` in a transaction of a connection, which also saves the manifest that it returns. */
export const transaction = async (
  dialect: Dialect,
  connection: DuckDBConnection,
  { damaged, manifests }: Saved,
  body: (run: Run) => Promise<Manifest>
): Promise<{
  readonly before: Manifest | undefined
  readonly manifest: Manifest
  readonly rowsChanged: number
}> => {
  let rowsChanged = 0
  await connection.run("BEGIN")
  try {
    const manifest = await body(async (sql) => {
      const result = await connection.run(sql)
      rowsChanged += result.rowsChanged
      return result.rowsChanged
    })
    const before = manifests.get(manifest.stream)
    await saveManifest(dialect, connection, manifest, before !== undefined, damaged.has(manifest.stream))
    await connection.run("COMMIT")
    manifests.set(manifest.stream, manifest)
    damaged.delete(manifest.stream)
    return { before, manifest, rowsChanged }
  } catch (error) {
    await connection.run("ROLLBACK").catch(() => {})
    throw error
  }
}
