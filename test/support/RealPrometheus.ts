/**
 * A real Prometheus server as a scoped resource: a fresh folder, a fresh port, a known database.
 *
 * Nothing here waits on Effect's clock, so that tests under the TestClock can use it.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { Effect, Schema, type Scope } from "effect"
import { findBinaries } from "./binaries.ts"
import { openMetrics, type SeriesInput } from "./openMetrics.ts"
import { type RemoteSeriesInput, remoteWriteBody, remoteWriteHeaders } from "./remoteWrite.ts"

/** The user and the password of a server with basic auth: a colon and a letter beyond ASCII, on purpose. */
export const basicAuthUser = "tester"
export const basicAuthPassword = "open:sésame 1"
/** What a client sends to such a server in its `Authorization` header. */
export const basicAuthHeader = `Basic ${Buffer.from(`${basicAuthUser}:${basicAuthPassword}`).toString("base64")}`

/** The password's bcrypt hash, of the lowest cost. */
const basicAuthHash = "$2b$04$N1h2lq0QmTz8cXvW5rYbKeow3cH7E1Y7Qek5ijA9Vo8eyu3u.Qbfq"

/** How to make a server. */
export interface RealPrometheusOptions {
  /** What the database contains from the start. */
  readonly series?: Iterable<SeriesInput>
  /** The same as text, instead of `series`: every line with a time, `# EOF` at the end. */
  readonly openMetrics?: string
  /** More command-line flags, such as `--query.max-samples=1000`. */
  readonly flags?: ReadonlyArray<string>
  /** Ask for `basicAuthUser` and `basicAuthPassword`. */
  readonly basicAuth?: boolean
  /** Serve under a path, such as `/prometheus`; `baseUrl` includes it. */
  readonly routePrefix?: string
  /**
   * Scrape this text from a small HTTP server of ours; one with `# EOF` is served as OpenMetrics, which knows units.
   * Its series get the labels `job` and `instance`. The first scrape, which takes some six seconds, has happened
   * when the server is handed out.
   */
  readonly scrape?: { readonly text: string; readonly intervalSeconds?: number }
  /** Accept remote write, as `remoteWrite` needs it. */
  readonly remoteWriteReceiver?: boolean
  /** How much older than the newest sample a written one may be, such as `1h`. */
  readonly outOfOrderWindow?: string
}

/** One series of a range query's answer, as the server sent it. */
export interface MatrixSeries {
  readonly metric: Readonly<Record<string, string>>
  readonly values?: ReadonlyArray<readonly [timeSeconds: number, value: string]>
  readonly histograms?: ReadonlyArray<readonly [timeSeconds: number, histogram: unknown]>
}

