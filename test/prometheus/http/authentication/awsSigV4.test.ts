import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Redacted } from "effect"
import { HttpClient, HttpClientRequest, UrlParams } from "effect/http"
import { TestClock } from "effect/testing"
import type { AuthenticationOf } from "../../../../src/config/ConnectorConfig.ts"
import { sendsSecrets } from "../../../../src/prometheus/http/authentication/authentication.ts"
import { awsSigV4 } from "../../../../src/prometheus/http/authentication/awsSigV4.ts"
import { claimOf, expectedAuthorization } from "../../../support/awsSignatureCheck.ts"

type Settings = AuthenticationOf<"aws_sigv4">

const NOW = Date.UTC(2026, 10, 29, 12, 0, 0)

const settings: Settings = {
  auth_type: "aws_sigv4",
  region: "eu-central-1",
  service: "aps",
  access_key_id: "AKIDEXAMPLE",
  secret_access_key: Redacted.make("s3cr/et+")
}

const withToken: Settings = { ...settings, session_token: Redacted.make("to/ken==") }

const BASE_URL = "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1"

const make = (given: Settings) =>
  awsSigV4.make(given, {
    tokenClient: HttpClient.make(() => Effect.die("no request is needed")),
    timeoutMillis: 1000,
    addSecret: () => {},
    mask: (text) => text
  })

/** Whether a request would be accepted. */
const isAccepted = (request: HttpClientRequest.HttpClientRequest, sessionToken?: string) => {
  const url = new URL(request.url)
  const claim = claimOf(request.headers.authorization)
  return Effect.map(
    Effect.promise(async () =>
      claim === undefined
        ? ""
        : expectedAuthorization(
            {
              method: request.method,
              target: `${url.pathname}${url.search}`,
              headers: { ...request.headers, host: url.host },
              body: request.body._tag === "Uint8Array" ? request.body.body : new Uint8Array()
            },
            { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "s3cr/et+", sessionToken },
            claim
          )
    ),
    (expected) => expected === request.headers.authorization
  )
}

const get = HttpClientRequest.get(`${BASE_URL}/api/v1/series?tenant=a+b`).pipe(
  HttpClientRequest.setHeaders({ accept: "application/json", "x-amz-meta": "1", "x-scope-orgid": "t" }),
  HttpClientRequest.appendUrlParams([
    ["match[]", '{__name__=~"a|b",x!~"~\\\\ü*\'"}'],
    ["match[]", "a b"],
    ["empty", ""],
    ["", "nameless"]
  ])
)

const form = HttpClientRequest.bodyUrlParams(HttpClientRequest.post(`${BASE_URL}/api/v1/query`), {
  query: 'up{a="b c+d"}'
})

const refusal = (
  request: HttpClientRequest.HttpClientRequest,
  text: string,
  headers: Readonly<Record<string, string>> = {},
  status = 403
) => ({ status, headers: { date: new Date(NOW).toUTCString(), ...headers } as never, text, request })

/** The result of an effect, and what it logged. */
const captureLogs = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const logs: Array<string> = []
    const logger = Logger.make(({ message }) => void logs.push([message].flat().join(" ")))
    return Effect.map(Effect.provide(effect, Logger.layer([logger])), (result) => ({ logs, result }))
  })

const at = (millis: number) => TestClock.setTime(millis)

