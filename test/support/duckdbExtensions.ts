/**
 * The extensions of DuckDB for tests: from packages of Python, because DuckDB's own server may be out of reach. They are kept in
 * the user's cache, in the folders that DuckDB looks into.
 */
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { promisify } from "node:util"
import { serversFolder } from "../../scripts/servers.ts"
import { findPython } from "../clients/python.ts"

/** The packages, without their common prefix. The file of each has the name that `LOAD` looks for. */
const packages = ["postgres-scanner", "ducklake", "httpfs", "aws"] as const

/** The variable that names the folder, for the program. */
export const EXTENSIONS_VARIABLE = "DUCKDB_EXTENSION_DIRECTORY"

/** The folder for all versions and platforms, beside the servers that were built. */
export const extensionsFolder = join(dirname(serversFolder()), "duckdb-extensions")

/** The version of DuckDB, and its name of this machine's platform. */
const ownPlatform = async () => {
  const { DuckDBInstance } = await import("@duckdb/node-api")
  const instance = await DuckDBInstance.create(":memory:")
  const connection = await instance.connect()
  const [row] = (
    await connection.runAndReadAll(
      "SELECT library_version, platform FROM pragma_version(), pragma_platform()"
    )
  ).getRowsJS()
  connection.closeSync()
  instance.closeSync()
  return { version: String(row?.[0]), platform: String(row?.[1]) }
}

/** Installs the extensions that are missing, and returns their folder. Child processes get it in their environment. */
export const ensureExtensions = async (): Promise<string> => {
  const { platform, version } = await ownPlatform()
  const folder = join(extensionsFolder, version, platform)
  const fileOf = (name: string) => `${name.replaceAll("-", "_")}.duckdb_extension`
  const missing = packages.filter((name) => !existsSync(join(folder, fileOf(name))))
  if (missing.length > 0) {
    await mkdir(folder, { recursive: true })
    const unfinished = await mkdtemp(join(extensionsFolder, ".unfinished-"))
    try {
      await download(missing, version.replace(/^v/, ""), unfinished)
      const files = await readdir(unfinished, { recursive: true })
      for (const name of missing) {
        const file = files.find((file) => basename(file) === fileOf(name))
        if (file === undefined) throw new Error(`duckdb-extension-${name} has no ${fileOf(name)}.`)
        await rename(join(unfinished, file), join(folder, fileOf(name)))
      }
    } finally {
      await rm(unfinished, { recursive: true, force: true })
    }
  }
  process.env[EXTENSIONS_VARIABLE] = extensionsFolder
  return extensionsFolder
}

const download = async (names: ReadonlyArray<string>, version: string, folder: string): Promise<void> => {
  const run = promisify(execFile)
  const base = await findPython()
  const environment = join(folder, "python")
  await run(base.path, ["-m", "venv", environment])
  const python = join(environment, "bin", "python")
  await run(python, [
    ...["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"],
    ...["--only-binary=:all:", "--dest", folder],
    ...names.map((name) => `duckdb-extension-${name}==${version}`)
  ])
  for (const file of await readdir(folder)) {
    if (file.endsWith(".whl"))
      await run(python, ["-m", "zipfile", "-e", join(folder, file), join(folder, "files")])
  }
}
