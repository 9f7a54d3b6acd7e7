import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Redacted } from "effect"
import { withCredentialsOf, withRenewal } from "../../src/cli/renewal.ts"
import { ConfigError, decodeConfig, type Settings } from "../../src/config/ConnectorConfig.ts"
import { PrometheusError, type Reason } from "../../src/prometheus/PrometheusError.ts"

const settingsWith = (token: string, more: object = {}) =>
  decodeConfig({
    base_url: "http://x",
    start_date: "2026-01-01",
    headers: [{ name: "X-Token", value: `Bearer ${token}` }],
    ...more
  })

const tokenOf = ({ headers }: Settings): string => Redacted.value(headers[0]!.value)

/** A run that fails with these reasons in turn, and then succeeds. Returns the tokens that it was tried with. */
const tried = Effect.fnUntraced(function* (
  reasons: ReadonlyArray<Reason>,
  renewed: Effect.Effect<Settings, ConfigError>
) {
  const tokens: Array<string> = []
  const logs: Array<string> = []
  const settings = yield* settingsWith("token-1")
  const exit = yield* withRenewal(settings, renewed, (now) => {
    const reason = reasons[tokens.push(tokenOf(now)) - 1]
    return reason === undefined
      ? Effect.void
      : Effect.fail(new PrometheusError({ reason, summary: `It failed with ${reason}.` }))
  }).pipe(
    Effect.result,
    Effect.provide(Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))]))
  )
  return { logs, tokens, error: exit._tag === "Failure" ? exit.failure : undefined }
})

describe("withRenewal", () => {
  it.effect("runs once more with renewed credentials after they were refused", () =>
    Effect.gen(function* () {
      const { error, logs, tokens } = yield* tried(["Unauthorized"], settingsWith("token-2"))
      assert.isUndefined(error)
      assert.deepStrictEqual(tokens, ["Bearer token-1", "Bearer token-2"])
      assert.lengthOf(logs, 1)
      assert.match(logs[0]!, /^It failed with Unauthorized\. The credentials have been renewed/)
      assert.notInclude(logs[0]!, "token-")
    })
  )

  it.effect("fails if the renewed credentials are refused, too", () =>
    Effect.gen(function* () {
      const { error, tokens } = yield* tried(["Unauthorized", "Unauthorized"], settingsWith("token-2"))
      assert.strictEqual(error?.reason, "Unauthorized")
      assert.lengthOf(tokens, 2)
    })
  )

  it.effect("does not run again with the same credentials, without any, or after another error", () =>
    Effect.gen(function* () {
      for (const [reason, renewed] of [
        ["Unauthorized", settingsWith("token-1")],
        ["Unauthorized", Effect.fail(new ConfigError({ message: "It is gone." }))],
        ["Forbidden", settingsWith("token-2")],
        ["Unavailable", settingsWith("token-2")]
      ] as const) {
        const { error, logs, tokens } = yield* tried([reason], renewed)
        assert.strictEqual(error?.reason, reason)
        assert.deepStrictEqual([tokens.length, logs], [1, []])
      }
    })
  )
})

describe("credentials", () => {
  it.effect.each([
    [
      { authentication: { auth_type: "bearer_token", token: "a" } },
      { authentication: { auth_type: "bearer_token", token: "b" } }
    ],
    [
      { basic_auth_user: "u", basic_auth_pass: "a" },
      { basic_auth_user: "u", basic_auth_pass: "b" }
    ],
    [
      { authentication: { auth_type: "oauth2", token_url: "http://t", client_id: "c", client_secret: "a" } },
      { authentication: { auth_type: "oauth2", token_url: "http://t", client_id: "c", client_secret: "b" } }
    ],
    [{ proxy_url: "http://u:a@proxy" }, { proxy_url: "http://u:b@proxy" }],
    [{ parameters: [{ name: "apikey", value: "a" }] }, { parameters: [{ name: "apikey", value: "b" }] }]
  ] as const)("are compared in all keys: %j", ([before, after]) =>
    Effect.gen(function* () {
      for (const reason of ["Unauthorized", "Tls"] as const) {
        const ran: Array<Settings> = []
        const first = yield* settingsWith("t", before)
        const renewed = yield* settingsWith("t", after)
        const exit = yield* withRenewal(first, Effect.succeed(renewed), (settings) =>
          ran.push(settings) === 1
            ? Effect.fail(new PrometheusError({ reason, summary: "It failed." }))
            : Effect.void
        ).pipe(Effect.result, Effect.provide(Logger.layer([])))
        assert.strictEqual(exit._tag, "Success")
        assert.strictEqual(ran[1], renewed)
        const same = yield* settingsWith("t", before)
        const again = yield* withRenewal(first, Effect.succeed(same), () =>
          Effect.fail(new PrometheusError({ reason, summary: "It failed." }))
        ).pipe(Effect.result)
        assert.strictEqual(again._tag, "Failure")
      }
    })
  )
})

describe("certificates", () => {
  it.effect("are renewed, too", () =>
    Effect.gen(function* () {
      const first = yield* settingsWith("t")
      const renewed = { ...first, tls: { ...first.tls, client_certificate: "new" } }
      const certificates: Array<string | undefined> = []
      yield* withRenewal(first, Effect.succeed(renewed), ({ tls }) =>
        certificates.push(tls.client_certificate) === 1
          ? Effect.fail(new PrometheusError({ reason: "Tls", summary: "It is expired." }))
          : Effect.void
      ).pipe(Effect.provide(Logger.layer([])))
      assert.deepStrictEqual(certificates, [undefined, "new"])
    })
  )
})

describe("withCredentialsOf", () => {
  it.effect("changes nothing but the credentials", () =>
    Effect.gen(function* () {
      const settings = yield* settingsWith("token-1", { step: 60 })
      const changed = yield* decodeConfig({
        base_url: "http://y",
        start_date: "2026-02-01",
        basic_auth_user: "u",
        basic_auth_pass: "p"
      })
      const both = withCredentialsOf(changed, settings)
      assert.strictEqual(both.baseUrl, "http://x")
      assert.strictEqual(both.stepSeconds, 60)
      assert.deepStrictEqual(both.headers, [])
      assert.deepInclude(both.authentication, { auth_type: "basic", user: "u" })
    })
  )
})
