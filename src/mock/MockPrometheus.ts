/**
 * A mock Prometheus: the read API over series in memory, for tests and the demo.
 *
 * test/integration/MockAgainstReal.test.ts compares its responses with a real server's. It has two transports:
 * `MockHttpClient.layer` inside the process, and `MockServer.make` on a socket.
 *
 * These differences are known. For labels, label values and series, the mock compares `start` and `end` with samples; a
 * real server compares them with chunks and blocks, and may return more. The mock evaluates only plain selectors, the samples of
 * one before a time (`selector[duration]`), `count()` of one, `time()`, and `count by (__name__) (last_over_time(…))`. It has only
 * active targets. Its version 3 does not escape `<`, `>` and `&` in labels of its tables.
 */
import { hash } from "node:crypto"
import { type ApiContext, type ApiResponse, plain, respond } from "./api.ts"
import { defaultOptions } from "./evaluate.ts"
import type { Faults } from "./faults.ts"
import { encodeChunks, type Fault, type MockRequest, type MockResponse, takeBytes } from "./http.ts"
import { type LabelsInput, makeLabels } from "./MockLabels.ts"
import type { MockDatabase } from "./MockSeries.ts"
import { remoteRead } from "./remoteRead.ts"

/** How a mock differs from a Prometheus 2.42 without authentication or limits. */
export interface MockOptions {
  /** A path such as `/prometheus` below which the API is. */
  readonly pathPrefix?: string
  /** Requests with other credentials get a 401. */
  readonly basicAuth?: { readonly user: string; readonly password: string }
  /** Headers, name and value, without which a request gets a 401. */
  readonly requiredHeaders?: Readonly<Record<string, string>>
  /**
   * The version that buildinfo reports and the mock behaves like: from 3 on, look-back is left-open, `.` in expressions matches
   * line feeds and label names may be any UTF-8; from 2.43 on, a query may have a `lookback_delta`.
   */
  readonly version?: string
  readonly lookbackMillis?: number
  /** The most samples that one query may load; no limit by default. */
  readonly maxSamples?: number
  /** Hides samples that are later than now, so that time can pass in a test. */
  readonly hideFuture?: boolean
  /** Whether it offers remote read, as it does by default. Thanos Query does not. */
  readonly remoteRead?: boolean
  /** The server's own labels, which remote read adds to series that do not have them. */
  readonly externalLabels?: LabelsInput
  /** Added to every successful response to a query. */
  readonly warnings?: ReadonlyArray<string>
  readonly infos?: ReadonlyArray<string>
  /** The size of the pieces in which bodies are sent. */
  readonly chunkBytes?: number
  /** Chooses the faults. */
  readonly faults?: Faults
}

/** A request that a mock has received. */
export interface ReceivedRequest extends MockRequest {
  readonly attempt: number
  readonly nowMillis: number
}

/**
 * The total size of the requests that are kept, in characters; each counts as at least a thousand. Above it, the older half is
 * dropped, since a demo may run for months.
 */
export const MAX_KEPT = 64_000_000

const sizeOf = ({ body, params, url }: MockRequest): number => {
  let size = 1000 + url.length + body.length
  for (const [name, value] of params) size += name.length + value.length
  return size
}

/** How many different requests are counted. */
const MAX_COUNTED = 100_000

/** A mock server: its series, and the requests that it received. */
export class MockPrometheus {
  /** May be replaced at any time, as if samples had been scraped or lost. */
  database: MockDatabase
  readonly options: MockOptions
  /** The received requests, oldest first; may be cleared. Only the latest are kept, see `MAX_KEPT`. */
  readonly requests: Array<ReceivedRequest> = []
  #kept = 0
  readonly #attempts = new Map<string, number>()

  constructor(database: MockDatabase, options: MockOptions = {}) {
    this.database = database
    this.options = options
  }

