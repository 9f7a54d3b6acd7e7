/**
 * The DuckDB of Python, which reads what the program has written without any of its code: a process that runs statements until
 * this one ends.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { DuckDBInstance } from "@duckdb/node-api"
import { findPython } from "../clients/python.ts"

/** Ignored by git, and removed with node_modules. */
const cache = fileURLToPath(new URL("../../node_modules/.cache/python-duckdb", import.meta.url))

/** The variable that names its interpreter, for tests and their child processes. */
const VARIABLE = "PYTHON_WITH_DUCKDB"

/** Installs the package in the version of this project's DuckDB, if it is missing. */
export const ensurePythonDuckdb = async (): Promise<void> => {
  const instance = await DuckDBInstance.create(":memory:")
  const connection = await instance.connect()
  const [row] = (await connection.runAndReadAll("SELECT library_version FROM pragma_version()")).getRowsJS()
  connection.closeSync()
  instance.closeSync()
  const version = String(row?.[0]).replace(/^v/, "")
  const base = await findPython()
  const folder = join(cache, `${version}-${base.version}`)
  const python = join(folder, "bin", "python")
  if (!existsSync(python)) {
    const run = promisify(execFile)
    const unfinished = `${folder}.${process.pid}`
    await mkdir(dirname(folder), { recursive: true })
    try {
      await run(base.path, ["-m", "venv", unfinished])
      await run(join(unfinished, "bin", "python"), [
        ...["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"],
        ...["--only-binary=:all:", `duckdb==${version}`]
      ])
      await rename(unfinished, folder).catch((error: unknown) => {
        if (!existsSync(python)) throw error
      })
    } finally {
      await rm(unfinished, { recursive: true, force: true })
    }
  }
  process.env[VARIABLE] = python
}

const program = `
import datetime, duckdb, json, os, sys
# DuckDB prints the progress of long statements.
output = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for line in sys.stdin:
    request = json.loads(line)
    os.environ.update(request["env"])
    try:
        with duckdb.connect(":memory:", config={"extension_directory": os.environ["DUCKDB_EXTENSION_DIRECTORY"], "threads": 1}) as connection:
            for sql in request["statements"]:
                result = connection.execute(sql)
            rows = result.fetchall()
        # The database is closed before it is said, since no other process can open its file until then.
        print(json.dumps({"rows": rows}, default=str), file=output, flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), file=output, flush=True)
`

interface Reader {
  readonly child: ChildProcess
  readonly lines: AsyncIterator<string>
}

let reader: Reader | undefined
let last: Promise<unknown> = Promise.resolve()

const start = (): Reader => {
  const python = process.env[VARIABLE]
  if (python === undefined) throw new Error("The set-up of this project has not installed Python's DuckDB.")
  const child = spawn(python, ["-c", program], { stdio: ["pipe", "pipe", "inherit"] })
  // It ends with its input.
  child.unref()
  for (const stream of [child.stdin!, child.stdout!]) (stream as unknown as { unref(): void }).unref()
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return { child, lines }
}

/** Runs statements in a new database in memory, and returns the rows of the last one. `env`: variables from now on. */
export const runInPython = (
  statements: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Promise<ReadonlyArray<ReadonlyArray<unknown>>> => {
  const next = last.then(async () => {
    reader ??= start()
    reader.child.ref()
    reader.child.stdin!.write(`${JSON.stringify({ statements, env })}\n`)
    const { value } = await reader.lines.next()
    reader.child.unref()
    const { error, rows } = JSON.parse(String(value)) as {
      readonly error?: string
      readonly rows: ReadonlyArray<ReadonlyArray<unknown>>
    }
    if (error !== undefined) throw new Error(error)
    return rows
  })
  last = next.catch(() => {})
  return next
}
