import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { machineKeys } from "../../../../src/prometheus/http/authentication/awsCredentials.ts"

/** An endpoint of the machine that takes so long to respond. */
const slowEndpoint = (millis: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((_, response) => {
        const body = {
          AccessKeyId: "AKIA1",
          SecretAccessKey: "secret",
          Token: "token",
          Expiration: "2030-01-01T00:00:00Z"
        }
        setTimeout(() => response.end(JSON.stringify(body)), millis)
      })
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

describe("the keys of the machine", () => {
  // A print fails each test.
  it.live("come from an endpoint that takes its time, without a print of AWS' library", () =>
    Effect.gen(function* () {
      const { port } = (yield* slowEndpoint(1500)).address() as AddressInfo
      const name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
      const before = process.env[name]
      process.env[name] = `http://127.0.0.1:${port}/`
      const keys = yield* Effect.ensuring(
        Effect.promise(() =>
          machineKeys({
            region: "eu-central-1",
            environment: { [name]: process.env[name] },
            fetch: () => Promise.reject(new Error("The endpoint is asked directly.")),
            addSecret: () => {}
          })
        ),
        Effect.sync(() => {
          if (before === undefined) delete process.env[name]
          else process.env[name] = before
        })
      )
      assert.deepStrictEqual([keys.accessKeyId, keys.sessionToken], ["AKIA1", "token"])
    })
  )
})
