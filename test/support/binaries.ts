/**
 * Where the real `prometheus` and `promtool` are, and how they get there on a machine without them.
 */
import { spawn } from "node:child_process"
import { constants } from "node:fs"
import { access, chmod, rm, stat, writeFile } from "node:fs/promises"
import { delimiter, join } from "node:path"

/** Absolute paths of both programs. */
export interface Binaries {
  readonly prometheus: string
  readonly promtool: string
}

const advice = `The integration tests run against a real Prometheus and need its programs "prometheus" and "promtool" \
(version 2.42 or newer). Install them with "apt-get install prometheus" (Debian, Ubuntu) or "brew install prometheus" \
(macOS), or unpack a release from https://prometheus.io/download/ and either put its folder on the PATH or set \
PROMETHEUS_BIN and PROMTOOL_BIN to the two files.`

/** Finds both programs: by PROMETHEUS_BIN and PROMTOOL_BIN, else on the PATH. Rejects with how to get them. */
export const findBinaries = async (): Promise<Binaries> => {
  const found = await lookUp()
  if (found === undefined) throw new Error(advice)
  return found
}

/** Finds both programs like `findBinaries`; where they are missing and it may, installs Debian's package first. */
export const ensureBinaries = async (): Promise<Binaries> => {
  const found = await lookUp()
  if (found !== undefined) return found
  const aptGet = await onPath("apt-get")
  if (process.getuid?.() !== 0 || aptGet === undefined) throw new Error(advice)
  await installDebianPackage(aptGet)
  return findBinaries()
}

const lookUp = async (): Promise<Binaries | undefined> => {
  const prometheus = (await fromEnvironment("PROMETHEUS_BIN")) ?? (await onPath("prometheus"))
  const promtool = (await fromEnvironment("PROMTOOL_BIN")) ?? (await onPath("promtool"))
  return prometheus === undefined || promtool === undefined ? undefined : { prometheus, promtool }
}

/** A variable that names no program is a mistake to report, not a reason to look elsewhere. */
const fromEnvironment = async (name: string): Promise<string | undefined> => {
  const path = process.env[name]
  if (path === undefined || path === "") return undefined
  if (await isExecutable(path)) return path
  throw new Error(`${name} is set to ${path}, which is not an executable file.`)
}

const onPath = async (program: string): Promise<string | undefined> => {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "")
  for (const folder of [...folders, "/usr/bin", "/usr/local/bin"]) {
    const path = join(folder, program)
    if (await isExecutable(path)) return path
  }
  return undefined
}

const isExecutable = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

/**
 * Debian starts a service as its package is installed, which a test must not do to its host: a `policy-rc.d`
 * that answers 101 forbids it. Ours does so only while this process lives, so that one left behind by a crash
 * does no harm; the host's own policy, where there is one, stays in charge.
 */
const installDebianPackage = async (aptGet: string): Promise<void> => {
  const policy = "/usr/sbin/policy-rc.d"
  const ourPolicy = !(await isExecutable(policy))
  try {
    if (ourPolicy) {
      await writeFile(policy, `#!/bin/sh\nif kill -0 ${process.pid} 2>/dev/null; then exit 101; fi\nexit 0\n`)
      await chmod(policy, 0o755)
    }
    await runQuietly(aptGet, ["update"])
    await runQuietly(aptGet, ["install", "-y", "--no-install-recommends", ...patience, "prometheus"])
  } finally {
    if (ourPolicy) await rm(policy, { force: true })
  }
}

/** Another apt-get, such as the nightly upgrade, may be at work. */
const patience = ["-o", "DPkg::Lock::Timeout=120"]

const runQuietly = (program: string, args: ReadonlyArray<string>): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    const keep = (chunk: Buffer): void => {
      output += chunk.toString()
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.once("error", reject)
    child.once("close", (code) => {
      if (code === 0) resolve()
      else {
        const command = [program, ...args].join(" ")
        reject(new Error(`"${command}" ended with code ${code}.\n${advice}\n${output}`))
      }
    })
  })
