/** A server on loopback whose responses a test changes, and a client of it. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { type SampleBlock, textAt } from "../../src/samples/Sample.ts"
import { addressOf, clockJson, serveRaw } from "../support/rawServer.ts"

export const range = { startMillis: Date.UTC(2026, 0, 1), endMillis: Date.UTC(2026, 0, 2) }
export const query = {
  query: "m",
  startMillis: 1767225600_000,
  endMillis: 1767225660_000,
  stepMillis: 60_000
}

export type Client = PrometheusClient["Service"]

export interface Received {
  readonly method: string
  readonly path: string
  readonly params: URLSearchParams
  /** Those in the address. */
  readonly addressParams: URLSearchParams
  readonly headers: IncomingMessage["headers"]
}

export interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

export const success = (data: unknown, more: object = {}): Reply => ({
  body: JSON.stringify({ status: "success", data, ...more })
})

export const refused = (status: number, error: string): Reply => ({
  status,
  body: JSON.stringify({ status: "error", errorType: "bad_data", error })
})

export const notFound: Reply = {
  status: 404,
  headers: { "content-type": "text/plain" },
  body: "404 page not found"
}

export const matrix = (values: string): Reply => ({
  body: `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"m"},"values":${values}}]}}`
})

export const samples = matrix('[[1767225600,"7"]]')

/** What a server without peculiarities responds; `own` comes first. */
export const reply = (request: Received, own: (request: Received) => Reply | undefined): Reply => {
  const given = own(request)
  if (given !== undefined) return given
  switch (request.path) {
    case "/api/v1/query":
      return request.params.get("query") === "time()"
        ? { body: clockJson("1767225600") }
        : refused(400, 'unknown function with name "default_rollup"')
    case "/api/v1/query_range":
      return samples
    case "/api/v1/labels":
      return success(["__name__", "job"])
    case "/api/v1/metadata":
      return success({ m: [{ type: "gauge", help: "M.", unit: "" }] })
    default:
      return /^\/api\/v1\/label\/.*\/values$/.test(request.path) ? success(["m"]) : notFound
  }
}

export const receive = async (request: IncomingMessage): Promise<Received> => {
  const { pathname, searchParams } = addressOf(request)
  let body = ""
  for await (const chunk of request) body += chunk
  const params = new URLSearchParams(body)
  for (const [name, value] of searchParams) params.append(name, value)
  return {
    method: request.method ?? "",
    path: pathname,
    params,
    addressParams: searchParams,
    headers: request.headers
  }
}

/** A client of a server with some peculiarities. Without a reply (`undefined`), it never responds. */
export const withServer = <A, E>(
  own: (request: Received) => Reply | undefined | "silence",
  use: (
    client: Client,
    received: ReadonlyArray<Received>,
    logs: ReadonlyArray<string>
  ) => Effect.Effect<A, E>,
  config: object = {}
) =>
  Effect.gen(function* () {
    const received: Array<Received> = []
    const logs: Array<string> = []
    const handle = async (request: IncomingMessage, response: ServerResponse) => {
      const one = await receive(request)
      received.push(one)
      const first = own(one)
      if (first === "silence") return
      const { body, headers, status = 200 } = reply(one, () => first)
      response.writeHead(status, { "content-type": "application/json", ...headers })
      response.end(body)
    }
    const baseUrl = yield* serveRaw((request, response) => void handle(request, response))
    const settings = ConnectorConfig.layerFrom({
      base_url: baseUrl,
      start_date: "2026-01-01",
      max_retries: 0,
      ...config
    })
    const services = yield* Layer.build(Layer.provide(PrometheusClient.layer, settings))
    const client = yield* Effect.provide(PrometheusClient, services)
    const logger = Logger.make(
      ({ logLevel, message }) => void logs.push(`${logLevel} ${[message].flat().join(" ")}`)
    )
    return yield* use(client, received, logs).pipe(Effect.provide(Logger.layer([logger])))
  }).pipe(Effect.scoped)

export const valuesOf = (client: Client, overrides: Partial<typeof query> = {}) =>
  client.queryRange({ ...query, ...overrides }).pipe(
    Effect.flatMap((blocks) => Stream.runCollect(blocks)),
    Effect.map((blocks: ReadonlyArray<SampleBlock>) =>
      blocks.flatMap(
        (block): Array<unknown> =>
          block._tag === "TextBlock" ? Array.from(block.times, (_, i) => textAt(block, i)) : [block]
      )
    ),
    Effect.scoped
  )

export const to = (path: string, received: ReadonlyArray<Received>) =>
  received.filter((request) => request.path === path)

export const rangeRequests = (received: ReadonlyArray<Received>) => to("/api/v1/query_range", received)

export const store = (name: string, lastError: unknown) => ({
  name,
  lastCheck: "2026-01-01T00:00:00Z",
  lastError,
  labelSets: [],
  minTime: 0,
  maxTime: 1
})

export const thanos =
  (stores: () => Reply | "silence" = () => success({ sidecar: [store("a:10901", null)] })) =>
  ({ path }: Received) => {
    if (path === "/api/v1/stores") return stores()
    return path === "/api/v1/status/buildinfo"
      ? success({ version: "2.42.0", goVersion: "go1.26" })
      : undefined
  }
