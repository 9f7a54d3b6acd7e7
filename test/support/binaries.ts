/**
 * Finds the programs of the real servers (`prometheus` with `promtool`, `victoria-metrics`), each in an old and a current
 * release, and a browser. It installs or builds them on a machine without them.
 */
import { spawn } from "node:child_process"
import { constants } from "node:fs"
import { access, chmod, rm, stat, writeFile } from "node:fs/promises"
import { delimiter, isAbsolute, join } from "node:path"
import { build, built, releases } from "../../scripts/servers.ts"

/** Absolute paths of Prometheus' programs. */
export interface PrometheusBinaries {
  readonly prometheus: string
  readonly promtool: string
}

/** Absolute paths of PostgreSQL's programs. */
export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  readonly psql: string
}

/** The major versions of Prometheus that tests run. */
export type PrometheusRelease = 2 | 3

/** The releases of VictoriaMetrics that tests run: Debian's 1.79, and a current one. */
export type VictoriaMetricsRelease = "Debian" | "current"

/** Programs that are needed together. */
interface Source<Found> {
  readonly lookUp: () => Promise<Found | undefined>
  /** Brings them onto a machine that lacks them, or rejects with instructions. */
  readonly install: () => Promise<unknown>
  /** How to get them. */
  readonly advice: string
}

/** Programs of a package of Debian. */
const debian = <Found>(name: string, source: Omit<Source<Found>, "install">): Source<Found> => ({
  ...source,
  install: () => installDebianPackage(name, source.advice)
})

const prometheus: Source<PrometheusBinaries> = debian("prometheus", {
  lookUp: async () => {
    const prometheus = await lookUp("PROMETHEUS_BIN", "prometheus")
    const promtool = await lookUp("PROMTOOL_BIN", "promtool")
    return prometheus === undefined || promtool === undefined ? undefined : { prometheus, promtool }
  },
  advice: `The integration tests run against a real Prometheus 2 and need its programs "prometheus" and "promtool" \
(version 2.42 or newer). Install them with "apt-get install prometheus" (Debian, Ubuntu), or unpack a release of version 2 \
from https://prometheus.io/download/ and either put its folder on the PATH or set PROMETHEUS_BIN and PROMTOOL_BIN to the \
two files.`
})

const victoriaMetrics: Source<string> = debian("victoria-metrics", {
  // The second name is that of the official releases.
  lookUp: () => lookUp("VICTORIA_METRICS_BIN", "victoria-metrics", "victoria-metrics-prod"),
  advice: `The integration tests run against a real VictoriaMetrics and need its program "victoria-metrics" \
(version 1.79 or newer). Install it with "apt-get install victoria-metrics" (Debian, Ubuntu) or "brew install \
victoriametrics" (macOS), or unpack a release from https://github.com/VictoriaMetrics/VictoriaMetrics/releases and either \
put its folder on the PATH or set VICTORIA_METRICS_BIN to the file.`
})

