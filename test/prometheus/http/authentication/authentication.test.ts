import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted } from "effect"
import { HttpClientRequest } from "effect/http"
import { authenticationOf } from "../../../src/prometheus/http/authentication.ts"

const request = HttpClientRequest.get("http://h/api/v1/query")

describe("authentication", () => {
  it.effect("is none unless it is configured", () =>
    Effect.gen(function* () {
      const { authenticate, derivedSecrets, sendsSecrets } = authenticationOf({ basicAuth: Option.none() })
      assert.strictEqual(yield* authenticate(request), request)
      assert.isFalse(sendsSecrets)
      assert.deepStrictEqual(derivedSecrets, [])
    })
  )

  it.effect("is basic with a user and a password, both in UTF-8, and masks the encoded form", () =>
    Effect.gen(function* () {
      const basicAuth = Option.some({ user: "üser", password: Redacted.make("pässword: 1") })
      const { authenticate, derivedSecrets, sendsSecrets } = authenticationOf({ basicAuth })
      const encoded = Buffer.from("üser:pässword: 1").toString("base64")
      assert.strictEqual((yield* authenticate(request)).headers.authorization, `Basic ${encoded}`)
      assert.isTrue(sendsSecrets)
      assert.deepStrictEqual(derivedSecrets, [encoded])
    })
  )
})
