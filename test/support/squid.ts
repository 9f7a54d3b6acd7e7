/** A real Squid as a scoped resource: a forward proxy with users and rules, and a log of what it forwards. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { Effect } from "effect"
import { findSquid } from "./binaries.ts"
import { attempt, folder } from "./RealServer.ts"
import { ServerProcess } from "./ServerProcess.ts"

/** The user and the password of a Squid with users, deliberately with characters that URLs reserve. */
export const proxyUser = "proxy@user"
export const proxyPassword = "p:a/s#s sésame 4711"
/** The password's hash, as `openssl passwd -apr1` makes it. */
const passwordHash = "$apr1$tests$Vf36RIzcofR9lGpaSYCAW."

/** Both as a URL has them. */
export const proxyCredentials = `${encodeURIComponent(proxyUser)}:${encodeURIComponent(proxyPassword)}`

export interface SquidOptions {
  /** Require `proxyUser` and `proxyPassword`. */
  readonly hasUsers?: boolean
  /** The port of servers that it does not connect to. */
  readonly forbiddenPort?: number
}

/** Runs Squid until the scope closes. */
export const make = Effect.fnUntraced(function* ({ forbiddenPort, hasUsers = false }: SquidOptions = {}) {
  const program = yield* attempt(findSquid)
  const path = yield* folder
  // As root, Squid becomes another user.
  chmodSync(path, 0o755)
  const logs = join(path, "logs")
  mkdirSync(logs)
  chmodSync(logs, 0o777)
  const users = join(path, "users")
  writeFileSync(users, `${proxyUser}:${passwordHash}\n`)
  const log = join(logs, "access.log")
  const configuration = (port: number) => `
    http_port 127.0.0.1:${port}
    pid_filename none
    cache deny all
    cache_log stdio:${join(logs, "cache.log")}
    logformat seen %rm %ru|%un|%{Authorization}>h|%>Hs
    access_log stdio:${log} seen
    coredump_dir ${logs}
    netdb_filename none
    pinger_enable off
    memory_cache_shared off
    shutdown_lifetime 0 seconds
    ${forbiddenPort === undefined ? "" : `acl forbidden port ${forbiddenPort}\n    http_access deny forbidden`}
    ${
      hasUsers
        ? `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${users}
    auth_param basic children 2 startup=1
    acl known proxy_auth REQUIRED
    http_access allow known
    http_access deny all`
        : "http_access allow all"
    }
  `
  const server = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new ServerProcess({
          program,
          args: (port) => {
            const file = join(path, "squid.conf")
            // Squid wants each directive at the beginning of a line.
            writeFileSync(file, configuration(port).replace(/^ +/gm, ""))
            return ["-N", "-d", "1", "-f", file, "-n", `squid${port}`]
          },
          pathPrefix: "",
          ready: async (baseUrl) => accepts(Number(new URL(baseUrl).port))
        })
    ),
    (server) => Effect.promise(() => server.stop())
  )
  yield* attempt((signal) => server.start(signal))
  return {
    port: server.port,
    url: server.baseUrl,
    urlWithUser: server.baseUrl.replace("//", `//${proxyCredentials}@`),
    /** The requests so far: `METHOD target|user|Authorization|status`. */
    requests: () =>
      existsSync(log)
        ? readFileSync(log, "utf8")
            .split("\n")
            .filter((line) => line !== "")
        : []
  }
})

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve(true)
    }).once("error", reject)
  })
