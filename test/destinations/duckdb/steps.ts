/** Does to a database what people do without source-prometheus. */
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { Effect } from "effect"
import { temporaryFolder } from "../drive.ts"
import { queryDatabase } from "./queryDatabase.ts"

/** The path of a database that does not exist yet, in a folder of its own. */
export const databasePath = Effect.map(temporaryFolder, (folder) => join(folder, "data.duckdb"))

export const query = (path: string, sql: string) => Effect.promise(() => queryDatabase(path, sql))

/** The values of a table in the order of their times. */
export const values = (path: string, table = "up") =>
  Effect.map(query(path, `SELECT value FROM "${table}" ORDER BY time`), (rows) =>
    rows.map(({ value }) => value)
  )

/** Changes a database with another client. */
export const change = (path: string, sql: string) => Effect.promise(() => runOn(path, sql))

/** Runs a statement in another client. */
export const runOn = async (path: string, sql: string): Promise<void> => {
  const instance = await DuckDBInstance.create(path)
  const connection = await instance.connect()
  await connection.run(sql)
  connection.closeSync()
  instance.closeSync()
}
