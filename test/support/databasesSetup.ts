import { ensurePostgres, ensureS3Server } from "./binaries.ts"
import { ensureExtensions } from "./duckdbExtensions.ts"
import { ensurePythonDuckdb } from "./pythonDuckdb.ts"

/** Runs once before tests of destinations in databases: installs PostgreSQL, an S3 server, and DuckDB's extensions and client for Python. */
export const setup = async (): Promise<void> => {
  await ensurePostgres()
  await ensureExtensions()
  await ensureS3Server()
  await ensurePythonDuckdb()
}
