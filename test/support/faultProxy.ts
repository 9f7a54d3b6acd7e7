/**
 * A proxy in front of a server that injects faults: into connections, framing, bodies and entire responses.
 *
 * It implements HTTP on sockets, because no HTTP library would produce most of these faults. A plan defines which
 * request gets which fault. Random choices of a plan depend on its seed and the request, never on the order in which
 * requests arrive, so that a seed is reproducible.
 */
import { once } from "node:events"
import { Agent, request as httpRequest } from "node:http"
import { createServer, type Server, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { createServer as createTlsServer } from "node:tls"
import { gunzipSync } from "node:zlib"
import { Effect, type Scope } from "effect"
import { Choices } from "../choices.ts"

/** A request as the proxy saw it. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly params: URLSearchParams
  /** The path with its query, as it was sent. */
  readonly target: string
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  /** The metric that a range query requests. */
  readonly metric: string | undefined
  /** The number of different requests before this one, for the same metric, or else for the same path. */
  readonly ordinal: number
  /** How often the same request was sent before. */
  readonly attempt: number
  /** When it arrived, in milliseconds since the epoch. */
  readonly atMillis: number
}

/** A response: the server's, or a made-up one. */
export interface ProxiedResponse {
  readonly status: number
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: Buffer
}

/** How the end of a body is marked: by its length, in chunks, or by the end of the connection. */
export type Framing = "length" | "chunks" | "close"

/** A position in a response's bytes: after that share of its head or of its framed body. */
export type Place = { readonly part: "head" | "body"; readonly share: number }

export const atOnce: Place = { part: "head", share: 0 }

/** What happens to a request. */
export type Fault =
  /** The connection is reset, or ends with a FIN as if all were well. */
  | { readonly type: "break"; readonly how: "reset" | "end"; readonly at: Place }
  /** Nothing more is sent, but the connection stays open. */
  | { readonly type: "stall"; readonly at: Place }
  /** The complete response is sent, so many bytes at a time. */
  | { readonly type: "trickle"; readonly bytes: number; readonly everyMillis: number }
  /** Another response, or another body of the server's response, with correct framing. */
  | { readonly type: "change"; readonly to: (response: ProxiedResponse) => ProxiedResponse }
  /** A response without a request to the server. */
  | { readonly type: "response"; readonly response: ProxiedResponse }
  /** Content-Length is off by so many bytes; after the body, the connection ends or stays open. */
  | { readonly type: "wrong length"; readonly off: number; readonly after: "end" | "stay" }
  /** The message has wrong chunks. `share` selects the wrong chunk. */
  | { readonly type: "wrong chunks"; readonly how: WrongChunks; readonly share: number }
  /** The head is replaced, and the body is unchanged. */
  | { readonly type: "wrong head"; readonly head: (length: number) => string }

export type WrongChunks =
  | "size is no number"
  | "size is too large"
  | "size is too small"
  | "ends early"
  | "no end"

/** Chooses the fault of a request, if any; a promise delays the request until it resolves. */
export type Plan = (request: SeenRequest) => Fault | undefined | Promise<Fault | undefined>

export interface FaultProxyOptions {
  /** The server's address; its path is kept. */
  readonly upstream: string
  /** Without a plan, there are no faults. */
  readonly plan?: Plan
  /** How responses are framed; random by default. */
  readonly framing?: Framing
  /** The seed for random framing. */
  readonly seed?: number
  /** Use TLS. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

export interface FaultProxy {
  /** Its address, with the path of the upstream. */
  readonly baseUrl: string
  readonly port: number
  /** The requests so far. */
  readonly requests: ReadonlyArray<SeenRequest>
  /** The requests that got a fault. */
  readonly hits: ReadonlyArray<SeenRequest>
  /** Refuses connections from now on, and resets the open ones. */
  readonly leave: () => Promise<void>
  /** Accepts connections again, at the same address. */
  readonly comeBack: () => Promise<void>
}

/** Runs a proxy until the scope closes. */
export const make = (options: FaultProxyOptions): Effect.Effect<FaultProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const proxy = new Proxy(options)
      await proxy.comeBack()
      return proxy
    }),
    (proxy) => Effect.promise(() => proxy.close())
  )

/** Choices that depend only on a seed and the contents of a request. */
export const choicesOf = (
  seed: number,
  { attempt, metric, ordinal, path }: Pick<SeenRequest, "attempt" | "metric" | "ordinal" | "path">
): Choices => {
  // FNV-1a
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(JSON.stringify([seed, metric ?? path, ordinal, attempt]))) {
    hash = Math.imul(hash ^ byte, 0x01000193)
  }
  return new Choices(hash, Number.POSITIVE_INFINITY)
}

/** A share, from 0 to nearly 1. */
export const someShare = (choices: Choices): number => choices.below(1_000_000) / 1_000_000

/** Changes the body of a response. Error responses are unchanged: their text has no format that could be wrong. */
export const changeBody = (change: (body: Buffer) => Buffer): Fault => ({
  type: "change",
  to: (response) => (response.status === 200 ? { ...response, body: change(response.body) } : response)
})

