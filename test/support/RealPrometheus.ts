/**
 * A real Prometheus server as a scoped resource: a fresh folder, a fresh port, a known database.
 *
 * Nothing here waits on Effect's clock, so that tests under the TestClock can use it.
 */
import { execFile } from "node:child_process"
import { once } from "node:events"
import { mkdir, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import { get as httpsGet } from "node:https"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { Effect, type Scope } from "effect"
import { findPrometheus, type PrometheusRelease } from "./binaries.ts"
import { openMetrics } from "./openMetrics.ts"
import * as Server from "./RealServer.ts"
import {
  attempt,
  basicAuthUser,
  credentials,
  prefix,
  type RealServer,
  type RealServerError,
  type RealServerOptions
} from "./RealServer.ts"

export { basicAuthHeader, basicAuthPassword, basicAuthUser, type MatrixSeries } from "./RealServer.ts"

/** The password's bcrypt hash, of the lowest cost. */
const basicAuthHash = "$2b$04$N1h2lq0QmTz8cXvW5rYbKeow3cH7E1Y7Qek5ijA9Vo8eyu3u.Qbfq"

/** What a server scrapes. */
export interface Scrape {
  /** The target's text; with a function, that of each scrape. Or a protobuf message per metric, from `metricFamily`. */
  readonly text: string | Uint8Array | (() => string | Uint8Array)
  readonly intervalSeconds?: number
  /** More of the scrape's configuration. */
  readonly config?: object
}

/** How a Prometheus serves HTTPS. */
export interface ServerTls {
  /** Its certificate, with those of the authorities up to the root, and the key. */
  readonly certificate: { readonly cert: string; readonly key: string }
  /** Require client certificates of these authorities. */
  readonly clientAuthorities?: string
  /** A client certificate that it accepts, to find out when it is ready. */
  readonly client?: { readonly cert: string; readonly key: string }
}

/** Options of a Prometheus. */
export interface RealPrometheusOptions extends RealServerOptions {
  /** The version to run; 2 by default. */
  readonly release?: PrometheusRelease
  /** OpenMetrics text instead of `series`: every line with a time, `# EOF` at the end. */
  readonly openMetrics?: string
  /**
   * Scrape this text from a small HTTP server; text with `# EOF` is served as OpenMetrics, which supports units. Its
   * series get the labels `job` and `instance`. The first scrape, which takes about six seconds, is complete when the
   * server is returned.
   */
  readonly scrape?: Scrape
  /** Groups of rules, which are evaluated every second. */
  readonly ruleGroups?: ReadonlyArray<object>
  /** Accept remote write, which `remoteWrite` needs. */
  readonly remoteWriteReceiver?: boolean
  /** The server's own labels. */
  readonly externalLabels?: Readonly<Record<string, string>>
  /** How much older than the newest sample a written sample may be, such as `1h`. */
  readonly outOfOrderWindow?: string
  /** Serve HTTPS. The effects of the server, such as `request`, cannot be used then. */
  readonly tls?: ServerTls
  /** How long a block of the initial contents is, in hours, from 2 on; one block for everything by default. */
  readonly blockHours?: number
  /** What to do to the files of the database before the server starts. */
  readonly prepare?: (dataFolder: string) => Promise<void>
}

/** A running Prometheus. */
export type RealPrometheus = RealServer

/** Creates a database and runs a server on it until the scope closes: no process and no file remains. */
export const make = Effect.fnUntraced(function* (
  options: RealPrometheusOptions = {}
): Effect.fn.Return<RealPrometheus, RealServerError, Scope.Scope> {
  const binaries = yield* attempt(() => findPrometheus(options.release))
  const folder = yield* Server.folder
  yield* attempt((signal) => createBlocks(binaries.promtool, folder, options, signal))
  yield* attempt(async () => options.prepare?.(dataFolder(folder)))
  const target = options.scrape === undefined ? undefined : yield* scrapeTarget(options.scrape.text)
  yield* attempt(() => writeConfiguration(folder, options, target))
  const server = yield* Server.start(
    folder,
    {
      program: binaries.prometheus,
      args: (port) => [...flags(folder, options), `--web.listen-address=127.0.0.1:${port}`],
      pathPrefix: prefix(options),
      portInLog: /msg="Listening on".* address=127\.0\.0\.1:(\d+)/,
      isSecure: options.tls !== undefined,
      ready: async (baseUrl) => {
        if (options.tls !== undefined) return isReadySecurely(baseUrl, options)
        const response = await fetch(`${baseUrl}/-/ready`, { headers: credentials(options) })
        await response.arrayBuffer()
        return response.ok
      }
    },
    options
  )
  if (options.scrape !== undefined) yield* attempt((signal) => firstScrape(server.request, signal))
  return server
})

/** A request with TLS. The server's certificate is not verified. */
const isReadySecurely = (baseUrl: string, options: RealPrometheusOptions): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const request = httpsGet(
      `${baseUrl}/-/ready`,
      { ...options.tls?.client, rejectUnauthorized: false, agent: false, headers: credentials(options) },
      (response) => {
        response.resume()
        resolve(response.statusCode === 200)
      }
    )
    request.once("error", reject)
  })

