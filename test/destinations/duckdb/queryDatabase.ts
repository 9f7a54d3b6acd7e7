/** Queries a database that no one else has open, or files through one in memory (`:memory:`). */
import { DuckDBInstance } from "@duckdb/node-api"

/** The rows of a query, with their values by column. */
export const queryDatabase = async (
  path: string,
  sql: string
): Promise<ReadonlyArray<Readonly<Record<string, unknown>>>> => {
  const instance = await DuckDBInstance.create(path, {
    threads: "1",
    access_mode: path === ":memory:" ? "READ_WRITE" : "READ_ONLY"
  })
  try {
    const connection = await instance.connect()
    try {
      await connection.run("SET TimeZone = 'UTC'")
      return (await connection.runAndReadAll(sql)).getRowObjectsJS()
    } finally {
      // An open connection keeps the file locked.
      connection.closeSync()
    }
  } finally {
    instance.closeSync()
  }
}
