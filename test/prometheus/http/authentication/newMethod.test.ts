/** A method that is added to the table works everywhere without further code. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import {
  type AuthenticationSettings,
  ConnectorConfig,
  decodeConfig,
  type Settings
} from "../../../../src/config/ConnectorConfig.ts"
import type { Method } from "../../../../src/prometheus/http/authentication/Method.ts"
import { methods } from "../../../../src/prometheus/http/authentication/methods.ts"
import { connectionWarnings } from "../../../../src/prometheus/http/connectionSafety.ts"
import { OnFetchedSecret, PrometheusClient } from "../../../../src/prometheus/PrometheusClient.ts"
import { allSecretTexts, secretTexts } from "../../../../src/prometheus/secretTexts.ts"

interface Pin {
  readonly auth_type: "pin"
  readonly pin: Redacted.Redacted
}

/** Sends the reversed PIN as a header, and after a refusal an other one, which it fetches. */
const pin: Method<Pin> = {
  sendsSecrets: true,
  derivedSecrets: ({ pin }) => [reversed(Redacted.value(pin))],
  keysToCheck: "authentication.pin",
  make: ({ pin }, { addSecret, tokenClient }) => {
    let current = reversed(Redacted.value(pin))
    return {
      authenticate: (request) => Effect.succeed(HttpClientRequest.setHeader(request, "x-pin", current)),
      renew: ({ request, status }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual([request.headers["x-pin"], status], [current, 401])
          const response = yield* tokenClient.get("https://pins/new")
          current = yield* response.text
          addSecret(current)
          return true
        }).pipe(Effect.orDie)
    }
  }
}

const reversed = (text: string): string => [...text].reverse().join("")

const table = methods as Record<string, unknown>

beforeAll(() => {
  table.pin = pin
})

afterAll(() => {
  delete table.pin
})

const PIN = "pin-123456"
const FETCHED = "fetched-654321"

const settings = Effect.map(
  decodeConfig({ base_url: "http://far.example", start_date: "2026-01-01" }),
  (settings): Settings => ({
    ...settings,
    authentication: { auth_type: "pin", pin: Redacted.make(PIN) } as unknown as AuthenticationSettings
  })
)

/** Requests the server's time from a server that accepts one PIN, and quotes others. */
const requestTime = Effect.fnUntraced(function* (accepted: string) {
  const sent: Array<string> = []
  const fetched: Array<string> = []
  const server = HttpClient.make((request) => {
    sent.push(`${request.url} ${request.headers["x-pin"]}`)
    if (request.url === "https://pins/new") {
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(FETCHED)))
    }
    const isAccepted = request.headers["x-pin"] === accepted
    return Effect.succeed(
      HttpClientResponse.fromWeb(
        request,
        isAccepted
          ? Response.json({ status: "success", data: { resultType: "scalar", result: [1_767_225_600, "1"] } })
          : new Response(`no ${request.headers["x-pin"]}, ${PIN}`, { status: 401 })
      )
    )
  })
  const result = yield* PrometheusClient.pipe(
    Effect.flatMap(({ now }) => now),
    Effect.provide(PrometheusClient.layerNoDeps),
    Effect.provideService(HttpClient.HttpClient, server),
    Effect.provideService(OnFetchedSecret, (secret) => void fetched.push(secret)),
    Effect.provide(Layer.effect(ConnectorConfig, settings)),
    Effect.provide(Logger.layer([])),
    Effect.result
  )
  return { sent, fetched, result }
})

describe("a new method of authentication", () => {
  it.live("authenticates requests, and renews its credentials once", () =>
    Effect.gen(function* () {
      const first = yield* requestTime(reversed(PIN))
      assert.isTrue(first.result._tag === "Success")
      assert.match(first.sent[0]!, / 654321-nip$/)
      assert.lengthOf(first.fetched, 0)
      const renewed = yield* requestTime(FETCHED)
      assert.isTrue(renewed.result._tag === "Success")
      assert.deepStrictEqual(
        renewed.sent.slice(0, 3).map((text) => text.split(" ")[1]),
        [reversed(PIN), "undefined", FETCHED]
      )
      assert.deepStrictEqual(renewed.fetched, [FETCHED])
    })
  )

  it.live("is masked where a server quotes it, and names its keys", () =>
    Effect.gen(function* () {
      const { result, sent } = yield* requestTime("another")
      assert.isTrue(result._tag === "Failure")
      if (result._tag !== "Failure" || result.failure._tag !== "PrometheusError") return
      const { message, reason } = result.failure
      assert.strictEqual(reason, "Unauthorized")
      assert.match(message, /no \*\*\*\*, \*\*\*\*.* Check authentication\.pin\.$/)
      assert.notMatch(message, /123456|654321/)
      assert.lengthOf(sent, 3)
    })
  )

  it.effect("is a secret of the configuration, and a reason to warn of a connection in the clear", () =>
    Effect.gen(function* () {
      const made = yield* settings
      assert.includeMembers([...secretTexts(made)], [PIN, reversed(PIN)])
      assert.includeMembers([...allSecretTexts(made)], [PIN, reversed(PIN)])
      assert.match(
        connectionWarnings(made, {}, 0)[0] ?? "",
        /^Credentials are sent to http:\/\/far\.example without encryption/
      )
    })
  )
})