const dataFolder = (folder: string): string => join(folder, "data")

/** Writes the samples of the options to disk as blocks, with `promtool`. */
const createBlocks = async (
  promtool: string,
  folder: string,
  options: RealPrometheusOptions,
  signal: AbortSignal
): Promise<void> => {
  await mkdir(dataFolder(folder))
  const text = options.openMetrics ?? (options.series === undefined ? undefined : openMetrics(options.series))
  if (text === undefined) return
  const file = join(folder, "samples.om")
  await writeFile(file, text)
  // promtool reads the entire file once per block: with its default of two hours, a year would take forever.
  const duration = `--max-block-duration=${options.blockHours ?? 100_000}h`
  const args = ["tsdb", "create-blocks-from", duration, "openmetrics", file]
  try {
    await promisify(execFile)(promtool, [...args, dataFolder(folder)], { signal })
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string }
    throw new Error(`promtool could not make blocks of the samples: ${stderr}${stdout}`, { cause: error })
  }
}

const writeConfiguration = async (
  folder: string,
  options: RealPrometheusOptions,
  target: string | undefined
): Promise<void> => {
  // JSON is valid YAML, and needs no care for quoting and indentation.
  const interval = `${options.scrape?.intervalSeconds ?? 1}s`
  const config = {
    global: {
      scrape_interval: interval,
      scrape_timeout: interval,
      evaluation_interval: "1s",
      external_labels: options.externalLabels ?? {}
    },
    ...(options.ruleGroups === undefined ? {} : { rule_files: ["rules.yml"] }),
    ...(target === undefined
      ? {}
      : {
          scrape_configs: [
            { job_name: "test", static_configs: [{ targets: [target] }], ...options.scrape?.config }
          ]
        }),
    ...(options.outOfOrderWindow === undefined
      ? {}
      : { storage: { tsdb: { out_of_order_time_window: options.outOfOrderWindow } } })
  }
  await writeFile(join(folder, "prometheus.yml"), JSON.stringify(config))
  await writeFile(join(folder, "rules.yml"), JSON.stringify({ groups: options.ruleGroups ?? [] }))
  if (!hasWebConfig(options)) return
  const { tls } = options
  const write = (name: string, content: string) => writeFile(join(folder, name), content)
  if (tls !== undefined) {
    await write("server.pem", tls.certificate.cert)
    await write("server.key", tls.certificate.key)
    await write("clients.pem", tls.clientAuthorities ?? "")
  }
  const webConfig = {
    ...(options.basicAuth === true ? { basic_auth_users: { [basicAuthUser]: basicAuthHash } } : {}),
    ...(tls === undefined
      ? {}
      : {
          tls_server_config: {
            cert_file: "server.pem",
            key_file: "server.key",
            ...(tls.clientAuthorities === undefined
              ? {}
              : { client_auth_type: "RequireAndVerifyClientCert", client_ca_file: "clients.pem" })
          }
        })
  }
  await write("web.yml", JSON.stringify(webConfig))
}

const hasWebConfig = ({ basicAuth, tls }: RealPrometheusOptions): boolean =>
  basicAuth === true || tls !== undefined

const flags = (folder: string, options: RealPrometheusOptions): ReadonlyArray<string> => [
  `--config.file=${join(folder, "prometheus.yml")}`,
  `--storage.tsdb.path=${dataFolder(folder)}`,
  "--storage.tsdb.retention.time=100y",
  ...(hasWebConfig(options) ? [`--web.config.file=${join(folder, "web.yml")}`] : []),
  ...(prefix(options) === "" ? [] : [`--web.route-prefix=${prefix(options)}`]),
  ...(options.remoteWriteReceiver === true ? ["--web.enable-remote-write-receiver"] : []),
  ...(options.flags ?? [])
]

const contentType = (text: string | Uint8Array): string => {
  if (typeof text !== "string") {
    return "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
  }
  return text.trimEnd().endsWith("# EOF")
    ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
    : "text/plain; version=0.0.4"
}

/** Serves a text under `/metrics`; returns the address to scrape. */
const scrapeTarget = (exposition: Scrape["text"]): Effect.Effect<string, RealServerError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(async () => {
      const server = createServer((_, response) => {
        const text = typeof exposition === "function" ? exposition() : exposition
        response.setHeader("Content-Type", contentType(text))
        response.end(text)
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      return server
    }),
    (server) =>
      Effect.promise(async () => {
        server.close()
        server.closeAllConnections()
      })
  ).pipe(Effect.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`))

/**
 * Waits until the target's samples can be queried. `up` is written together with them, whereas the targets page and
 * the metadata appear earlier.
 */
const firstScrape = async (request: RealServer["request"], signal: AbortSignal): Promise<void> => {
  const text = (path: string) =>
    Effect.runPromise(request(path), { signal }).then((response) => response.text)
  for (;;) {
    const up = await text("/api/v1/query?query=up")
    if (up.includes('"1"]')) return
    if (up.includes('"0"]')) throw new Error(`The scrape failed: ${await text("/api/v1/targets")}`)
    await sleep(20, undefined, { signal })
  }
}
