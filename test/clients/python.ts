/**
 * The Python for Airbyte's own clients: an interpreter of the machine, with a virtual environment that contains exactly
 * the packages of requirements.txt.
 */
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { Effect, Schema } from "effect"

const root = fileURLToPath(new URL("../..", import.meta.url))
const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url))

/** The folder of the virtual environments: ignored by git, and removed with node_modules. */
const cache = join(root, "node_modules/.cache/airbyte-clients")

/** Python or its packages are not available. */
export class PythonError extends Schema.TaggedError<PythonError>()("PythonError", {
  message: Schema.String
}) {}

/** Returns the virtual environment's Python. Creates the environment if it is missing, which takes 600 MB on disk. */
export const ensurePython = Effect.tryPromise({
  try: async () => {
    const base = await findPython()
    const text = await readFile(requirements)
    const id = createHash("sha256").update(base.version).update(text).digest("hex").slice(0, 16)
    const folder = join(cache, id)
    const python = join(folder, "bin", "python")
    if (existsSync(python)) return python
    console.error(`Installing Airbyte's Python clients for the tests (once) in ${folder} ...`)
    await install(base.path, text.toString(), folder)
    return python
  },
  catch: (error) => new PythonError({ message: describe(error) })
})

export interface Python {
  readonly path: string
  readonly version: string
}

/** PyAirbyte needs 3.10, 3.11 or 3.12; on Debian, `venv` may be missing. */
const probe = `import sys, venv, ensurepip
assert (3, 10) <= sys.version_info[:2] < (3, 13)
print(sys.executable, sys.version.split()[0], sep="\\n")`

/** The Python of PYTHON_BIN, which must be suitable if it is set, or else the first suitable one on the PATH. */
export const findPython = async (): Promise<Python> => {
  const wanted = process.env.PYTHON_BIN
  const candidates = wanted ? [wanted] : ["python3.12", "python3.11", "python3.10", "python3", "python"]
  for (const candidate of candidates) {
    try {
      const { stdout } = await promisify(execFile)(candidate, ["-c", probe])
      const [path, version] = stdout.trim().split("\n")
      if (path !== undefined && version !== undefined) return { path, version }
    } catch {
      // Missing, too old or too new.
    }
  }
  throw new Error(
    `${candidates.join(", ")}: none of these is a Python 3.10, 3.11 or 3.12 with the module venv. Install one (on \
Debian and Ubuntu: python3 and python3-venv), or set PYTHON_BIN to it.`
  )
}

/**
 * Creates the environment elsewhere and moves it when it is complete, so that a broken installation is never used, and
 * concurrent runs do not interfere.
 */
const install = async (base: string, requirementsText: string, folder: string): Promise<void> => {
  const making = `${folder}.${process.pid}`
  try {
    await mkdir(cache, { recursive: true })
    await run(base, ["-m", "venv", making])
    const python = join(making, "bin", "python")
    await installPackages(python, requirementsText)
    await rename(making, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error
    })
  } finally {
    await rm(making, { recursive: true, force: true })
  }
  // Remove the environments of earlier requirements.
  for (const name of await readdir(cache)) {
    const isMine = join(cache, name) === folder
    if (!isMine && !name.includes(".")) await rm(join(cache, name), { recursive: true, force: true })
  }
}

/** Installs with uv, which takes 10 s instead of pip's 80. If it cannot reach the index, pip may be configured to. */
const installPackages = async (python: string, requirementsText: string): Promise<void> => {
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
  const uv = /^uv==\S+/m.exec(requirementsText)?.[0]
  if (uv === undefined) throw new Error("requirements.txt does not name uv")
  await run(python, [...pip, uv])
  try {
    await run(join(dirname(python), "uv"), [
      ...["pip", "install", "--quiet", "--no-deps", "--python", python, "--requirement", requirements]
    ])
  } catch {
    await run(python, [...pip, "--requirement", requirements])
  }
}

const run = async (program: string, args: ReadonlyArray<string>): Promise<void> => {
  await promisify(execFile)(program, args, { env: { ...process.env, UV_PYTHON_DOWNLOADS: "never" } })
}

const describe = (error: unknown): string => {
  const { message, stderr } = error as { readonly message: string; readonly stderr?: string }
  return stderr === undefined || stderr === "" || message.includes(stderr) ? message : `${message}\n${stderr}`
}

/** A finished Python process. */
export interface PythonResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs Python in an isolated folder: clients write their logs and caches there, and stay offline. The connector, which
 * they start by its path, finds the same Node as the tests.
 */
export const runPython = (
  python: string,
  folder: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<PythonResult> =>
  Effect.callback((resume) => {
    const child = execFile(
      python,
      args,
      {
        cwd: folder,
        maxBuffer: 1e9,
        env: {
          ...process.env,
          PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
          PYTHONPYCACHEPREFIX: join(dirname(dirname(python)), "pycache"),
          PYTHONWARNINGS: "ignore",
          PYTHONUTF8: "1",
          AIRBYTE_OFFLINE_MODE: "1",
          DO_NOT_TRACK: "1",
          AIRBYTE_PROJECT_DIR: folder,
          AIRBYTE_LOGGING_ROOT: join(folder, "logs"),
          TMPDIR: folder,
          ...env
        }
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1
        resume(Effect.succeed({ code, stdout, stderr }))
      }
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })
