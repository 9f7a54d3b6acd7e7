import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import type { AuthenticationSettings } from "../../../../src/config/ConnectorConfig.ts"
import {
  authenticationOf,
  derivedSecrets,
  sendsSecrets
} from "../../../../src/prometheus/http/authentication/authentication.ts"

const request = HttpClientRequest.get("http://h/api/v1/query")

const headersOf = (settings: AuthenticationSettings) =>
  authenticationOf(settings, {
    tokenClient: HttpClient.make(() => Effect.die("No token is needed.")),
    timeoutMillis: 1000,
    addSecret: () => assert.fail("No secret is fetched."),
    mask: (text) => text
  })
    .authenticate(request)
    .pipe(Effect.map(({ headers }) => headers.authorization))

describe("authentication", () => {
  it.effect("is none unless it is configured", () =>
    Effect.gen(function* () {
      const settings = { auth_type: "none" } as const
      assert.isUndefined(yield* headersOf(settings))
      assert.isFalse(sendsSecrets(settings))
      assert.deepStrictEqual(derivedSecrets(settings), [])
    })
  )

  it.effect("is basic with a user and a password, both in UTF-8, and masks the encoded form", () =>
    Effect.gen(function* () {
      const settings = {
        auth_type: "basic",
        user: "üser",
        password: Redacted.make("pässword: 1")
      } as const
      const encoded = Buffer.from("üser:pässword: 1").toString("base64")
      assert.strictEqual(yield* headersOf(settings), `Basic ${encoded}`)
      assert.isTrue(sendsSecrets(settings))
      assert.deepStrictEqual(derivedSecrets(settings), [encoded])
    })
  )

  it.effect("is a bearer token", () =>
    Effect.gen(function* () {
      const settings = { auth_type: "bearer_token", token: Redacted.make("t-4711") } as const
      assert.strictEqual(yield* headersOf(settings), "Bearer t-4711")
      assert.isTrue(sendsSecrets(settings))
    })
  )
})