  /** The response to a request at a time, in milliseconds since the Unix epoch. */
  handle(request: MockRequest, nowMillis: number): MockResponse {
    const attempt = this.#count(request)
    this.#keep({ ...request, attempt, nowMillis })
    const fault = this.options.faults?.(request, attempt) ?? {}
    const replaced = fault.status !== undefined || fault.body !== undefined
    const reply = replaced ? undefined : this.#respond(request, nowMillis)
    const body =
      reply === undefined
        ? replacement(fault.body ?? "")
        : encodeChunks(reply.body, this.options.chunkBytes ?? 65_536)
    const bytes = fault.cutAfterBytes ?? fault.stallAfterBytes
    return {
      delayMillis: fault.delayMillis ?? 0,
      status: reply?.status ?? fault.status ?? 200,
      headers: { ...reply?.headers, date: new Date(nowMillis).toUTCString(), ...fault.headers },
      body: bytes === undefined ? body : takeBytes(body, bytes),
      ending: ending(fault)
    }
  }

  #keep(request: ReceivedRequest): void {
    if (this.requests.length === 0) this.#kept = 0
    this.#kept += sizeOf(request)
    this.requests.push(request)
    if (this.#kept <= MAX_KEPT) return
    this.requests.splice(0, Math.ceil(this.requests.length / 2))
    this.#kept = this.requests.reduce((sum, request) => sum + sizeOf(request), 0)
  }

  #count(request: MockRequest): number {
    const params = new URLSearchParams(request.params)
    params.sort()
    const body = hash("sha256", request.body)
    const key = hash("sha256", `${request.method} ${request.path}?${params} ${body}`, "base64")
    const attempt = (this.#attempts.get(key) ?? 0) + 1
    // The latest goes to the end, and the oldest is dropped.
    this.#attempts.delete(key)
    this.#attempts.set(key, attempt)
    if (this.#attempts.size > MAX_COUNTED) this.#attempts.delete(this.#attempts.keys().next().value!)
    return attempt
  }

  #respond(request: MockRequest, nowMillis: number): ApiResponse {
    const {
      basicAuth,
      externalLabels = {},
      hideFuture = false,
      infos = [],
      lookbackMillis = defaultOptions.lookbackMillis,
      maxSamples = Number.POSITIVE_INFINITY,
      pathPrefix = "",
      remoteRead: offersRemoteRead = true,
      requiredHeaders = {},
      version = "2.42.0",
      warnings = []
    } = this.options
    if (basicAuth !== undefined) {
      const credentials = Buffer.from(`${basicAuth.user}:${basicAuth.password}`).toString("base64")
      if (request.headers.get("authorization") !== `Basic ${credentials}`) {
        return plain(401, "Unauthorized", { "www-authenticate": "Basic" })
      }
    }
    for (const [name, value] of Object.entries(requiredHeaders)) {
      if (request.headers.get(name.toLowerCase()) !== value) return plain(401, "Unauthorized")
    }
    if (!request.path.startsWith(`${pathPrefix}/`)) return plain(404, "404 page not found")
    const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10))
    const release = major * 1000 + minor
    const untilMillis = hideFuture ? nowMillis : defaultOptions.untilMillis
    const evaluation = { lookbackMillis, lookbackClosed: major < 3, untilMillis }
    const { database } = this
    const context: ApiContext = {
      database,
      nowMillis,
      version,
      release,
      evaluation,
      maxSamples,
      externalLabels: makeLabels(externalLabels),
      warnings,
      infos
    }
    const path = request.path.slice(pathPrefix.length)
    return offersRemoteRead && path === "/api/v1/read"
      ? remoteRead(context, request)
      : respond(context, request, path)
  }
}

const ending = (fault: Fault): MockResponse["ending"] => {
  if (fault.reset === true) return "reset"
  if (fault.cutAfterBytes !== undefined) return "cut"
  return fault.stallAfterBytes !== undefined ? "stall" : "complete"
}

const encoder = new TextEncoder()

const replacement = (body: string | Uint8Array): ReadonlyArray<Uint8Array> => {
  const bytes = typeof body === "string" ? encoder.encode(body) : body
  return bytes.length === 0 ? [] : [bytes]
}