/** Adds warnings to the server's response, as if some of its own sources had not responded. Decompresses gzip. */
export const withWarnings = (...warnings: ReadonlyArray<string>): Fault => ({
  type: "change",
  to: ({ body, headers, status }) => {
    const isPacked = headers.some(([name]) => name === "content-encoding")
    const text = (isPacked ? gunzipSync(body) : body).toString()
    return {
      status,
      headers: headers.filter(([name]) => name !== "content-encoding"),
      body: Buffer.from(text.replace(/^\{/, () => `{"warnings":${JSON.stringify(warnings)},`))
    }
  }
})

/** A made-up response; text that begins like HTML is sent as HTML, everything else as JSON. */
export const response = (
  status: number,
  body: string | object = "",
  headers: Readonly<Record<string, string>> = {}
): Fault => {
  const text = typeof body === "string" ? body : JSON.stringify(body)
  const type =
    typeof body === "object" ? "application/json" : text.startsWith("<") ? "text/html" : "text/plain"
  return {
    type: "response",
    response: {
      status,
      headers: Object.entries({ "Content-Type": type, ...headers }),
      body: Buffer.from(text)
    }
  }
}

class Proxy implements FaultProxy {
  readonly requests: Array<SeenRequest> = []
  readonly hits: Array<SeenRequest> = []
  port = 0
  private readonly options: FaultProxyOptions
  private readonly upstream: URL
  private readonly agent = new Agent({ keepAlive: true })
  private readonly sockets = new Set<Socket>()
  private server: Server | undefined
  /** A bug in a plan or in this proxy, thrown when the scope closes. */
  private failure: unknown

  constructor(options: FaultProxyOptions) {
    this.options = options
    this.upstream = new URL(options.upstream)
  }

  get baseUrl(): string {
    const path = this.upstream.pathname.replace(/\/$/, "")
    return `${this.options.tls === undefined ? "http" : "https"}://127.0.0.1:${this.port}${path}`
  }

  async comeBack(): Promise<void> {
    const accept = (socket: Socket): void => {
      this.sockets.add(socket)
      socket.setNoDelay(true)
      // Clients break connections too: that is not an error of the proxy.
      socket.on("error", () => {})
      socket.once("close", () => this.sockets.delete(socket))
      this.serve(socket)
    }
    const { tls } = this.options
    // A client that does not trust the certificate aborts the handshake, which closes the socket.
    this.server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept)
    this.server.listen(this.port, "127.0.0.1")
    await once(this.server, "listening")
    this.port = (this.server.address() as { port: number }).port
  }

  async leave(): Promise<void> {
    const { server } = this
    if (server === undefined) return
    this.server = undefined
    const closed = once(server, "close")
    server.close()
    for (const socket of this.sockets) this.reset(socket)
    await closed
  }

  async close(): Promise<void> {
    await this.leave()
    this.agent.destroy()
    if (this.failure !== undefined) throw this.failure
  }

  private reset(socket: Socket): void {
    if (this.options.tls === undefined) socket.resetAndDestroy()
    else socket.destroy()
  }

  /** Serves one connection, one request after the other. */
  private serve(socket: Socket): void {
    let unread = Buffer.alloc(0)
    const take = (): { readonly head: string; readonly body: Buffer } | undefined => {
      const end = unread.indexOf("\r\n\r\n")
      if (end < 0) return undefined
      const head = unread.subarray(0, end).toString("latin1")
      const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
      const next = end + 4 + length
      if (unread.length < next) return undefined
      const body = unread.subarray(end + 4, next)
      unread = unread.subarray(next)
      return { body, head }
    }
    const answerAll = async (): Promise<void> => {
      for (let next = take(); next !== undefined && socket.writable; next = take()) {
        await this.respond(socket, this.see(next.head, next.body.toString()), next.body)
      }
    }
    let answered = Promise.resolve()
    socket.on("data", (chunk) => {
      unread = Buffer.concat([unread, chunk])
      answered = answered.then(answerAll).catch((error: unknown) => {
        this.failure ??= error
        socket.destroy()
      })
    })
  }

  private see(head: string, body: string): SeenRequest {
    const [first = "", ...lines] = head.split("\r\n")
    const [method = "", target = ""] = first.split(" ")
    const url = new URL(target, "http://proxy")
    const params = new URLSearchParams(method === "POST" ? body : url.search)
    const metric = url.pathname.endsWith("/query_range")
      ? /__name__="([^"]*)"/.exec(params.get("query") ?? "")?.[1]
      : undefined
    const subject = metric ?? url.pathname
    const earlier = this.requests.filter((request) => (request.metric ?? request.path) === subject)
    const asked = `${params}`
    const same = earlier.filter((request) => `${request.params}` === asked)
    const request: SeenRequest = {
      method,
      path: url.pathname,
      params,
      target,
      headers: new Map(
        lines.map((line) => {
          const colon = line.indexOf(":")
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
        })
      ),
      metric,
      ordinal: same[0]?.ordinal ?? new Set(earlier.map(({ params }) => `${params}`)).size,
      attempt: same.length,
      atMillis: Date.now()
    }
    this.requests.push(request)
    return request
  }

  private async respond(socket: Socket, request: SeenRequest, body: Buffer): Promise<void> {
    const fault = await this.options.plan?.(request)
    if (fault !== undefined) this.hits.push(request)
    let response: ProxiedResponse
    try {
      response = fault?.type === "response" ? fault.response : await this.ask(request, body)
    } catch {
      // The server is down, so the proxy behaves the same.
      return this.reset(socket)
    }
    if (fault?.type === "change") response = fault.to(response)
    const choices = choicesOf(this.options.seed ?? 0, request)
    const framing =
      fault?.type === "wrong chunks"
        ? "chunks"
        : (this.options.framing ?? choices.pick<Framing>(["length", "chunks", "close"]))
    const { framed, head } = message(response, framing, choices, fault)
    const complete = Buffer.concat([head, framed])
    const place = ({ part, share }: Place): number =>
      part === "head" ? Math.floor(share * head.length) : head.length + Math.floor(share * framed.length)

    switch (fault?.type) {
      case "break":
        await write(socket, complete.subarray(0, place(fault.at)))
        if (fault.how === "end") return void socket.end()
        // A reset discards unread data: let the client read some of it first.
        await sleep(20)
        return this.reset(socket)
      case "stall":
        await write(socket, complete.subarray(0, place(fault.at)))
        if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve))
        return
      case "trickle":
        for (let at = 0; at < complete.length && !socket.destroyed; at += fault.bytes) {
          await write(socket, complete.subarray(at, at + fault.bytes))
          await sleep(fault.everyMillis)
        }
        break
      default:
        await write(socket, complete)
    }
    const ends = framing === "close" || (fault?.type === "wrong length" && fault.after === "end")
    if (ends) socket.end()
  }

  /** The server's response, still compressed. */
  private async ask(request: SeenRequest, body: Buffer): Promise<ProxiedResponse> {
    const outgoing = httpRequest({
      agent: this.agent,
      host: this.upstream.hostname,
      port: this.upstream.port,
      method: request.method,
      path: request.target,
      headers: { ...Object.fromEntries(request.headers), host: this.upstream.host }
    })
    outgoing.end(body)
    const [incoming] = await once(outgoing, "response")
    const chunks: Array<Buffer> = []
    for await (const chunk of incoming) chunks.push(chunk)
    const headers: Array<readonly [string, string]> = []
    for (const name of ["content-type", "content-encoding", "date", "location"]) {
      const value = incoming.headers[name]
      if (typeof value === "string") headers.push([name, value])
    }
    return { status: incoming.statusCode, headers, body: Buffer.concat(chunks) }
  }
}