/** An HTTP response, read whole. */
export interface RawResponse {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** What to send besides the path: the parameters go into the query, or with POST into a form. */
export interface RawRequest {
  readonly method?: "GET" | "POST"
  readonly params?: Readonly<Record<string, string>> | ReadonlyArray<readonly [string, string]>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer>
  /** False leaves out the credentials of a server with basic auth. */
  readonly authenticate?: boolean
}

/** A server could not be made or did not answer as the test harness needs it. */
export class RealPrometheusError extends Schema.TaggedError<RealPrometheusError>()("RealPrometheusError", {
  message: Schema.String
}) {}

/** A running server. All paths are relative to `baseUrl`, credentials are sent where the server wants them. */
export interface RealPrometheus {
  /** Such as `http://127.0.0.1:41234`, with the route prefix and without a slash at the end. */
  readonly baseUrl: string
  /** Where its files are until the scope closes. */
  readonly folder: string
  /** The server's process. It changes with `restart`. */
  readonly pid: () => number
  /** Any request, whatever the status of its response. */
  readonly request: (path: string, request?: RawRequest) => Effect.Effect<RawResponse, RealPrometheusError>
  /** The parsed JSON of a GET; fails unless the status is 200. */
  readonly get: (path: string, params?: RawRequest["params"]) => Effect.Effect<unknown, RealPrometheusError>
  /** The series of a range query, times in seconds. */
  readonly queryRange: (
    query: string,
    start: number,
    end: number,
    step: number
  ) => Effect.Effect<ReadonlyArray<MatrixSeries>, RealPrometheusError>
  /** Writes samples; the server needs `remoteWriteReceiver`. */
  readonly remoteWrite: (series: Iterable<RemoteSeriesInput>) => Effect.Effect<void, RealPrometheusError>
  /** Stops the process; requests are refused from then on. */
  readonly stop: Effect.Effect<void>
  /** Starts it again, stopping it first where needed, with the same data at the same address. */
  readonly restart: Effect.Effect<void, RealPrometheusError>
}

/** Makes a database and starts a server on it, until the scope closes: no process and no file remains. */
export const make = Effect.fnUntraced(function* (
  options: RealPrometheusOptions = {}
): Effect.fn.Return<RealPrometheus, RealPrometheusError, Scope.Scope> {
  const binaries = yield* attempt(findBinaries)
  const folder = yield* Effect.acquireRelease(
    attempt(() => mkdtemp(join(tmpdir(), "source-prometheus-real-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  yield* attempt((signal) => createBlocks(binaries.promtool, folder, options, signal))
  const target = options.scrape === undefined ? undefined : yield* scrapeTarget(options.scrape.text)
  yield* attempt(() => writeConfiguration(folder, options, target))

  const ready = async (baseUrl: string): Promise<boolean> => {
    const headers: Record<string, string> =
      options.basicAuth === true ? { Authorization: basicAuthHeader } : {}
    const response = await fetch(`${baseUrl}/-/ready`, { headers })
    await response.arrayBuffer()
    return response.ok
  }
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => new Server(binaries.prometheus, flags(folder, options), prefix(options), ready)),
    (server) => Effect.promise(() => server.stop())
  )
  yield* attempt((signal) => server.start(signal))
  const baseUrl = server.baseUrl

  const request: RealPrometheus["request"] = (path, request = {}) =>
    attempt(async (signal) => {
      const { method = "GET", params, headers, body, authenticate = true } = request
      const form = new URLSearchParams(params === undefined ? [] : entries(params))
      const url = `${baseUrl}${path}${method === "GET" && params !== undefined ? `?${form}` : ""}`
      const response = await fetch(url, {
        method,
        headers: {
          ...(options.basicAuth === true && authenticate ? { Authorization: basicAuthHeader } : {}),
          ...headers
        },
        ...(method === "POST" ? { body: body ?? form } : {}),
        signal
      })
      return { status: response.status, headers: response.headers, text: await response.text() }
    })

  const get = Effect.fnUntraced(function* (path: string, params?: RawRequest["params"]) {
    const { status, text } = yield* request(path, params === undefined ? {} : { params })
    if (status !== 200) {
      return yield* new RealPrometheusError({ message: `${path} answered ${status}: ${text}` })
    }
    return yield* attempt(async (): Promise<unknown> => JSON.parse(text))
  })

  const queryRange: RealPrometheus["queryRange"] = (query, start, end, step) =>
    get("/api/v1/query_range", { query, start: `${start}`, end: `${end}`, step: `${step}` }).pipe(
      Effect.map((answer) => (answer as { data: { result: ReadonlyArray<MatrixSeries> } }).data.result)
    )

  const remoteWrite = Effect.fnUntraced(function* (series: Iterable<RemoteSeriesInput>) {
    const body = remoteWriteBody(series)
    const { status, text } = yield* request("/api/v1/write", {
      method: "POST",
      headers: remoteWriteHeaders,
      body
    })
    if (status !== 204) {
      return yield* new RealPrometheusError({ message: `/api/v1/write answered ${status}: ${text}` })
    }
  })

  if (options.scrape !== undefined) yield* attempt((signal) => firstScrape(request, signal))

  return {
    baseUrl,
    folder,
    pid: () => server.pid,
    request,
    get,
    queryRange,
    remoteWrite,
    stop: Effect.promise(() => server.stop()),
    restart: attempt(async (signal) => {
      await server.stop()
      await server.start(signal)
    })
  }
})

/** A promise as an effect; the signal aborts when the effect is interrupted. */
const attempt = <A>(run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, RealPrometheusError> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => {
      const reason = cause instanceof Error && cause.cause instanceof Error ? ` (${cause.cause.message})` : ""
      return new RealPrometheusError({
        message: `${cause instanceof Error ? cause.message : cause}${reason}`
      })
    }
  })

const entries = (params: NonNullable<RawRequest["params"]>): Array<[string, string]> =>
  (Array.isArray(params) ? params : Object.entries(params)).map(([name, value]) => [name, value])

const prefix = (options: RealPrometheusOptions): string => {
  const path = (options.routePrefix ?? "").replace(/^\/+|\/+$/g, "")
  return path === "" ? "" : `/${path}`
}

const dataFolder = (folder: string): string => join(folder, "data")

/** Turns the options' samples into blocks on disk, with `promtool`. */
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
  // promtool reads the whole file once per block: with its default of two hours a year would take for ever.
  const args = ["tsdb", "create-blocks-from", "--max-block-duration=100000h", "openmetrics", file]
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
  // JSON is YAML too, and needs no care for quoting and indenting.
  const interval = `${options.scrape?.intervalSeconds ?? 1}s`
  const config = {
    global: { scrape_interval: interval, scrape_timeout: interval },
    ...(target === undefined
      ? {}
      : { scrape_configs: [{ job_name: "test", static_configs: [{ targets: [target] }] }] }),
    ...(options.outOfOrderWindow === undefined
      ? {}
      : { storage: { tsdb: { out_of_order_time_window: options.outOfOrderWindow } } })
  }
  await writeFile(join(folder, "prometheus.yml"), JSON.stringify(config))
  if (options.basicAuth === true) {
    const webConfig = { basic_auth_users: { [basicAuthUser]: basicAuthHash } }
    await writeFile(join(folder, "web.yml"), JSON.stringify(webConfig))
  }
}

const flags = (folder: string, options: RealPrometheusOptions): ReadonlyArray<string> => [
  `--config.file=${join(folder, "prometheus.yml")}`,
  `--storage.tsdb.path=${dataFolder(folder)}`,
  "--storage.tsdb.retention.time=100y",
  ...(options.basicAuth === true ? [`--web.config.file=${join(folder, "web.yml")}`] : []),
  ...(prefix(options) === "" ? [] : [`--web.route-prefix=${prefix(options)}`]),
  ...(options.remoteWriteReceiver === true ? ["--web.enable-remote-write-receiver"] : []),
  ...(options.flags ?? [])
]

/** Serves a text under `/metrics`; answers the address to scrape. */
const scrapeTarget = (text: string): Effect.Effect<string, RealPrometheusError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(async () => {
      const server = createServer((_, response) => {
        const openMetrics = text.trimEnd().endsWith("# EOF")
        response.setHeader(
          "Content-Type",
          openMetrics
            ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
            : "text/plain; version=0.0.4"
        )
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
 * Waits until the target's samples can be queried. `up` is written together with them, whereas the targets page
 * and the metadata are earlier.
 */
const firstScrape = async (request: RealPrometheus["request"], signal: AbortSignal): Promise<void> => {
  const text = (path: string) =>
    Effect.runPromise(request(path), { signal }).then((response) => response.text)
  for (;;) {
    const up = await text("/api/v1/query?query=up")
    if (up.includes('"1"]')) return
    if (up.includes('"0"]')) throw new Error(`The scrape failed: ${await text("/api/v1/targets")}`)
    await sleep(20, undefined, { signal })
  }
}

/** How long a server may take to get ready, and to end after SIGTERM before it is killed. */
const startTimeoutMs = 60_000
const stopTimeoutMs = 10_000

/** The server's process. What it logs is kept, to find its port and to explain a failed start. */
class Server {
  readonly program: string
  readonly args: ReadonlyArray<string>
  readonly pathPrefix: string
  readonly ready: (baseUrl: string) => Promise<boolean>
  /** Zero lets the system choose; a restart then keeps the choice. */
  port = 0
  child: ChildProcess | undefined
  log = ""

  constructor(
    program: string,
    args: ReadonlyArray<string>,
    pathPrefix: string,
    ready: (baseUrl: string) => Promise<boolean>
  ) {
    this.program = program
    this.args = args
    this.pathPrefix = pathPrefix
    this.ready = ready
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}${this.pathPrefix}`
  }

  get pid(): number {
    return this.child?.pid ?? 0
  }

  /** Spawns the process and waits until it is ready. When that fails, `stop` is still to be called. */
  async start(signal: AbortSignal): Promise<void> {
    this.log = ""
    const args = [...this.args, `--web.listen-address=127.0.0.1:${this.port}`]
    const child = spawn(this.program, args, { stdio: ["ignore", "ignore", "pipe"] })
    this.child = child
    child.stderr.on("data", (chunk: Buffer) => {
      this.log = (this.log + chunk.toString()).slice(-100_000)
    })
    let failure: string | undefined
    child.once("error", (error) => {
      failure = `could not be started: ${error.message}`
    })
    child.once("close", (code, by) => {
      failure ??= `ended with ${by ?? `code ${code}`}`
    })
    running.add(child)
    child.once("exit", () => running.delete(child))

    const deadline = performance.now() + startTimeoutMs
    while (!(await this.isReady())) {
      signal.throwIfAborted()
      if (failure === undefined && performance.now() > deadline)
        failure = `was not ready in ${startTimeoutMs} ms`
      if (failure !== undefined) throw new Error(`${this.program} ${args.join(" ")} ${failure}.\n${this.log}`)
      await sleep(10)
    }
  }

  /** The port is known from the log: asking for port 0 cannot collide with anything, unlike choosing one. */
  async isReady(): Promise<boolean> {
    const port = /msg="Listening on".* address=127\.0\.0\.1:(\d+)/.exec(this.log)?.[1]
    if (port === undefined) return false
    this.port = Number(port)
    try {
      return await this.ready(this.baseUrl)
    } catch {
      return false
    }
  }

  /** Ends the process, and waits for its end. */
  async stop(): Promise<void> {
    const child = this.child
    if (child === undefined || child.pid === undefined || hasEnded(child)) return
    const ended = once(child, "exit")
    child.kill("SIGTERM")
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs)
    await ended
    clearTimeout(timer)
  }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** A scope that never closes, because the test process exits early, must not leave a server behind. */
const running = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})
