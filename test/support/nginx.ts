/** A real nginx as a scoped resource: TLS in front of a server, and a log of what arrives. */
import { readFileSync, writeFileSync } from "node:fs"
import { get } from "node:https"
import { join } from "node:path"
import { Effect } from "effect"
import { findNginx } from "./binaries.ts"
import type { Certificate } from "./certificates.ts"
import { attempt, folder } from "./RealServer.ts"
import { ServerProcess } from "./ServerProcess.ts"

/** A site, which a client selects by the name that it asks for. */
export interface Site {
  readonly name: string
  /** Its certificate, with those of the authorities that nginx sends too. */
  readonly certificate: Pick<Certificate, "cert" | "key">
  /** Require client certificates of these authorities. */
  readonly clientAuthorities?: string
}

export interface NginxOptions {
  /** The server that `/prometheus/` leads to. */
  readonly upstream: string
  /** The first one is for clients that ask for none of them. */
  readonly sites: ReadonlyArray<Site>
}

/** Runs nginx until the scope closes. */
export const make = Effect.fnUntraced(function* ({ sites, upstream }: NginxOptions) {
  const program = yield* attempt(findNginx)
  const path = yield* folder
  const file = (name: string) => join(path, name)
  for (const { certificate, clientAuthorities = "", name } of sites) {
    writeFileSync(file(`${name}.pem`), certificate.cert)
    writeFileSync(file(`${name}.key`), certificate.key)
    writeFileSync(file(`${name}.clients`), clientAuthorities)
  }
  const log = file("access.log")
  const configuration = (port: number) => `
    daemon off; master_process off; pid ${file("pid")}; error_log stderr info;
    events {}
    http {
      log_format seen '$request|$http_authorization|$http_proxy_authorization|$ssl_client_s_dn';
      access_log ${log} seen;
      ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${file(what)};`).join("\n")}
      ${sites
        .map(
          ({ clientAuthorities, name }, index) => `server {
            listen 127.0.0.1:${port} ssl ${index === 0 ? "default_server" : ""}; server_name ${name};
            ssl_certificate ${file(`${name}.pem`)}; ssl_certificate_key ${file(`${name}.key`)};
            ${clientAuthorities === undefined ? "" : `ssl_verify_client on; ssl_client_certificate ${file(`${name}.clients`)};`}
            location = /ready { return 204; }
            location /prometheus/ { proxy_pass ${upstream}/; }
          }`
        )
        .join("\n")}
    }`
  const server = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new ServerProcess({
          program,
          args: (port) => {
            writeFileSync(file("nginx.conf"), configuration(port))
            return ["-p", path, "-c", file("nginx.conf"), "-e", "stderr"]
          },
          pathPrefix: "",
          isSecure: true,
          ready: responds
        })
    ),
    (server) => Effect.promise(() => server.stop())
  )
  yield* attempt((signal) => server.start(signal))
  return {
    port: server.port,
    baseUrl: `${server.baseUrl}/prometheus`,
    /** The requests so far: `request line|Authorization|Proxy-Authorization|subject of the client's certificate`. */
    requests: () =>
      readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line.includes("/prometheus/"))
  }
})

/** Whether it responds at all: without a client certificate, it refuses. */
const responds = (baseUrl: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    get(`${baseUrl}/ready`, { rejectUnauthorized: false, agent: false }, (response) => {
      response.resume()
      resolve(true)
    }).once("error", reject)
  })
