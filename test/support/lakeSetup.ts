/** Runs one PostgreSQL for all tests of a project, for catalogs of DuckLake: each test has a database of its own. */
import { Effect, Exit, Scope } from "effect"
import { make } from "./postgres.ts"

/** The variable with its address, for tests and their child processes. */
export const LAKE_SERVER = "TEST_LAKE_SERVER"

export const setup = async (): Promise<() => Promise<void>> => {
  const scope = Effect.runSync(Scope.make())
  const server = await Effect.runPromise(Scope.provide(make({ settings: { max_connections: "200" } }), scope))
  process.env[LAKE_SERVER] = server.urlOf()
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
