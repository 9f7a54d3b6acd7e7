import { once } from "node:events"
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { machineKeys } from "../../../../src/prometheus/http/authentication/awsCredentials.ts"

/** An endpoint of the machine. */
const endpoint = (listener: RequestListener) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(listener)
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

/** One that takes so long to respond. */
const slowEndpoint = (millis: number) =>
  endpoint((_, response) => {
    const body = {
      AccessKeyId: "AKIA1",
      SecretAccessKey: "secret",
      Token: "token",
      Expiration: "2030-01-01T00:00:00Z"
    }
    setTimeout(() => response.end(JSON.stringify(body)), millis)
  })

const NAME = "AWS_CONTAINER_CREDENTIALS_FULL_URI"

/** The keys of an endpoint of this machine. */
const keysOf = (server: Server) =>
  Effect.suspend(() => {
    const before = process.env[NAME]
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    process.env[NAME] = url
    return Effect.ensuring(
      Effect.tryPromise(() =>
        machineKeys({
          region: "eu-central-1",
          environment: { [NAME]: url },
          fetch: () => Promise.reject(new Error("The endpoint is asked directly.")),
          addSecret: () => {}
        })
      ),
      Effect.sync(() => {
        if (before === undefined) delete process.env[NAME]
        else process.env[NAME] = before
      })
    )
  })

describe("the keys of the machine", () => {
  // A print fails each test.
  it.live("come from an endpoint that takes its time, without a print of AWS' library", () =>
    Effect.gen(function* () {
      const keys = yield* keysOf(yield* slowEndpoint(1500))
      assert.deepStrictEqual([keys.accessKeyId, keys.sessionToken], ["AKIA1", "token"])
    })
  )

  it.live("are no reason to keep a connection to an endpoint that never responds", () =>
    Effect.gen(function* () {
      const server = yield* endpoint(() => {})
      const closed = once(server, "connection").then(([socket]) => once(socket as Socket, "close"))
      const { cause } = yield* Effect.flip(keysOf(server))
      assert.match(String(cause), /no response within 5 s/)
      yield* Effect.timeout(
        Effect.promise(() => closed),
        "2 seconds"
      )
    })
  )

  it.live("are not quoted if an endpoint does not send them as JSON", () =>
    Effect.gen(function* () {
      const { cause } = yield* Effect.flip(
        keysOf(yield* endpoint((_, response) => response.end("Geheim-4711")))
      )
      assert.match(String(cause), /the response is not JSON/)
      assert.notInclude(String(cause), "Geh")
    })
  )
})
