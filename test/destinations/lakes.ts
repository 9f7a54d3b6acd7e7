/** DuckLakes in folders of tests, their statements and readers without source-prometheus. */
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { findPostgres } from "../support/binaries.ts"
import { LAKE_SERVER } from "../support/lakeSetup.ts"
import { runInPython } from "../support/pythonDuckdb.ts"

/** Where the catalog of a test is, by the test's folder. */
export interface TestLake {
  /** The place after `ducklake:`, for the program. Creates a database if it is needed. */
  readonly place: (folder: string) => Promise<string>
  readonly dataPath: (folder: string) => string | undefined
  /** Runs statements in another client, with the DuckLake attached as `lake`. Returns the rows of the last one. */
  readonly query: (
    folder: string,
    statements: ReadonlyArray<string>,
    readOnly?: boolean
  ) => Promise<ReadonlyArray<ReadonlyArray<unknown>>>
}

const attached = (address: string, statements: ReadonlyArray<string>, readOnly: boolean) =>
  runInPython([
    "LOAD ducklake",
    ...(address.startsWith("postgres:") ? ["LOAD postgres_scanner"] : []),
    `ATTACH 'ducklake:${address}' AS lake${readOnly ? " (READ_ONLY)" : ""}`,
    "SET TimeZone = 'UTC'",
    ...statements
  ])

const catalogPath = (folder: string): string => join(folder, "data.ducklake")

/** A catalog in a file, and data beside it. */
export const fileLake: TestLake = {
  place: async (folder) => {
    mkdirSync(folder, { recursive: true })
    return catalogPath(folder)
  },
  dataPath: () => undefined,
  query: (folder, statements, readOnly = false) => attached(catalogPath(folder), statements, readOnly)
}

/** The folders of the databases that this process has created. */
const databases = new Map<string, string>()

const databaseOf = (folder: string): string =>
  `lake_${createHash("sha256").update(folder).digest("hex").slice(0, 24)}`

const addressOf = (folder: string): string => {
  const { hostname, port, username } = new URL(process.env[LAKE_SERVER]!)
  return `postgres:dbname=${databaseOf(folder)} host=${hostname} port=${port} user=${username}`
}

/** Runs statements on the server. */
export const psql = async (sql: string, database = "postgres"): Promise<string> => {
  const { psql } = await findPostgres()
  const url = new URL(process.env[LAKE_SERVER]!)
  url.pathname = `/${database}`
  const { stdout } = await promisify(execFile)(psql, ["-X", "-q", "-A", "-t", "-d", url.href, "-c", sql])
  return stdout.trim()
}

/** Creates the database of a folder, and removes those of folders that no longer exist. */
const ensureDatabase = async (folder: string): Promise<void> => {
  const name = databaseOf(folder)
  if (databases.has(name)) return
  for (const [old, oldFolder] of databases) {
    if (existsSync(join(oldFolder, "..")) || oldFolder === folder) continue
    databases.delete(old)
    await psql(`DROP DATABASE IF EXISTS ${old} WITH (FORCE)`)
  }
  if ((await psql(`SELECT count(*) FROM pg_database WHERE datname = '${name}'`)) === "0") {
    await psql(`CREATE DATABASE ${name}`)
  }
  databases.set(name, folder)
}

/** A catalog in PostgreSQL, and data in the folder. */
export const postgresLake: TestLake = {
  place: async (folder) => {
    await ensureDatabase(folder)
    return addressOf(folder)
  },
  dataPath: (folder) => join(folder, "lake"),
  query: (folder, statements, readOnly = false) => attached(addressOf(folder), statements, readOnly)
}
