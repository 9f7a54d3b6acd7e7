import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Redacted } from "effect"
import { withCredentialsOf, withRenewal } from "../../src/cli/renewal.ts"
import { ConfigError, decodeConfig, type Settings } from "../../src/config/ConnectorConfig.ts"
import { PrometheusError, type Reason } from "../../src/prometheus/PrometheusError.ts"

const settingsWith = (token: string, more: object = {}) =>
  decodeConfig({
    base_url: "http://x",
    start_date: "2026-01-01",
    headers: [{ name: "Authorization", value: `Bearer ${token}` }],
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
