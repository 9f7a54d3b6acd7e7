/** The mock as a real HTTP server on loopback, for the demo and for tests of the executable. */

import type * as Http from "node:http"
import { createRequire } from "node:module"
import { Clock, Effect, type Scope } from "effect"
import { type MockAnswer, makeRequest } from "./http.ts"
import type { MockPrometheus } from "./MockPrometheus.ts"

// Importing node:http as ESM evaluates its WebSocket exports, which loads undici: 30 ms that `require` does without.
const http: typeof Http = createRequire(import.meta.url)("node:http")

/** A server that is listening. */
export interface MockServer {
  /** The `base_url` for a client, the mock's prefix included: `http://127.0.0.1:41234/prometheus`. */
  readonly baseUrl: string
}

/** Serves a mock on 127.0.0.1, on a free port unless one is given, until the scope closes; the clock is Effect's. */
export const make = Effect.fnUntraced(function* (
  mock: MockPrometheus,
  port = 0
): Effect.fn.Return<MockServer, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const server = http.createServer((request, response) => {
    receive(request, (body) => {
      const url = new URL(`http://${request.headers.host ?? "127.0.0.1"}${request.url ?? "/"}`)
      const headers = Object.entries(request.headersDistinct).map(
        ([name, values]) => [name, (values ?? []).join(", ")] as const
      )
      const received = makeRequest(request.method ?? "GET", url, headers, body)
      respond(response, mock.handle(received, clock.currentTimeMillisUnsafe()))
    })
  })
  // As long as a real server: a client must not lose the race with a closing idle connection.
  server.keepAliveTimeout = 300_000
  yield* Effect.acquireRelease(listen(server, port), () => close(server))
  const address = server.address()
  const actual = address !== null && typeof address === "object" ? address.port : port
  return { baseUrl: `http://127.0.0.1:${actual}${mock.options.pathPrefix ?? ""}` }
})

const listen = (server: Http.Server, port: number) =>
  Effect.callback<void>((resume) => {
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", () => resume(Effect.void))
  })

const close = (server: Http.Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

const receive = (request: Http.IncomingMessage, done: (body: string) => void): void => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => done(Buffer.concat(chunks).toString("utf8")))
}

const respond = (response: Http.ServerResponse, answer: MockAnswer): void => {
  if (answer.delayMs === Number.POSITIVE_INFINITY) return
  if (answer.delayMs > 0) {
    const timer = setTimeout(() => send(response, answer), answer.delayMs)
    response.once("close", () => clearTimeout(timer))
  } else send(response, answer)
}

const send = (response: Http.ServerResponse, answer: MockAnswer): void => {
  if (answer.ending === "reset") {
    response.socket?.resetAndDestroy()
    return
  }
  response.writeHead(answer.status, answer.headers)
  const chunks = answer.body[Symbol.iterator]()
  const writeOn = (): void => {
    while (!response.destroyed) {
      const next = chunks.next()
      if (next.done === true) {
        finish(response, answer)
        return
      }
      if (!response.write(next.value)) {
        response.once("drain", writeOn)
        return
      }
    }
  }
  writeOn()
}

const finish = (response: Http.ServerResponse, answer: MockAnswer): void => {
  switch (answer.ending) {
    case "stall":
      response.flushHeaders()
      return
    case "cut":
      // Only after what was written has left, so that the client gets exactly that much.
      response.flushHeaders()
      response.socket?.write("", () => response.socket?.destroy())
      return
    default:
      response.end()
  }
}
