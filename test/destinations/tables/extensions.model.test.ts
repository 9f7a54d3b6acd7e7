import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EXTENSIONS_VARIABLE, loadExtension } from "../../../src/destinations/tables/extensions.ts"
import { ensureExtensions } from "../../support/duckdbExtensions.ts"
import { temporaryFolder } from "../drive.ts"

/** Loads an extension from a folder after a statement, in an engine whose server of extensions does not exist. */
const load = (folder: string, before = "SELECT 1") =>
  Effect.acquireUseRelease(
    Effect.promise(async () => {
      const instance = await DuckDBInstance.create(":memory:", {
        custom_extension_repository: "http://127.0.0.1:9"
      })
      const variable = process.env[EXTENSIONS_VARIABLE]
      process.env[EXTENSIONS_VARIABLE] = folder
      const connection = await instance.connect()
      await connection.run(before)
      return { connection, instance, variable }
    }),
    ({ connection }) =>
      Effect.andThen(
        loadExtension(connection, "postgres_scanner"),
        Effect.promise(async () =>
          (
            await connection.runAndReadAll(
              "SELECT loaded FROM duckdb_extensions() WHERE extension_name = 'postgres_scanner'"
            )
          ).getRowsJS()
        )
      ),
    ({ connection, instance, variable }) =>
      Effect.sync(() => {
        if (variable === undefined) delete process.env[EXTENSIONS_VARIABLE]
        else process.env[EXTENSIONS_VARIABLE] = variable
        connection.closeSync()
        instance.closeSync()
      })
  )

describe("loadExtension", () => {
  it.live("loads a file that was put into the folder that its message names", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { message } = yield* Effect.flip(load(folder))
      assert.match(message, /^DuckDB's extension postgres_scanner cannot be loaded: .*Failed to download/)
      const [, file = "", version = "", place = ""] =
        /put the file (\S+) of DuckDB (v\S+) for \S+ into (\S+) /.exec(message) ?? []
      assert.strictEqual(file, "postgres_scanner.duckdb_extension")
      assert.match(message, new RegExp(`duckdb-extension-postgres-scanner ${version.slice(1)}\\.$`))
      assert.strictEqual(dirname(dirname(place)), folder)
      const installed = yield* Effect.promise(ensureExtensions)
      mkdirSync(place, { recursive: true })
      symlinkSync(join(installed, place.slice(folder.length), file), join(place, file))
      assert.deepStrictEqual(yield* load(folder), [[true]])
    }).pipe(Effect.scoped)
  )

  it.live("says why it cannot load a file that is there", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { message } = yield* Effect.flip(load(folder))
      const [, place = ""] = / into (\S+) /.exec(message) ?? []
      mkdirSync(place, { recursive: true })
      writeFileSync(join(place, "postgres_scanner.duckdb_extension"), "damaged".repeat(1000))
      const error = yield* Effect.flip(load(folder))
      assert.match(error.message, /cannot be loaded: .*(metadata|not a DuckDB extension|invalid|signature)/i)
      assert.notMatch(error.message, /Failed to download/)
    }).pipe(Effect.scoped)
  )

  it.live("says that it must not set the folder", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { message } = yield* Effect.flip(load(folder, "SET lock_configuration = true"))
      assert.match(message, /postgres_scanner cannot be loaded: .*configuration has been locked/)
    }).pipe(Effect.scoped)
  )
})
