import { ensurePostgres, ensureS3Server } from "./binaries.ts"
import { ensureExtensions } from "./duckdbExtensions.ts"

/** Runs once before tests of destinations in databases: installs PostgreSQL, DuckDB's extensions and an S3 server if they are missing. */
export const setup = async (): Promise<void> => {
  await ensurePostgres()
  await ensureExtensions()
  await ensureS3Server()
}
