import { DuckDBInstance } from "@duckdb/node-api"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EXTENSIONS_VARIABLE } from "../support/duckdbExtensions.ts"
import * as Postgres from "../support/postgres.ts"

describe("PostgreSQL for tests", () => {
  it.live("keeps its data over a restart and a crash, and is read through DuckDB's extension", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      yield* Effect.promise(async () => {
        await server.psql("CREATE TABLE kept AS SELECT 1 AS n")
        await server.restart()
        await server.psql("INSERT INTO kept VALUES (2)")
        await server.restart("kill")
        assert.strictEqual(await server.psql("SELECT n FROM kept ORDER BY n"), "1\n2\n")
        const instance = await DuckDBInstance.create(":memory:", {
          extension_directory: process.env[EXTENSIONS_VARIABLE]!
        })
        const connection = await instance.connect()
        await connection.run(`LOAD postgres; ATTACH '${server.urlOf()}' AS data (TYPE postgres)`)
        const rows = (await connection.runAndReadAll("SELECT n FROM data.kept ORDER BY n")).getRowsJS()
        connection.closeSync()
        instance.closeSync()
        assert.deepStrictEqual(rows, [[1], [2]])
      })
    }).pipe(Effect.scoped)
  )
})
