import { ensurePostgres } from "./binaries.ts"
import { ensureExtensions } from "./duckdbExtensions.ts"

/** Runs once before tests of destinations in databases: installs PostgreSQL and DuckDB's extensions if they are missing. */
export const setup = async (): Promise<void> => {
  await ensurePostgres()
  await ensureExtensions()
}
