/**
 * Builds current releases of servers that no package of Debian has, with the ordinary Go client, once for all clones:
 * `node scripts/servers.ts` prints where they are.
 *
 * Go takes the sources from the user's module proxy and compares them with Go's sum database. The results are kept in
 * the user's cache, outside of the work tree.
 */
import { execFile, spawnSync } from "node:child_process"
import { constants } from "node:fs"
import { access, mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { isAbsolute, join } from "node:path"
import { promisify } from "node:util"

/** A release of a module, and the programs that are built of it. */
export interface Release {
  readonly module: string
  readonly version: string
  /** Folders in the module. The last part of each is the name of its program. */
  readonly packages: ReadonlyArray<string>
  readonly flags: ReadonlyArray<string>
}

/** The releases that tests use: this is the only place that has their versions. */
export const releases = {
  prometheus: {
    module: "github.com/prometheus/prometheus",
    // 3.16
    version: "v0.316.0",
    packages: ["cmd/prometheus", "cmd/promtool"],
    // Without the service discovery of all clouds, which is most of the program.
    flags: ["-tags", "netgo,remove_all_sd"]
  },
  victoriaMetrics: {
    module: "github.com/VictoriaMetrics/VictoriaMetrics",
    version: "v1.151.0",
    packages: ["app/victoria-metrics"],
    flags: []
  },
  /** An S3 server. */
  versityGateway: {
    module: "github.com/versity/versitygw",
    version: "v1.8.0",
    packages: ["cmd/versitygw"],
    flags: []
  }
} satisfies Record<string, Release>

/** Where programs are kept, and what builds them. */
export interface BuildOptions {
  /** The folder for all releases. */
  readonly folder?: string
  /** The Go client. */
  readonly go?: string
}

/** The folder of this program in the user's cache. */
export const serversFolder = (env: NodeJS.ProcessEnv = process.env): string => {
  const { XDG_CACHE_HOME: cache } = env
  return join(
    // A relative path is to be ignored: https://specifications.freedesktop.org/basedir-spec/
    cache !== undefined && isAbsolute(cache) ? cache : join(homedir(), ".cache"),
    "source-prometheus",
    "servers"
  )
}

/** The absolute paths of a release's programs, by their names; undefined if they have not been built. */
export const built = async (
  release: Release,
  options: BuildOptions = {}
): Promise<ReadonlyMap<string, string> | undefined> => {
  const folder = folderOf(release, options)
  const programs = programsIn(folder, release)
  for (const path of programs.values()) if (!(await isProgram(path))) return undefined
  return programs
}

/** Builds the programs of a release unless that was done before. Rejects with instructions. */
export const build = async (
  release: Release,
  options: BuildOptions = {}
): Promise<ReadonlyMap<string, string>> => {
  const before = await built(release, options)
  if (before !== undefined) return before
  const { folder = serversFolder(), go = "go" } = options
  if (spawnSync(go, ["version"]).status !== 0) throw new Error(withoutGo(release))
  await mkdir(folder, { recursive: true })
  await removeStale(folder)
  // Nobody sees a part of a build: it gets its name when it is complete.
  const unfinished = await mkdtemp(join(folder, UNFINISHED))
  try {
    await install(go, release, unfinished)
    for (const path of programsIn(unfinished, release).values()) await persist(path)
    const destination = folderOf(release, options)
    await rename(unfinished, destination).catch(async (error: unknown) => {
      // Another run has built it meanwhile. What is there and cannot be used is replaced.
      if ((await built(release, options)) !== undefined) return
      await rm(destination, { recursive: true, force: true })
      await rename(unfinished, destination).catch(() => {
        throw error
      })
    })
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
  const programs = await built(release, options)
  if (programs === undefined) throw new Error(`Go built no programs of ${release.module}@${release.version}.`)
  return programs
}

const UNFINISHED = ".unfinished-"
const DAY = 86_400_000

/** Removes what builds left behind that were killed. */
const removeStale = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    if (!name.startsWith(UNFINISHED)) continue
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
    if (Date.now() - mtimeMs > DAY) await rm(path, { recursive: true, force: true })
  }
}

const install = async (go: string, release: Release, folder: string): Promise<void> => {
  const packages = release.packages.map((path) => `${release.module}/${path}@${release.version}`)
  const args = ["install", ...release.flags, ...packages]
  // Programs for this machine, which need no C compiler. GOPROXY, GOFLAGS and others are the user's.
  const { GOOS: _, GOARCH: __, ...env } = process.env
  try {
    await promisify(execFile)(go, args, {
      cwd: folder,
      env: { CGO_ENABLED: "0", ...env, GOBIN: folder },
      maxBuffer: 64 * 1024 * 1024
    })
  } catch (error) {
    const { message, stderr = "" } = error as Error & { readonly stderr?: string }
    throw new Error(
      `"go ${args.join(" ")}" failed. Check that Go is recent enough, and that it reaches its module proxy and sum \
database (go env GOPROXY GOSUMDB), and run "node scripts/servers.ts" again. ${orGive(release)}
${stderr.trim().split("\n").slice(-20).join("\n") || message}`,
      { cause: error }
    )
  }
}

/** Waits until a file is on the disk, so that its folder has no name before. */
const persist = async (path: string): Promise<void> => {
  const file = await open(path)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

const folderOf = (release: Release, { folder = serversFolder() }: BuildOptions): string =>
  join(
    folder,
    `${release.module.replace(/^.*\//, "")}-${release.version}-${process.platform}-${process.arch}`
  )

const programsIn = (folder: string, release: Release): ReadonlyMap<string, string> =>
  new Map(
    release.packages.map((path) => {
      const name = path.replace(/^.*\//, "")
      return [name, join(folder, name)]
    })
  )

const isProgram = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.X_OK)
    const status = await stat(path)
    return status.isFile() && status.size > 0
  } catch {
    return false
  }
}

const withoutGo = (release: Release): string =>
  `The program "go" is missing, which builds ${release.module}@${release.version} from Go's module proxy. Install Go \
(https://go.dev/dl/) and put its folder on the PATH. ${orGive(release)}`

/** The variables that name ready programs: `test/support/binaries.ts` reads them. */
const orGive = ({ module }: Release): string => `Or set ${variablesOf.get(module)} to ready programs.`

const variablesOf: ReadonlyMap<string, string> = new Map([
  [releases.prometheus.module, "PROMETHEUS_3_BIN and PROMTOOL_3_BIN"],
  [releases.victoriaMetrics.module, "VICTORIA_METRICS_CURRENT_BIN"],
  [releases.versityGateway.module, "VERSITYGW_BIN"]
])

if (import.meta.main) {
  try {
    for (const release of Object.values(releases)) {
      if ((await built(release)) === undefined)
        console.error(`Building ${release.module}@${release.version} (once) ...`)
      for (const path of (await build(release)).values()) console.log(path)
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
