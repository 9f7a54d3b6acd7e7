/** Node's agents, with connections through proxies, and with the certificates that a server presented if TLS fails. */
import { X509Certificate } from "node:crypto"
import type * as Http from "node:http"
import { connect as connectTcp, isIP } from "node:net"
import type { Duplex } from "node:stream"
import {
  type ConnectionOptions,
  connect as connectTls,
  type DetailedPeerCertificate,
  type TLSSocket
} from "node:tls"
import { Result } from "effect"
import { http, https } from "./nodeHttp.ts"
import { PROXY_TIMEOUT, ProxyFailure } from "./ProxyFailure.ts"
import type { Proxy, ProxyChoice, Server } from "./proxies.ts"

/** How to connect. */
export interface AgentSettings {
  readonly proxyFor: ProxyChoice
  /** The options of TLS for servers. */
  readonly tls: () => ConnectionOptions
  /** The options of TLS for proxies, which get no certificate of the client. */
  readonly proxyTls: () => ConnectionOptions
  /** How long a proxy may take to connect. */
  readonly timeoutMillis: number
}

type Created = (error: Error | null, socket: Duplex) => void

/** What the agent gets beside an error. With a socket, it would report that one's error instead. */
const noSocket = undefined as unknown as Duplex

type Tunnel = Result.Result<Duplex, ProxyFailure>

const common = { keepAlive: true, scheduling: "fifo" } as const

/** Forwards requests to servers without TLS through a proxy, by their complete address (RFC 9112, section 3.2.2). */
export class ForwardingAgent extends http.Agent {
  private readonly settings: AgentSettings

  constructor(settings: AgentSettings) {
    super(common)
    this.settings = settings
  }

  /** Called by Node with each request, before its head is written. */
  addRequest(
    request: Http.ClientRequest,
    options: Http.ClientRequestArgs,
    ...rest: ReadonlyArray<unknown>
  ): void {
    const proxy = Result.getOrUndefined(this.settings.proxyFor(serverOf(options, "http:")))
    if (proxy !== undefined) {
      // Some proxies end the connection after a response without saying so: the next request would be lost.
      request.shouldKeepAlive = false
      request.path = `http://${request.getHeader("host")}${request.path}`
      if (proxy.authorization !== undefined) request.setHeader("proxy-authorization", proxy.authorization)
    }
    addRequest.call(this, request, options, ...rest)
  }

  override createConnection(options: Http.ClientRequestArgs, callback?: Created) {
    const proxy = this.settings.proxyFor(serverOf(options, "http:"))
    if (Result.isFailure(proxy)) return failed(proxy.failure, callback)
    return proxy.success === undefined
      ? super.createConnection(options, callback)
      : connectToProxy(proxy.success, this.settings)
  }
}

// Not declared by the types, but overridden by agents of all kinds since Node has them.
const { addRequest } = http.Agent.prototype as unknown as {
  readonly addRequest: (this: Http.Agent, ...args: ReadonlyArray<unknown>) => void
}

/** Connects to servers with TLS through a tunnel of a proxy (RFC 9110, section 9.3.6). */
export class TunnellingAgent extends https.Agent {
  private readonly settings: AgentSettings
  private readonly pending = new Set<Http.ClientRequest>()

  constructor(settings: AgentSettings) {
    super(common)
    this.settings = settings
  }

  override createConnection(options: Http.ClientRequestArgs, callback?: Created) {
    const server = serverOf(options, "https:")
    const proxy = this.settings.proxyFor(server)
    if (Result.isFailure(proxy)) return failed(proxy.failure, callback)
    if (proxy.success === undefined) return this.secure(options, callback)
    this.openTunnel(proxy.success, server, (tunnel) => {
      if (Result.isFailure(tunnel)) return callback?.(tunnel.failure, noSocket)
      const secured = { ...options, socket: tunnel.success } as Http.ClientRequestArgs
      callback?.(null, this.secure(secured))
    })
    return undefined
  }

  override destroy(): void {
    for (const request of this.pending) request.destroy()
    super.destroy()
  }

