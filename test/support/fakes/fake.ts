/**
 * Fakes of backends: an HTTP server on loopback in front of a real Prometheus, which changes requests and responses as another
 * backend would. A fake is a list of layers; the first one sees a request first, and its response last.
 */
import { once } from "node:events"
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse
} from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"

/** A request. Layers may send a changed copy of it on. */
export interface Ask {
  readonly method: string
  /** The path and the query, as they were sent. */
  readonly target: string
  readonly path: string
  /** Those of the address, or of the form. */
  readonly params: URLSearchParams
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  /** The body, as it was sent. */
  readonly body: Buffer
}

/** A response, or something else that happens to a connection. */
export type Answer =
  | {
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: Buffer
      /** The connection ends after so many bytes of the body, whose length was announced. */
      readonly cutAt?: number
    }
  /** Nothing is ever sent. */
  | "silence"
  | "reset"

type Response = Exclude<Answer, string>

export type Layer = (ask: Ask, next: (ask: Ask) => Promise<Answer>) => Answer | Promise<Answer>

/** A running fake. */
export interface Fake {
  readonly baseUrl: string
  /** All requests so far, as the client sent them. */
  readonly requests: ReadonlyArray<Ask>
  /** The requests for this endpoint, such as `/api/v1/labels`. */
  readonly requestsOf: (path: string | RegExp) => ReadonlyArray<Ask>
}

/** Runs a fake until the scope closes. `upstream` is the address of the real server. */
export const fake = (
  upstream: string,
  ...layers: ReadonlyArray<Layer>
): Effect.Effect<Fake, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => open(upstream, layers)),
      ({ close }) => Effect.promise(close)
    ),
    ({ running }) => running
  )

const open = async (upstream: string, layers: ReadonlyArray<Layer>) => {
  const requests: Array<Ask> = []
  const agent = new Agent({ keepAlive: true })
  let failure: unknown
  const last = (ask: Ask): Promise<Answer> => forward(upstream, agent, ask)
  const handle = layers.reduceRight<(ask: Ask) => Promise<Answer>>(
    (next, layer) => async (ask) => layer(ask, next),
    last
  )
  const server = createServer((request, response) => {
    const respond = async () => {
      const ask = await received(request)
      requests.push(ask)
      deliver(response, await handle(ask))
    }
    respond().catch((error: unknown) => {
      // A client may leave while its request is forwarded; anything else is a bug in a layer.
      if (!request.destroyed) failure ??= error
      request.socket.destroy()
    })
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const running: Fake = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    requestsOf: (path) =>
      requests.filter((ask) => (typeof path === "string" ? ask.path === path : path.test(ask.path)))
  }
  const close = async () => {
    const closed = once(server, "close")
    server.close()
    server.closeAllConnections()
    await closed
    agent.destroy()
    if (failure !== undefined) throw failure
  }
  return { close, running }
}

const received = async (request: IncomingMessage): Promise<Ask> => {
  const url = new URL(request.url ?? "/", "http://fake")
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const params = new URLSearchParams(url.search)
  for (const [name, value] of new URLSearchParams(body.toString())) params.append(name, value)
  return {
    method: request.method ?? "GET",
    target: request.url ?? "/",
    path: url.pathname,
    params,
    body,
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, `${value}`]))
  }
}

/** Sends a request to the real server, always as a form or an address that it accepts, and without compression. */
const forward = async (upstream: string, agent: Agent, ask: Ask): Promise<Answer> => {
  const { hostname, pathname, port } = new URL(upstream)
  const form = `${ask.params}`
  const isForm = ask.method === "POST"
  const path = `${pathname.replace(/\/$/, "")}${ask.path}${isForm || form === "" ? "" : `?${form}`}`
  const outgoing = httpRequest({
    agent,
    hostname,
    port,
    method: ask.method,
    path,
    headers: isForm ? { "content-type": "application/x-www-form-urlencoded" } : {}
  })
  outgoing.end(isForm ? form : undefined)
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage]
  const chunks: Array<Buffer> = []
  for await (const chunk of incoming) chunks.push(chunk)
  const headers: Record<string, string> = {}
  for (const name of ["content-type", "date"]) {
    const value = incoming.headers[name]
    if (typeof value === "string") headers[name] = value
  }
  return { status: incoming.statusCode ?? 0, headers, body: Buffer.concat(chunks) }
}

const deliver = (response: ServerResponse, answer: Answer): void => {
  if (answer === "silence") return
  if (answer === "reset") return void response.socket?.resetAndDestroy()
  const { body, cutAt, headers, status } = answer
  response.writeHead(status, { ...headers, "content-length": `${body.length}` })
  if (cutAt === undefined || cutAt >= body.length) return void response.end(body)
  response.write(body.subarray(0, cutAt), () => response.socket?.end())
}

// ---- responses ------------------------------------------------------------------------------------------

/** A JSON response. */
export const json = (
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {}
): Response => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: Buffer.from(JSON.stringify(body))
})

/** A successful response of Prometheus' API. */
export const success = (data: unknown, more: object = {}): Response =>
  json(200, { status: "success", data, ...more })

/** An error of Prometheus' API. */
export const refusal = (status: number, error: unknown, errorType = "execution"): Response =>
  json(status, { status: "error", errorType, error })

/** A text that is not JSON. */
export const text = (status: number, body: string, type = "text/plain; charset=utf-8"): Response => ({
  status,
  headers: { "content-type": type },
  body: Buffer.from(body)
})

