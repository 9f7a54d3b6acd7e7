import { once } from "node:events"
import { createServer, type Server } from "node:https"
import type { AddressInfo } from "node:net"
import type { TLSSocket } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpClient } from "effect/http"
import { ConnectorConfig } from "../../../src/config/ConnectorConfig.ts"
import { layerNode, TokenClient } from "../../../src/prometheus/http/nodeClients.ts"
import { selfSigned } from "../../support/selfSigned.ts"

/** A server that asks for a certificate, and responds with whether it got one. */
const serve = (pair: ReturnType<typeof selfSigned>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(
        { ...pair, requestCert: true, rejectUnauthorized: false },
        ({ socket }, response) => {
          response.end(`${(socket as TLSSocket).getPeerCertificate().raw !== undefined}`)
        }
      )
      await once(server.listen(0, "127.0.0.1"), "listening")
      return server
    }),
    (server) =>
      Effect.promise(async () => {
        const closed = once(server, "close")
        server.close()
        server.closeAllConnections()
        await closed
      })
  )

const urlOf = (server: Server) => `https://127.0.0.1:${(server.address() as AddressInfo).port}/`

const clients = Effect.gen(function* () {
  return { prometheus: yield* HttpClient.HttpClient, tokens: (yield* TokenClient)! }
})

const withTls = (tls: object) =>
  Layer.provide(
    layerNode,
    ConnectorConfig.layer({ base_url: "https://127.0.0.1", start_date: "2026-01-01", tls })
  )

const textFrom = (client: HttpClient.HttpClient, url: string) =>
  Effect.flatMap(client.get(url), ({ text }) => text)

describe("the client for tokens", () => {
  it.live("does not present the certificate that is meant for Prometheus", () =>
    Effect.gen(function* () {
      const pair = selfSigned()
      const client = selfSigned()
      const url = urlOf(yield* serve(pair))
      const tls = { ca_certificate: pair.cert, client_certificate: client.cert, client_key: client.key }
      const { prometheus, tokens } = yield* Effect.provide(
        Effect.flatMap(clients, ({ prometheus, tokens }) =>
          Effect.all({ prometheus: textFrom(prometheus, url), tokens: textFrom(tokens, url) })
        ),
        withTls(tls)
      )
      assert.deepStrictEqual([prometheus, tokens], ["true", "false"])
    })
  )

  it.live("verifies certificates although that of Prometheus is not verified", () =>
    Effect.gen(function* () {
      const url = urlOf(yield* serve(selfSigned()))
      const { prometheus, tokens } = yield* Effect.provide(
        Effect.flatMap(clients, ({ prometheus, tokens }) =>
          Effect.all({ prometheus: textFrom(prometheus, url), tokens: Effect.flip(textFrom(tokens, url)) })
        ),
        withTls({ verify: false })
      )
      assert.strictEqual(prometheus, "false")
      assert.strictEqual(tokens.reason._tag, "TransportError")
    })
  )
})