  /** Connects with TLS, and keeps the certificates of the server for the message of a failure. */
  private secure(options: Http.ClientRequestArgs, callback?: Created) {
    const secured = { ...options, ...this.settings.tls() } as Http.ClientRequestArgs
    const socket = super.createConnection(secured, callback) as TLSSocket
    let chain: ReadonlyArray<Buffer> = []
    // The certificates cannot be read any more when the error is reported.
    socket.prependListener("secure", () => {
      chain = chainOf(socket.getPeerCertificate(true))
    })
    socket.prependListener("error", (error) => peers.set(error, chain))
    return socket
  }

  private openTunnel(proxy: Proxy, { host, port }: Server, done: (tunnel: Tunnel) => void): void {
    const { settings } = this
    const { timeoutMillis } = settings
    const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
    const request = http.request({
      method: "CONNECT",
      path: authority,
      headers: {
        host: authority,
        "user-agent": "source-prometheus",
        ...(proxy.authorization === undefined ? {} : { "proxy-authorization": proxy.authorization })
      },
      createConnection: () => connectToProxy(proxy, settings)
    })
    this.pending.add(request)
    const fail = (failure: ProxyFailure) => done(Result.fail(failure))
    const timer = setTimeout(() => {
      const what = `did not connect to ${authority} within ${timeoutMillis / 1000} s`
      request.destroy(Object.assign(new Error(what), { code: PROXY_TIMEOUT }))
    }, timeoutMillis)
    request.once("close", () => {
      clearTimeout(timer)
      this.pending.delete(request)
    })
    request.once("error", (cause) =>
      fail(new ProxyFailure("The proxy did not connect.", proxy, undefined, { cause }))
    )
    // Called with any status.
    request.once("connect", (response, socket, head) => {
      clearTimeout(timer)
      if (response.statusCode === undefined || response.statusCode < 200 || response.statusCode > 299) {
        socket.destroy()
        return fail(refusal(proxy, response))
      }
      if (head.length > 0) socket.unshift(head)
      done(Result.succeed(socket))
    })
    // Some proxies would take it to mean the tunnel.
    request.removeHeader("connection")
    request.end()
  }
}

/** What a proxy responded, as a failure. */
const refusal = (proxy: Proxy, { headers, statusCode, statusMessage }: Http.IncomingMessage): ProxyFailure =>
  new ProxyFailure("The proxy refused to connect.", proxy, {
    status: statusCode ?? 0,
    text: [statusMessage ?? "", String(headers["x-squid-error"] ?? "")]
      .filter((text) => text !== "")
      .join(", "),
    challenge: headers["proxy-authenticate"]?.toString()
  })

const peers = new WeakMap<object, ReadonlyArray<Buffer>>()

/** The certificates of the server, its own first, if TLS failed with this error after they were received. */
export const peerOf = (error: object): ReadonlyArray<X509Certificate> =>
  (peers.get(error) ?? []).map((certificate) => new X509Certificate(certificate))

/** A certificate and those of the authorities above it. A root is its own authority. */
const chainOf = (peer: DetailedPeerCertificate): ReadonlyArray<Buffer> => {
  const chain: Array<Buffer> = []
  let next: DetailedPeerCertificate | undefined = peer
  // A server without a certificate has an empty one.
  while (next?.raw !== undefined && chain.length < MAX_CHAIN && !chain.some((raw) => raw.equals(next!.raw))) {
    chain.push(next.raw)
    next = next.issuerCertificate
  }
  return chain
}

const MAX_CHAIN = 10

const failed = (problem: string, callback: Created | undefined): undefined => {
  // The agent expects the callback after this call.
  process.nextTick(() => callback?.(new ProxyFailure(problem), noSocket))
  return undefined
}

const serverOf = ({ host, port }: Http.ClientRequestArgs, protocol: Server["protocol"]): Server => ({
  protocol,
  host: (host ?? "localhost").replace(/^\[(.*)\]$/, "$1"),
  port: Number(port ?? (protocol === "https:" ? 443 : 80))
})

const connectToProxy = ({ host, port, protocol }: Proxy, { proxyTls }: AgentSettings): Duplex =>
  protocol === "http:"
    ? connectTcp({ host, port })
    : connectTls({ ...proxyTls(), host, port, ...(isIP(host) === 0 ? { servername: host } : {}) })
