/**
 * A real server as a scoped resource: the part that all programs share.
 *
 * Nothing here waits on Effect's clock, so that tests under the TestClock can use it.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schema, type Scope } from "effect"
import type { SeriesInput } from "./openMetrics.ts"
import { type RemoteSeriesInput, remoteWriteBody, remoteWriteHeaders } from "./remoteWrite.ts"
import { ServerProcess, type ServerProgram } from "./ServerProcess.ts"

/** The user and the password of a server with basic auth, deliberately with a colon and a non-ASCII letter. */
export const basicAuthUser = "tester"
export const basicAuthPassword = "open:sésame 1"
/** The `Authorization` header for such a server. */
export const basicAuthHeader = `Basic ${Buffer.from(`${basicAuthUser}:${basicAuthPassword}`).toString("base64")}`

/** Options of a server of any kind. */
export interface RealServerOptions {
  /** The initial contents of the database. */
  readonly series?: Iterable<SeriesInput>
  /** More command-line flags, such as `--query.max-samples=1000`. */
  readonly flags?: ReadonlyArray<string>
  /** Require `basicAuthUser` and `basicAuthPassword`. */
  readonly basicAuth?: boolean
  /** Serve under a path, such as `/prometheus`; `baseUrl` includes it. */
  readonly routePrefix?: string
}

/** One series of a range query's response, as the server sent it. */
export interface MatrixSeries {
  readonly metric: Readonly<Record<string, string>>
  readonly values?: ReadonlyArray<readonly [timeSeconds: number, value: string]>
  readonly histograms?: ReadonlyArray<readonly [timeSeconds: number, histogram: unknown]>
}

/** An HTTP response, read completely. */
export interface RawResponse {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** What to send in addition to the path: the parameters go into the query, or with POST into a form. */
export interface RawRequest {
  readonly method?: "GET" | "POST"
  readonly params?: Readonly<Record<string, string>> | ReadonlyArray<readonly [string, string]>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer>
  /** False omits the credentials of a server with basic auth. */
  readonly authenticate?: boolean
}

/** A server could not be started, or did not respond as the test harness expects. */
export class RealServerError extends Schema.TaggedError<RealServerError>()("RealServerError", {
  message: Schema.String
}) {}

/** A running server. All paths are relative to `baseUrl`; credentials are sent if the server requires them. */
export interface RealServer {
  /** Such as `http://127.0.0.1:41234`, with the route prefix and without a trailing slash. */
  readonly baseUrl: string
  /** The folder of its files, which exists until the scope closes. */
  readonly folder: string
  /** The server's process ID. It changes with `restart`. */
  readonly pid: () => number
  /** Sends a request, and accepts any status. */
  readonly request: (path: string, request?: RawRequest) => Effect.Effect<RawResponse, RealServerError>
  /** The parsed JSON of a GET; fails unless the status is 200. */
  readonly get: (path: string, params?: RawRequest["params"]) => Effect.Effect<unknown, RealServerError>
  /** The series of a range query, times in seconds. */
  readonly queryRange: (
    query: string,
    start: number,
    end: number,
    step: number
  ) => Effect.Effect<ReadonlyArray<MatrixSeries>, RealServerError>
  /** Writes samples, which can be queried afterwards. A Prometheus needs `remoteWriteReceiver` for it. */
  readonly remoteWrite: (series: Iterable<RemoteSeriesInput>) => Effect.Effect<void, RealServerError>
  /** Stops the process; requests are refused from then on. */
  readonly stop: Effect.Effect<void>
  /** Restarts it with the same data at the same address, and stops it first if necessary. */
  readonly restart: Effect.Effect<void, RealServerError>
}

/** A folder that is removed with the scope. */
export const folder: Effect.Effect<string, RealServerError, Scope.Scope> = Effect.suspend(() =>
  Effect.acquireRelease(
    attempt(() => mkdtemp(join(tmpdir(), "source-prometheus-real-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
)

/** Runs a server with its files in a folder, until the scope closes. */
export const start = Effect.fnUntraced(function* (
  folder: string,
  program: ServerProgram,
  options: RealServerOptions
): Effect.fn.Return<RealServer, RealServerError, Scope.Scope> {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => new ServerProcess(program)),
    (server) => Effect.promise(() => server.stop())
  )
  yield* attempt((signal) => server.start(signal))
  const baseUrl = server.baseUrl

  const request: RealServer["request"] = (path, request = {}) =>
    attempt(async (signal) => {
      const { method = "GET", params, headers, body, authenticate = true } = request
      const form = new URLSearchParams(params === undefined ? [] : entries(params))
      const url = `${baseUrl}${path}${method === "GET" && params !== undefined ? `?${form}` : ""}`
      const response = await fetch(url, {
        method,
        headers: { ...(authenticate ? credentials(options) : {}), ...headers },
        ...(method === "POST" ? { body: body ?? form } : {}),
        signal
      })
      return { status: response.status, headers: response.headers, text: await response.text() }
    })

  const get = Effect.fnUntraced(function* (path: string, params?: RawRequest["params"]) {
    const { status, text } = yield* request(path, params === undefined ? {} : { params })
    if (status !== 200) return yield* new RealServerError({ message: `${path} returned ${status}: ${text}` })
    return yield* attempt(async (): Promise<unknown> => JSON.parse(text))
  })

  const queryRange: RealServer["queryRange"] = (query, start, end, step) =>
    get("/api/v1/query_range", { query, start: `${start}`, end: `${end}`, step: `${step}` }).pipe(
      Effect.map((response) => (response as { data: { result: ReadonlyArray<MatrixSeries> } }).data.result)
    )

  const remoteWrite = Effect.fnUntraced(function* (series: Iterable<RemoteSeriesInput>) {
    const body = remoteWriteBody(series)
    const { status, text } = yield* request("/api/v1/write", {
      method: "POST",
      headers: remoteWriteHeaders,
      body
    })
    if (status !== 204) {
      return yield* new RealServerError({ message: `/api/v1/write returned ${status}: ${text}` })
    }
  })

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
export const attempt = <A>(run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, RealServerError> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => {
      const reason = cause instanceof Error && cause.cause instanceof Error ? ` (${cause.cause.message})` : ""
      return new RealServerError({
        message: `${cause instanceof Error ? cause.message : cause}${reason}`
      })
    }
  })

/** The headers that a server with these options requires. */
export const credentials = (options: RealServerOptions): Record<string, string> =>
  options.basicAuth === true ? { Authorization: basicAuthHeader } : {}

/** The path under which a server with these options serves: empty, or with a leading slash only. */
export const prefix = (options: RealServerOptions): string => {
  const path = (options.routePrefix ?? "").replace(/^\/+|\/+$/g, "")
  return path === "" ? "" : `/${path}`
}

const entries = (params: NonNullable<RawRequest["params"]>): Array<[string, string]> =>
  (Array.isArray(params) ? params : Object.entries(params)).map(([name, value]) => [name, value])
