/** The built executable against servers with missing or outdated TLS, and in environments that disable its verification. */
import { once } from "node:events"
import { createServer as createPlainServer } from "node:http"
import { createServer, type ServerOptions } from "node:https"
import type { AddressInfo, Server } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { addressOf, clockJson } from "../support/rawServer.ts"
import { selfSigned } from "../support/selfSigned.ts"
import * as rules from "./rules.ts"

const listening = Effect.fnUntraced(function* (make: () => Server) {
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = make()
      // Failed handshakes are the subject of these tests.
      server.on("tlsClientError", () => {})
      await once(server.listen(0, "127.0.0.1"), "listening")
      return server
    }),
    (server) =>
      Effect.promise(() => {
        const closed = once(server, "close")
        server.close()
        return closed
      })
  )
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})

const tlsServer = (options: ServerOptions) =>
  listening(() => {
    const server = createServer({ ...selfSigned(), ...options, keepAlive: false }, (request, response) => {
      const { pathname } = addressOf(request)
      response.setHeader("content-type", "application/json")
      response.setHeader("connection", "close")
      if (pathname.endsWith("/query")) response.end(clockJson(`${Date.now() / 1000}`))
      else if (pathname.endsWith("/metadata")) response.end('{"status":"success","data":{}}')
      else response.end('{"status":"success","data":["up"]}')
    })
    return server
  })

const configOf = (base_url: string) => ({ base_url, start_date: "2026-01-01", max_retries: 0 })

/** The message of a failed check, which is also the message of a read. */
const refusalOf = Effect.fnUntraced(function* (base_url: string) {
  const files = yield* connector.workspace
  const path = files.write("config.json", configOf(base_url))
  const checked = yield* rules.verb(["check", "--config", path])
  const { connectionStatus } = checked.messages.find(
    ({ type }) => type === "CONNECTION_STATUS"
  ) as unknown as {
    readonly connectionStatus: { readonly status: string; readonly message: string }
  }
  assert.strictEqual(connectionStatus.status, "FAILED")
  const read = yield* rules.read(files, configOf(base_url), connector.catalogOf("up"))
  assert.strictEqual(read.code, 1)
  assert.strictEqual(read.errors.at(-1)?.message, connectionStatus.message)
  return connectionStatus.message
})

describe("TLS", { concurrent: true }, () => {
  for (const maxVersion of ["TLSv1", "TLSv1.1"] as const) {
    it.live(`of version ${maxVersion} is reported as the problem`, () =>
      Effect.gen(function* () {
        const ciphers = "DEFAULT@SECLEVEL=0"
        const url = yield* tlsServer({ minVersion: "TLSv1", maxVersion, ciphers })
        const message = yield* refusalOf(url)
        assert.match(message, /cannot be reached securely \(it does not offer TLS 1.2 or later/)
        assert.match(message, /TLS 1\.2 or 1\.3/)
        assert.notMatch(message, /does not use TLS|\.c:\d/)
      })
    )
  }

  it.live("is distinguished from a server without TLS", () =>
    Effect.gen(function* () {
      const url = yield* listening(() => createPlainServer((_, response) => response.end("{}")))
      const message = yield* refusalOf(url)
      assert.match(message, /cannot be reached securely \(it does not use TLS, which https requires\)/)
      assert.notMatch(message, /version|\.c:\d/)
    })
  )

  it.live("that fails for lack of a common cipher is reported as such", () =>
    Effect.gen(function* () {
      // The key exchange needs an RSA key, which the server does not have.
      const url = yield* tlsServer({ maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-GCM-SHA256" })
      const message = yield* refusalOf(url)
      assert.match(message, /it shares no cipher or key exchange with this program/)
      assert.notMatch(message, /\.c:\d/)
    })
  )

  it.live(
    "without verification, because of the environment, causes a warning in each command, only on standard output",
    () =>
      Effect.gen(function* () {
        const url = yield* tlsServer({})
        const files = yield* connector.workspace
        const path = files.write("config.json", configOf(url))
        const env = { NODE_TLS_REJECT_UNAUTHORIZED: "0" }
        const outputs = [
          yield* rules.verb(["check", "--config", path], { env }),
          yield* rules.verb(["discover", "--config", path], { env }),
          yield* rules.read(
            files,
            { ...configOf(url), start_date: "2999-01-01" },
            connector.catalogOf("up"),
            undefined,
            {
              env
            }
          )
        ]
        for (const { code, logs, stderr } of outputs) {
          assert.deepStrictEqual([code, stderr], [0, ""])
          const warnings = logs.filter((log) => log.startsWith("WARN NODE_TLS_REJECT_UNAUTHORIZED is 0"))
          assert.lengthOf(warnings, 1)
        }
        const message = yield* refusalOf(url)
        assert.match(message, /cannot be reached securely \(.*self-signed certificate/)
      })
  )
})
