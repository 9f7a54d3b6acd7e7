/**
 * A real PostgreSQL as a scoped resource, on a loopback port, with its data in a temporary folder.
 *
 * The superuser `postgres` needs no password. All other roles need theirs.
 */
import { execFile, execFileSync } from "node:child_process"
import { chmodSync, chownSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { Effect } from "effect"
import { findPostgres } from "./binaries.ts"
import { attempt, folder } from "./RealServer.ts"
import { ServerProcess } from "./ServerProcess.ts"

/** A running server. */
export type Postgres = Effect.Success<ReturnType<typeof make>>

export interface PostgresOptions {
  /** Settings of the server, such as `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Serve TLS with this certificate too. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

/** The server refuses to run as root. */
const serverUser = () => {
  if (process.getuid?.() !== 0) return undefined
  const id = (option: string) => Number(execFileSync("id", [option, "nobody"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

/** Crashes of the server lose nothing without these: only those of the machine would. */
const fast = { fsync: "off", full_page_writes: "off", max_wal_size: "256MB", shared_buffers: "32MB" }

/** Runs psql, which prints rows as unaligned text, in the order of its statements. */
export const runPsql = async (
  url: string,
  sql: string,
  args: ReadonlyArray<string> = []
): Promise<string> => {
  const programs = await findPostgres()
  const psql = execFile(
    programs.psql,
    ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", ...args, "-d", url, "-f", "-"],
    { env: { ...process.env, PGTZ: "UTC", PGOPTIONS: "-c client_min_messages=warning" }, maxBuffer: 1e9 },
    () => {}
  )
  let [output, errors] = ["", ""]
  psql.stdout!.on("data", (text: string) => (output += text))
  psql.stderr!.on("data", (text: string) => (errors += text))
  psql.stdin!.on("error", () => {})
  psql.stdin!.end(sql)
  const code = await new Promise<number | null>((resolve) => psql.once("close", resolve))
  if (code !== 0) throw new Error(`psql ended with code ${code}: ${errors}`)
  return output
}

/** Runs PostgreSQL until the scope closes. */
export const make = Effect.fnUntraced(function* ({ settings = {}, tls }: PostgresOptions = {}) {
  const programs = yield* attempt(findPostgres)
  const user = serverUser()
  const path = yield* folder
  if (user !== undefined) chownSync(path, user.uid, user.gid)
  const data = join(path, "data")
  yield* attempt(() =>
    promisify(execFile)(
      programs.initdb,
      ["-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--auth=trust"],
      { cwd: path, ...user }
    )
  )
  const file = (name: string, text: string) => {
    const at = join(data, name)
    writeFileSync(at, text)
    chmodSync(at, 0o600)
    if (user !== undefined) chownSync(at, user.uid, user.gid)
  }
  file("pg_hba.conf", "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
  if (tls !== undefined) {
    file("server.crt", tls.cert)
    file("server.key", tls.key)
  }
  const all = {
    ...fast,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    ssl: tls === undefined ? "off" : "on",
    ...settings
  }
  const urlOf = (port: number, database: string) => `postgresql://postgres@127.0.0.1:${port}/${database}`
  const server = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new ServerProcess({
          program: programs.postgres,
          args: (port) => [
            ...["-D", data, "-p", `${port}`],
            ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])
          ],
          pathPrefix: "",
          user,
          // Does not wait for clients.
          stopSignal: "SIGINT",
          ready: async (baseUrl) => {
            await runPsql(urlOf(Number(new URL(baseUrl).port), "postgres"), "SELECT 1")
            return true
          }
        })
    ),
    (server) => Effect.promise(() => server.stop())
  )
  yield* attempt((signal) => server.start(signal))
  const psql = (sql: string, database = "postgres") => runPsql(urlOf(server.port, database), sql)
  /** The rows of a query, with the texts of their values by column. */
  const rows = async (
    sql: string,
    database = "postgres"
  ): Promise<ReadonlyArray<Readonly<Record<string, string | null>>>> => {
    const text = await psql(`SELECT coalesce(json_agg(row), '[]') FROM (${sql}) AS row`, database)
    return JSON.parse(text)
  }
  return {
    port: server.port,
    /** The log of the server since its last start. */
    log: () => server.log,
    /** The address of a database, for the superuser. */
    urlOf: (database = "postgres") => urlOf(server.port, database),
    /** Runs statements, and returns what psql prints: unaligned, without headings. */
    psql,
    /** Runs psql on any address. */
    psqlOn: runPsql,
    rows,
    /** Ends the connections of all clients but psql's own, as a lost network would, and returns their number. */
    disconnectClients: async (where = "true"): Promise<number> =>
      Number(
        await psql(
          `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
           WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND ${where}`
        )
      ),
    /** Stops the server in order, or kills it, and starts it again on the same port. `whileDown`: what happens in between. */
    restart: async (
      how: "stop" | "kill" = "stop",
      whileDown: () => Promise<void> = async () => {}
    ): Promise<void> => {
      if (how === "kill") server.child?.kill("SIGKILL")
      await server.stop()
      await whileDown()
      for (let left = 50; ; left--) {
        try {
          return await server.startOnce(new AbortController().signal)
        } catch (error) {
          // The processes of a killed server may need a moment to end.
          if (left === 0 || !/pre-existing shared memory|lock file|address already in use/i.test(server.log))
            throw error
          await sleep(100)
        }
      }
    },
    /** Stops the server for good. */
    stop: () => server.stop()
  }
})
