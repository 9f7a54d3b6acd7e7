/** DuckDB's extensions. DuckDB installs them from its own server, or an administrator puts their files into a folder. */
import { homedir } from "node:os"
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import { DestinationError } from "../Destination.ts"
import { textOf } from "./duckdbError.ts"
import { quoteText } from "./quoteSql.ts"

/** The variable for another folder than DuckDB's own, which is `.duckdb/extensions` in the home folder. */
export const EXTENSIONS_VARIABLE = "DUCKDB_EXTENSION_DIRECTORY"

/** An extension, by the name of its file. */
export type Extension = "postgres_scanner" | "ducklake" | "httpfs" | "aws"

/** Loads an extension, and installs it before if it is missing. The error says which file to put where. */
export const loadExtension = (
  connection: DuckDBConnection,
  name: Extension
): Effect.Effect<void, DestinationError> =>
  Effect.uninterruptible(
    Effect.flatMap(
      Effect.tryPromise({
        try: () => failureToLoad(connection, name),
        catch: (error) =>
          new DestinationError({
            message: `DuckDB's extension ${name} cannot be loaded: ${textOf(error)}`,
            isFatal: true
          })
      }),
      (message) => (message === undefined ? Effect.void : new DestinationError({ message, isFatal: true }))
    )
  )

const failureToLoad = async (connection: DuckDBConnection, name: Extension): Promise<string | undefined> => {
  const folder = process.env[EXTENSIONS_VARIABLE]
  const load = async () => {
    if (folder !== undefined && folder !== "") {
      await connection.run(`SET extension_directory = ${quoteText(folder)}`)
    }
    await connection.run(`LOAD ${name}`)
  }
  const first = await failureOf(load)
  if (first === undefined) return undefined
  const second = (await failureOf(() => connection.run(`INSTALL ${name}`))) ?? (await failureOf(load))
  if (second === undefined) return undefined
  const [row] = (
    await connection.runAndReadAll(
      "SELECT library_version, platform FROM pragma_version(), pragma_platform()"
    )
  ).getRowsJS()
  const [version, platform] = (row ?? []).map(String)
  const place = `${folder || `${homedir()}/.duckdb/extensions`}/${version}/${platform}`
  // The file is there, and is not what this DuckDB can load.
  const reason = /not found/i.test(first) ? second : first
  return `DuckDB's extension ${name} cannot be loaded: ${reason}. Let DuckDB reach extensions.duckdb.org, or put the file ${name}.duckdb_extension of DuckDB ${version} for ${platform} into ${place} (or into the same folders in another place, and set ${EXTENSIONS_VARIABLE} to that). It is also in the Python package duckdb-extension-${name.replaceAll("_", "-")} ${version?.replace(/^v/, "")}.`
}

/** The first line of the error, without the advice of DuckDB. */
const failureOf = async (run: () => Promise<unknown>): Promise<string | undefined> => {
  try {
    await run()
    return undefined
  } catch (error) {
    const [line = ""] = textOf(error).split("\n")
    return line.replace(/\.$/, "")
  }
}