/** A response as bytes. */
const message = (
  { body, headers, status }: ProxiedResponse,
  framing: Framing,
  choices: Choices,
  fault: Fault | undefined
): { readonly head: Buffer; readonly framed: Buffer } => {
  if (fault?.type === "wrong head")
    return { head: Buffer.from(fault.head(body.length), "latin1"), framed: body }
  const off = fault?.type === "wrong length" ? fault.off : undefined
  const ending =
    off !== undefined || framing === "length"
      ? `Content-Length: ${Math.max(0, body.length + (off ?? 0))}`
      : framing === "chunks"
        ? "Transfer-Encoding: chunked"
        : "Connection: close"
  const lines = [
    `HTTP/1.1 ${status} Whatever`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ending
  ]
  const framed =
    framing === "chunks" && off === undefined
      ? chunked(body, choices, fault?.type === "wrong chunks" ? fault : undefined)
      : body
  return { head: Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), framed }
}

/** A body in chunks of random sizes. One of them may be wrong. */
const chunked = (
  body: Buffer,
  choices: Choices,
  wrong: Extract<Fault, { readonly type: "wrong chunks" }> | undefined
): Buffer => {
  const largest = choices.pick([100, 1000, 10_000])
  const chunks: Array<Buffer> = []
  for (let at = 0; at < body.length; ) {
    const size = choices.between(1, largest)
    chunks.push(body.subarray(at, at + size))
    at += size
  }
  const wrongAt = wrong === undefined ? -1 : Math.floor(wrong.share * chunks.length)
  const parts: Array<string | Buffer> = []
  for (const [index, chunk] of chunks.entries()) {
    const how = index === wrongAt ? wrong?.how : undefined
    if (how === "ends early") break
    const off = how === "size is too large" ? 1 : how === "size is too small" ? -1 : 0
    const size = how === "size is no number" ? "x" : (chunk.length + off).toString(16)
    parts.push(`${size}\r\n`, chunk, "\r\n")
  }
  if (wrong?.how !== "no end") parts.push("0\r\n\r\n")
  // The client takes whatever follows an early end for the next response.
  if (wrong?.how === "ends early") parts.push(...chunks.slice(wrongAt))
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)))
}

const write = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    if (bytes.length === 0 || socket.destroyed) resolve()
    else socket.write(bytes, () => resolve())
  })