/** Prometheus' envelope, as far as layers change it. */
export interface Envelope {
  readonly status: string
  readonly data: unknown
  readonly [member: string]: unknown
}

/** Changes the JSON of a success; other responses stay as they are. */
export const changeJson = (answer: Answer, change: (envelope: Envelope) => object): Answer =>
  typeof answer === "string" || answer.status !== 200
    ? answer
    : { ...answer, body: Buffer.from(JSON.stringify(change(JSON.parse(answer.body.toString()) as Envelope))) }

/** Adds members beside `data`, such as `warnings`, to successes. */
export const withMembers = (answer: Answer, members: object): Answer =>
  changeJson(answer, (envelope) => ({ ...envelope, ...members }))

/** Adds headers to a response. */
export const withHeaders = (answer: Answer, headers: Readonly<Record<string, string>>): Answer =>
  typeof answer === "string" ? answer : { ...answer, headers: { ...answer.headers, ...headers } }

// ---- requests -------------------------------------------------------------------------------------------

/** The endpoints that a layer may be about. */
export const isRange = ({ path }: Ask): boolean => path.endsWith("/api/v1/query_range")
export const isInstant = ({ path }: Ask): boolean => path.endsWith("/api/v1/query")
export const isList = ({ path }: Ask): boolean =>
  /\/api\/v1\/(labels|series|label\/[^/]+\/values)$/.test(path)
export const isNames = ({ path }: Ask): boolean => path.endsWith("/api/v1/label/__name__/values")

/** The range of a request in milliseconds; of an instant query, the one moment. */
export interface Span {
  readonly start: number
  readonly end: number
  readonly step: number
}

const millis = (text: string | null): number =>
  text === null || text === ""
    ? Number.NaN
    : /^[\d.]+$/.test(text)
      ? Math.round(Number(text) * 1000)
      : Date.parse(text)

/** The range of a request. A list without a start or an end has all of the past or the future. */
export const spanOf = (ask: Ask): Span => {
  const { params } = ask
  if (isInstant(ask)) {
    const time = params.has("time") ? millis(params.get("time")) : Date.now()
    return { start: time, end: time, step: 1000 }
  }
  return {
    start: params.has("start") ? millis(params.get("start")) : 0,
    end: params.has("end") ? millis(params.get("end")) : Date.now(),
    step: Number(params.get("step") ?? 1) * 1000
  }
}

/** The number of points of a range query. */
export const pointsOf = (ask: Ask): number => {
  const { end, start, step } = spanOf(ask)
  return Math.floor((end - start) / step) + 1
}

/** The same request with other parameters; `undefined` removes one. */
export const withParams = (ask: Ask, changes: Readonly<Record<string, string | undefined>>): Ask => {
  const params = new URLSearchParams(ask.params)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) params.delete(name)
    else params.set(name, value)
  }
  return { ...ask, params }
}

/** The selectors of a request: a single name, or the braces of its `query`, or its `match[]`. */
export const selectorsOf = ({ params }: Ask): ReadonlyArray<string> => {
  const texts = params.has("query") ? [params.get("query") ?? ""] : params.getAll("match[]")
  return texts.flatMap((text) => text.match(selector) ?? (/^[a-zA-Z_:][\w:]*$/.test(text) ? [text] : []))
}

/** A name, or braces with quoted texts, which may have braces inside. */
const selector = /[a-zA-Z_:][\w:]*\{(?:"(?:\\.|[^"\\])*"|[^"}])*\}|\{(?:"(?:\\.|[^"\\])*"|[^"}])*\}/g

/** The metric that a request names exactly. */
export const metricOf = (ask: Ask): string | undefined => {
  const [first = ""] = selectorsOf(ask)
  return (
    /__name__="([^"]*)"/.exec(first)?.[1] ??
    /^([a-zA-Z_:][\w:]*)\{/.exec(first)?.[1] ??
    /^\{"([^"]*)"/.exec(first)?.[1]
  )
}

/** The same request, for those of its series that a matcher such as `store!="b"` leaves. */
export const withMatcher = (ask: Ask, matcher: string): Ask => {
  const narrow = (text: string): string =>
    text.replace(selector, (all) => all.replace("{", `{${matcher}${/\{\s*\}$/.test(all) ? "" : ","}`))
  const params = new URLSearchParams(ask.params)
  if (params.has("query")) params.set("query", narrow(params.get("query") ?? ""))
  const matches = params.getAll("match[]")
  if (matches.length > 0) {
    params.delete("match[]")
    for (const match of matches) params.append("match[]", narrow(match))
  } else if (isList(ask)) params.set("match[]", `{__name__!="",${matcher}}`)
  return { ...ask, params }
}

/** One series of a range query's response. */
export interface Matrix {
  readonly metric: Readonly<Record<string, string>>
  readonly values: ReadonlyArray<readonly [seconds: number, value: string]>
}

/** Changes the series of a range query's success, and leaves out those that become empty. */
export const changeMatrix = (answer: Answer, change: (series: Matrix) => Matrix): Answer =>
  changeJson(answer, (envelope) => {
    const data = envelope.data as { readonly resultType: string; readonly result: ReadonlyArray<Matrix> }
    const result = data.result.map(change).filter(({ values }) => values.length > 0)
    return { ...envelope, data: { ...data, result } }
  })