describe("awsSigV4", () => {
  it.effect("signs the address as it is sent, and the headers of AWS only", () =>
    Effect.gen(function* () {
      yield* at(NOW)
      const request = yield* make(settings).authenticate(get)
      assert.strictEqual(
        request.url,
        `${BASE_URL}/api/v1/series?tenant=a%20b&match%5B%5D=%7B__name__%3D~%22a%7Cb%22%2Cx%21~%22~%5C%5C%C3%BC%2A%27%22%7D&match%5B%5D=a%20b&empty=`
      )
      assert.deepStrictEqual(request.urlParams, UrlParams.empty)
      assert.deepStrictEqual(claimOf(request.headers.authorization), {
        accessKeyId: "AKIDEXAMPLE",
        date: "20261129",
        region: "eu-central-1",
        service: "aps",
        signedHeaders: ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-meta"]
      })
      assert.strictEqual(request.headers.accept, "application/json")
      assert.isTrue(yield* isAccepted(request))
    })
  )

  it.effect("signs forms, and the session token", () =>
    Effect.gen(function* () {
      yield* at(NOW)
      const request = yield* make(withToken).authenticate(form)
      assert.deepStrictEqual(claimOf(request.headers.authorization)?.signedHeaders, [
        "content-type",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token"
      ])
      assert.strictEqual(request.headers["x-amz-security-token"], "to/ken==")
      assert.strictEqual(request.body, form.body)
      assert.isTrue(yield* isAccepted(request, "to/ken=="))
      assert.isFalse(yield* isAccepted(request, "other"))
    })
  )

  it.effect("signs a request again for another moment or host", () =>
    Effect.gen(function* () {
      yield* at(NOW)
      const { authenticate } = make(settings)
      const first = yield* authenticate(get)
      yield* at(NOW + 1000)
      const second = yield* authenticate(first)
      assert.notStrictEqual(second.headers.authorization, first.headers.authorization)
      assert.isTrue(yield* isAccepted(second))
    })
  )

  it.effect.each([
    [
      "behind",
      "20 min",
      -20 * 60_000,
      "Signature expired: 20261129T114000Z is now earlier than 20261129T115500Z (20261129T120000Z - 5 min.)"
    ],
    [
      "ahead of",
      "3 d 4 h",
      76 * 3_600_000,
      "Signature not yet current: 20261202T160000Z is still later than 20261129T120500Z (20261129T120000Z + 5 min.)"
    ],
    [
      "behind",
      "20 min",
      -20 * 60_000,
      "<Error><Code>RequestTimeTooSkewed</Code><ServerTime>2026-11-29T12:00:00Z</ServerTime></Error>"
    ],
    [
      "behind",
      "20 min",
      -20 * 60_000,
      '{"message":"The difference between the request time and the current time is too large."}'
    ],
    ["ahead of", "6 min", 6 * 60_000, '{"message":"Forbidden"}']
  ] as const)("follows the server's clock: %s by %s, %d ms, %s", ([how, length, skew, text]) =>
    Effect.gen(function* () {
      yield* at(NOW + skew)
      const { authenticate, renew } = make(settings)
      const refused = yield* authenticate(get)
      const other = yield* authenticate(form)
      const { logs, result } = yield* captureLogs(
        Effect.all([renew(refusal(refused, JSON.stringify({ message: text }))), renew(refusal(other, text))])
      )
      assert.deepStrictEqual(result, [true, true])
      // Once, and kept for later requests.
      assert.deepStrictEqual(logs, [
        `The clock of this machine is about ${length} ${how} that of aps-workspaces.eu-central-1.amazonaws.com, which only accepts signatures of its own time. Requests are signed with that time from now on. Correct the clock of this machine.`
      ])
      yield* at(NOW + skew + 5000)
      const next = yield* authenticate(get)
      assert.strictEqual(next.headers["x-amz-date"], "20261129T120005Z")
      assert.isTrue(yield* isAccepted(next))
    })
  )

  it.effect.each([
    ['{"message":"The request signature we calculated does not match the signature you provided."}', 403],
    ['{"message":"The security token included in the request is expired"}', 403],
    ['{"status":"error","errorType":"bad_data","error":"parse error"}', 400],
    ['{"Message":"User: arn:aws:iam::1:user/a is not authorized to perform: aps:QueryMetrics"}', 403]
  ] as const)("has no others for configured keys that are refused: %s", ([text, status]) =>
    Effect.gen(function* () {
      yield* at(NOW)
      const { authenticate, renew } = make(withToken)
      assert.isFalse(yield* renew(refusal(yield* authenticate(get), text, {}, status)))
    })
  )

  it.effect("notices when the clock has been corrected meanwhile", () =>
    Effect.gen(function* () {
      yield* at(NOW - 1_200_000)
      const { authenticate, renew } = make(settings)
      const { logs } = yield* captureLogs(
        Effect.gen(function* () {
          yield* renew(refusal(yield* authenticate(get), "RequestExpired"))
          yield* at(NOW)
          const ahead = yield* authenticate(get)
          assert.strictEqual(ahead.headers["x-amz-date"], "20261129T122000Z")
          assert.isTrue(yield* renew(refusal(ahead, "", { "x-amzn-errortype": "RequestInTheFuture" })))
        })
      )
      assert.deepStrictEqual(logs.slice(1), [
        "The clock of this machine agrees with that of aps-workspaces.eu-central-1.amazonaws.com again."
      ])
      assert.strictEqual((yield* authenticate(get)).headers["x-amz-date"], "20261129T120000Z")
    })
  )

  it.effect.each([
    { ...settings, access_key_id: "AKIA\nx9k" },
    { ...settings, session_token: Redacted.make("abc\nx9k") },
    { ...settings, session_token: Redacted.make("x9k→") }
  ])("reports keys that no header can have", (wrong) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(make(wrong).authenticate(get))
      assert.strictEqual(error.reason, "Unauthorized")
      assert.match(error.message, /not allowed in an HTTP header.*authentication\.session_token/)
      assert.notInclude(error.message, "x9k")
    })
  )

  it.effect.each([
    ['{"message":"Forbidden"}', { age: "600" }, 403],
    ['{"message":"The security token included in the request is invalid."}', {}, 403],
    ['{"message":"Missing Authentication Token"}', {}, 403],
    ['{"status":"error","errorType":"bad_data","error":"parse error"}', {}, 400],
    ['{"Message":"User: arn:aws:iam::1:user/a is not authorized to perform: aps:QueryMetrics"}', {}, 403]
  ] as const)("does not take the clock for wrong if something else is: %s", ([text, headers, status]) =>
    Effect.gen(function* () {
      yield* at(NOW + 600_000)
      const { authenticate, renew } = make(settings)
      const { logs, result } = yield* captureLogs(
        renew(refusal(yield* authenticate(get), text, headers, status))
      )
      assert.isFalse(result)
      assert.deepStrictEqual(logs, [])
    })
  )

  it("sends a secret if it sends the token of a temporary key", () => {
    assert.isFalse(sendsSecrets(settings))
    assert.isTrue(sendsSecrets(withToken))
    assert.isTrue(sendsSecrets({ ...settings, role_arn: "arn:aws:iam::123456789012:role/reader" }))
    assert.isTrue(sendsSecrets({ auth_type: "aws_sigv4", region: "eu-central-1", service: "aps" }))
  })
})
