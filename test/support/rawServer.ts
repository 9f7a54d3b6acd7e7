/** A server on loopback that sends arbitrary bytes, one by one if a test needs that. */
import { once } from "node:events"
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { setTimeout } from "node:timers/promises"
import { Effect, type Scope } from "effect"

/** Listens on a free port until the scope closes. */
export const serveRaw = (listener: RequestListener): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(listener)
      await once(server.listen(0, "127.0.0.1"), "listening")
      return server
    }),
    (server) =>
      Effect.promise(() => {
        const closed = once(server, "close")
        server.close()
        server.closeAllConnections()
        return closed
      })
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

/** The path and parameters of a request. */
export const addressOf = (request: IncomingMessage): URL => new URL(request.url ?? "/", "http://server")

/** Sends a body piece by piece, until it ends or the client disconnects. */
export const send = (
  response: ServerResponse,
  body: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>,
  headers: Readonly<Record<string, string>> = {},
  status = 200
): void => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  // A client that disconnects does not receive the rest.
  pipeline(Readable.from(body, { objectMode: false }), response).catch(() => {})
}

/** An endless body: a beginning, and then the same piece repeatedly. */
export function* endless(beginning: string | Uint8Array, piece: string | Uint8Array) {
  yield beginning
  for (;;) yield piece
}

/** A text, byte by byte with pauses in between. */
export async function* drip(text: string, pauseMillis: number) {
  for (const byte of text) {
    yield byte
    await setTimeout(pauseMillis)
  }
}

/** The response to `time()`. */
export const clockJson = (seconds: string): string =>
  `{"status":"success","data":{"resultType":"scalar","result":[0,${JSON.stringify(seconds)}]}}`