const chromium: Source<string> = debian("chromium", {
  lookUp: () =>
    lookUp("CHROMIUM_BIN", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
  advice: `The tests of the report open it in Chromium and need its program "chromium". Install it with "apt-get install \
chromium" (Debian), or set CHROMIUM_BIN to the file of any Chromium or Chrome.`
})

const nginx: Source<string> = debian("nginx-light", {
  lookUp: () => lookUp("NGINX_BIN", "nginx"),
  advice: `The tests of TLS and of proxies run nginx. Install it with "apt-get install nginx-light" (Debian, Ubuntu), or set \
NGINX_BIN to the program.`
})

const squid: Source<string> = debian("squid", {
  lookUp: () => lookUp("SQUID_BIN", "squid"),
  advice: `The tests of proxies run Squid with its program basic_ncsa_auth. Install it with "apt-get install squid" (Debian, \
Ubuntu), or set SQUID_BIN to the program.`
})

const systemd: Source<string> = debian("systemd", {
  lookUp: () => lookUp("SYSTEMD_ANALYZE_BIN", "systemd-analyze"),
  advice: `The tests of examples/systemd check the units with "systemd-analyze". Install it with "apt-get install systemd" \
(Debian, Ubuntu), or set SYSTEMD_ANALYZE_BIN to the program.`
})

const postgres: Source<PostgresBinaries> = debian("postgresql", {
  lookUp: async () => {
    const initdb = await lookUp("INITDB_BIN", ...postgresPrograms("initdb"))
    const postgres = await lookUp("POSTGRES_BIN", ...postgresPrograms("postgres"))
    const psql = await lookUp("PSQL_BIN", ...postgresPrograms("psql"))
    return initdb === undefined || postgres === undefined || psql === undefined
      ? undefined
      : { initdb, postgres, psql }
  },
  advice: `The tests of the destinations in PostgreSQL run a real server and need its programs "initdb", "postgres" and \
"psql" (version 13 or newer). Install them with "apt-get install postgresql" (Debian, Ubuntu), or set INITDB_BIN, \
POSTGRES_BIN and PSQL_BIN to the programs.`
})

/** Debian has the programs of each version in a folder that is not on the PATH. */
const postgresPrograms = (name: string): ReadonlyArray<string> => [
  ...[18, 17, 16, 15, 14, 13].map((version) => `/usr/lib/postgresql/${version}/bin/${name}`),
  name
]

const currentPrometheus: Source<PrometheusBinaries> = {
  lookUp: async () => {
    const programs = await built(releases.prometheus)
    const prometheus = (await fromEnvironment("PROMETHEUS_3_BIN")) ?? programs?.get("prometheus")
    const promtool = (await fromEnvironment("PROMTOOL_3_BIN")) ?? programs?.get("promtool")
    return prometheus === undefined || promtool === undefined ? undefined : { prometheus, promtool }
  },
  install: () => build(releases.prometheus),
  advice: `Prometheus 3 has not been built. Run "node scripts/servers.ts", or set PROMETHEUS_3_BIN and PROMTOOL_3_BIN to \
its programs.`
}

const currentVictoriaMetrics: Source<string> = {
  lookUp: async () =>
    (await fromEnvironment("VICTORIA_METRICS_CURRENT_BIN")) ??
    (await built(releases.victoriaMetrics))?.get("victoria-metrics"),
  install: () => build(releases.victoriaMetrics),
  advice: `A current VictoriaMetrics has not been built. Run "node scripts/servers.ts", or set \
VICTORIA_METRICS_CURRENT_BIN to its program.`
}

const s3Server: Source<string> = {
  lookUp: async () =>
    (await fromEnvironment("VERSITYGW_BIN")) ?? (await built(releases.versityGateway))?.get("versitygw"),
  install: () => build(releases.versityGateway),
  advice: `The tests of destinations in object stores run a real S3 server, the Versity gateway, which has not been built. Run \
"node scripts/servers.ts", or set VERSITYGW_BIN to its program.`
}

const prometheusSource = (release: PrometheusRelease): Source<PrometheusBinaries> =>
  release === 2 ? prometheus : currentPrometheus

const victoriaMetricsSource = (release: VictoriaMetricsRelease): Source<string> =>
  release === "Debian" ? victoriaMetrics : currentVictoriaMetrics

/**
 * Finds both programs of a version. Version 2 is given by PROMETHEUS_BIN and PROMTOOL_BIN, or else on the PATH; version 3
 * is given by PROMETHEUS_3_BIN and PROMTOOL_3_BIN, or else in the cache. Rejects with instructions.
 */
export const findPrometheus = (release: PrometheusRelease = 2): Promise<PrometheusBinaries> =>
  find(prometheusSource(release))

/**
 * Finds the program of a release. Debian's is given by VICTORIA_METRICS_BIN, or else on the PATH; a current one is given by
 * VICTORIA_METRICS_CURRENT_BIN, or else in the cache. Rejects with instructions.
 */
export const findVictoriaMetrics = (release: VictoriaMetricsRelease = "Debian"): Promise<string> =>
  find(victoriaMetricsSource(release))

/** Finds Chromium or Chrome by CHROMIUM_BIN, or else on the PATH. Rejects with instructions. */
export const findChromium = (): Promise<string> => find(chromium)

/** Finds nginx by NGINX_BIN, or else on the PATH. Rejects with instructions. */
export const findNginx = (): Promise<string> => find(nginx)

/** Finds Squid by SQUID_BIN, or else on the PATH. Rejects with instructions. */
export const findSquid = (): Promise<string> => find(squid)

/** Finds PostgreSQL by INITDB_BIN, POSTGRES_BIN and PSQL_BIN, or else where Debian has it. Rejects with instructions. */
export const findPostgres = (): Promise<PostgresBinaries> => find(postgres)

/** Finds PostgreSQL. If it is missing and there is permission, it installs Debian's package first. */
export const ensurePostgres = (): Promise<PostgresBinaries> => ensure(postgres)

/** Finds the S3 server by VERSITYGW_BIN, or else in the cache. Rejects with instructions. */
export const findS3Server = (): Promise<string> => find(s3Server)

/** Finds the S3 server. If it is missing, it builds it, if it can. */
export const ensureS3Server = (): Promise<string> => ensure(s3Server)

/** Finds systemd's program that checks units. Rejects with instructions. */
export const findSystemdAnalyze = (): Promise<string> => find(systemd)

/** Finds systemd's program that checks units. If it is missing and there is permission, it installs Debian's package first. */
export const ensureSystemdAnalyze = (): Promise<string> => ensure(systemd)

/** Finds nginx. If it is missing and there is permission, it installs Debian's package first. */
export const ensureNginx = (): Promise<string> => ensure(nginx)

/** Finds Squid. If it is missing and there is permission, it installs Debian's package first. */
export const ensureSquid = (): Promise<string> => ensure(squid)

/** Finds Prometheus' programs. If they are missing, it installs Debian's package or builds them, if it can. */
export const ensurePrometheus = (release: PrometheusRelease = 2): Promise<PrometheusBinaries> =>
  ensure(prometheusSource(release))

/** Finds VictoriaMetrics. If it is missing, it installs Debian's package or builds it, if it can. */
export const ensureVictoriaMetrics = (release: VictoriaMetricsRelease = "Debian"): Promise<string> =>
  ensure(victoriaMetricsSource(release))

/** Finds Chromium. If it is missing and there is permission, it installs Debian's package first. */
export const ensureChromium = (): Promise<string> => ensure(chromium)

const find = async <Found>(source: Source<Found>): Promise<Found> => {
  const found = await source.lookUp()
  if (found === undefined) throw new Error(source.advice)
  return found
}

const ensure = async <Found>(source: Source<Found>): Promise<Found> => {
  const found = await source.lookUp()
  if (found !== undefined) return found
  await source.install()
  return find(source)
}

const lookUp = async (variable: string, ...programs: ReadonlyArray<string>): Promise<string | undefined> => {
  const given = await fromEnvironment(variable)
  if (given !== undefined) return given
  for (const program of programs) {
    const path = await onPath(program)
    if (path !== undefined) return path
  }
  return undefined
}

/** A variable that does not name a program is an error to report, not a reason to look elsewhere. */
const fromEnvironment = async (name: string): Promise<string | undefined> => {
  const path = process.env[name]
  if (path === undefined || path === "") return undefined
  if (await isExecutable(path)) return path
  throw new Error(`${name} is set to ${path}, which is not an executable file.`)
}

const onPath = async (program: string): Promise<string | undefined> => {
  if (isAbsolute(program)) return (await isExecutable(program)) ? program : undefined
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "")
  for (const folder of [...folders, "/usr/bin", "/usr/local/bin", "/usr/sbin"]) {
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
 * Debian starts a service when its package is installed, which a test must not do to its host. A `policy-rc.d` that
 * returns 101 prevents this. Ours does so only while this process runs, so that one left behind by a crash does no
 * harm. If the host has its own policy, that policy stays in effect.
 */
const installDebianPackage = async (name: string, advice: string): Promise<void> => {
  const aptGet = await onPath("apt-get")
  if (process.getuid?.() !== 0 || aptGet === undefined) throw new Error(advice)
  const policy = "/usr/sbin/policy-rc.d"
  const ourPolicy = !(await isExecutable(policy))
  try {
    if (ourPolicy) {
      await writeFile(policy, `#!/bin/sh\nif kill -0 ${process.pid} 2>/dev/null; then exit 101; fi\nexit 0\n`)
      await chmod(policy, 0o755)
    }
    const install = ["install", "-y", "--no-install-recommends", ...patience, name]
    await runQuietly(aptGet, ["update"], advice)
    await runQuietly(aptGet, install, advice)
  } finally {
    if (ourPolicy) await rm(policy, { force: true })
  }
}

/** Another apt-get, such as the nightly upgrade, may be running. */
const patience = ["-o", "DPkg::Lock::Timeout=120"]

const runQuietly = (program: string, args: ReadonlyArray<string>, advice: string): Promise<void> =>
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
