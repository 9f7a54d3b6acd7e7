/** The mock as a real HTTP server on loopback, for the demo and for tests of the executable. */
import { once } from "node:events"
import type * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { promises } from "node:stream"
import { Clock, Effect, type Scope } from "effect"
import { http } from "../prometheus/http/nodeHttp.ts"
import { type MockResponse, makeRequest } from "./http.ts"
import type { MockPrometheus } from "./MockPrometheus.ts"

/** A server that is listening. */
export interface MockServer {
  /** The `base_url` for a client, the mock's prefix included: `http://127.0.0.1:41234/prometheus`. */
  readonly baseUrl: string
}

/** The largest request body: it is kept in memory, and parameters need no more. */
const MAX_BODY_BYTES = 1_048_576

/** How long a client may take for the headers of a request, and for the complete request. */
const HEADERS_MILLIS = 20_000
const REQUEST_MILLIS = 60_000

/** How long a refused client can read the refusal before the connection is closed. */
const LINGER_MILLIS = 1000

/** Serves a mock on 127.0.0.1, on a free port unless one is given, until the scope closes; the clock is Effect's. */
export const make = Effect.fnUntraced(function* (
  mock: MockPrometheus,
  port = 0
): Effect.fn.Return<MockServer, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const serve = async (request: Http.IncomingMessage, response: Http.ServerResponse): Promise<void> => {
    // A client may go away at any time.
    request.on("error", () => {})
    response.on("error", () => {})
    try {
      const url = addressOf(request)
      if (url === undefined) return refuse(request, response, 400)
      const body = await bodyOf(request)
      if (body === undefined) return refuse(request, response, 413)
      const headers = Object.entries(request.headersDistinct).map(
        ([name, values = []]) => [name, values.join(", ")] as const
      )
      const received = makeRequest(request.method ?? "GET", url, headers, body)
      await send(response, mock.handle(received, clock.currentTimeMillisUnsafe()))
    } catch (error) {
      // The client went away, or there is a bug in the faults of a test, such as an invalid header.
      if (response.headersSent) response.destroy()
      else refuse(request, response, 500, `The mock failed: ${error}`)
    }
  }
  const server = http.createServer(
    { headersTimeout: HEADERS_MILLIS, requestTimeout: REQUEST_MILLIS, connectionsCheckingInterval: 5000 },
    serve
  )
  // A client that expects `100 Continue` is refused before it sends a body.
  server.on("checkContinue", (request: Http.IncomingMessage, response: Http.ServerResponse) => {
    if (!isTooLarge(request)) response.writeContinue()
    serve(request, response)
  })
  // As long as a real server's: a request must not arrive on a connection that is being closed.
  server.keepAliveTimeout = 300_000
  const listen = Effect.promise(() => once(server.listen(port, "127.0.0.1"), "listening"))
  yield* Effect.acquireRelease(listen, () => close(server))
  const address = server.address() as AddressInfo
  return { baseUrl: `http://127.0.0.1:${address.port}${mock.options.pathPrefix ?? ""}` }
})

/** A name or an address, and a port. */
const plainHost = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

/** The address of a request; undefined if it is invalid. */
const addressOf = ({ headers, url = "/" }: Http.IncomingMessage): URL | undefined => {
  const { host = "127.0.0.1" } = headers
  // Requests to proxies have the complete address, and servers understand it too.
  if (/^http:\/\//i.test(url)) return URL.parse(url) ?? undefined
  if (!url.startsWith("/") || !plainHost.test(host)) return undefined
  return URL.parse(`http://${host}${url}`) ?? undefined
}

const isTooLarge = ({ headers }: Http.IncomingMessage): boolean =>
  Number(headers["content-length"] ?? 0) > MAX_BODY_BYTES

/**
 * Refuses a request without reading the rest of it. The connection is closed a little later: with unread bytes, closing it at
 * once would reset it, and the client would not see the response.
 */
const refuse = (
  request: Http.IncomingMessage,
  response: Http.ServerResponse,
  status: 400 | 413 | 500,
  why = http.STATUS_CODES[status]
): void => {
  setTimeout(() => request.socket.destroy(), LINGER_MILLIS).unref()
  const body = Buffer.from(`${status} ${why}\n`)
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": body.length,
    connection: "close"
  })
  // `end` would close the connection.
  response.write(body)
}

const close = (server: Http.Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/** The body of a request; undefined if it is too large. */
const bodyOf = async (request: Http.IncomingMessage): Promise<Buffer | undefined> => {
  if (isTooLarge(request)) return undefined
  const chunks: Array<Buffer> = []
  let bytes = 0
  // Not destroyed, since the connection is needed for the response.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const send = async (response: Http.ServerResponse, reply: MockResponse): Promise<void> => {
  if (reply.delayMillis === Number.POSITIVE_INFINITY) return
  if (reply.delayMillis > 0) {
    await new Promise((resolve) => setTimeout(resolve, reply.delayMillis).unref())
  }
  const { socket } = response
  if (reply.ending === "reset") {
    socket?.resetAndDestroy()
    return
  }
  response.writeHead(reply.status, reply.headers)
  const isComplete = reply.ending === "complete"
  await promises.pipeline(reply.body, response, { end: isComplete })
  if (isComplete) return
  // Even if there is no body.
  response.flushHeaders()
  // Only after all bytes were sent, so that the client gets exactly that many.
  if (reply.ending === "cut") socket?.write("", () => socket.destroy())
}
