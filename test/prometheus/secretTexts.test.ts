import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Output } from "../../src/airbyte/Output.ts"
import * as ProtocolLogger from "../../src/airbyte/ProtocolLogger.ts"
import { stderrLogger } from "../../src/cli/stderrLogger.ts"
import { decodeConfig } from "../../src/config/ConnectorConfig.ts"
import { allSecretTexts, secretTexts } from "../../src/prometheus/secretTexts.ts"
import { makeCollector } from "../airbyte/collector.ts"

const settings = (given: Readonly<Record<string, unknown>>) =>
  decodeConfig({ base_url: "http://localhost:9090", start_date: "2026-01-01", step: 60, ...given })

describe("secretTexts", () => {
  it.effect("has all secrets in the forms in which they are sent", () =>
    Effect.gen(function* () {
      const headers = [
        { name: "a", value: "x" },
        { name: "b", value: "y" }
      ]
      assert.deepStrictEqual(
        allSecretTexts(yield* settings({ basic_auth_user: "u", basic_auth_pass: "é", headers })),
        ["é", "x", "y", Buffer.from("u:é").toString("base64")]
      )
      const bearer = yield* settings({ headers: [{ name: "Authorization", value: "Bearer s3cret" }] })
      for (const texts of [allSecretTexts, secretTexts]) {
        assert.deepStrictEqual(texts(bearer), ["Bearer s3cret", "s3cret"])
        assert.deepStrictEqual(texts(yield* settings({ basic_auth_user: "", basic_auth_pass: "" })), [])
      }
    })
  )

  it.effect("has the parts of headers that servers quote alone", () =>
    Effect.gen(function* () {
      const basic = `Basic ${Buffer.from("u:drowssap-1").toString("base64")}`
      const cookies = "sid=drowssap-2; theme=drowssap=3;"
      const headers = [
        { name: "Proxy-Authorization", value: basic },
        { name: "cookie", value: cookies }
      ]
      const texts = secretTexts(yield* settings({ headers }))
      assert.includeMembers([...texts], [basic, "drowssap-1", cookies, "drowssap-2", "drowssap=3"])
    })
  )

  it.effect("has the credentials of proxies, of the environment too, but not their addresses", () =>
    Effect.gen(function* () {
      const base64 = Buffer.from("u:drowssap-1").toString("base64")
      const proxy_url = "http://u:drowssap-1@proxy.example.com:3128"
      const expected = ["u:drowssap-1", "drowssap-1", base64]
      for (const texts of [allSecretTexts, secretTexts]) {
        assert.deepStrictEqual(texts(yield* settings({ proxy_url }), {}), expected)
        assert.deepStrictEqual(texts(yield* settings({}), { https_proxy: proxy_url }), expected)
        const proxy = { proxy_url: "http://proxy.example.com:3128" }
        assert.deepStrictEqual(texts(yield* settings(proxy), {}), [])
      }
    })
  )

  it.effect("omits secrets that any message could contain by chance", () =>
    Effect.gen(function* () {
      for (const common of ["a", "1", "http", "prometheus"]) {
        const headers = [{ name: "X-Scope-OrgID", value: common }]
        assert.deepStrictEqual(secretTexts(yield* settings({ headers })), [])
        const basic = { basic_auth_user: "reader-7", basic_auth_pass: common }
        assert.deepStrictEqual(secretTexts(yield* settings(basic)), [
          Buffer.from(`reader-7:${common}`).toString("base64")
        ])
      }
    })
  )

  it.effect("makes every log mask values that are derived for authentication", () =>
    Effect.gen(function* () {
      const secrets = secretTexts(yield* settings({ basic_auth_user: "u", basic_auth_pass: "drowssap-1" }))
      const log = Effect.logInfo(`The server refused ${Buffer.from("u:drowssap-1").toString("base64")} of u.`)

      const lines: Array<string> = []
      yield* Effect.provide(
        log,
        stderrLogger(secrets, (line) => void lines.push(line))
      )
      assert.deepStrictEqual(lines, ["The server refused **** of u."])

      const collector = makeCollector()
      yield* Effect.gen(function* () {
        const output = yield* Output
        output.maskSecrets(...secrets)
        yield* log
        yield* output.flush
      }).pipe(Effect.provide(ProtocolLogger.layer), Effect.provide(collector.layer))
      assert.deepStrictEqual(collector.messages(), [
        { type: "LOG", log: { level: "INFO", message: "The server refused **** of u." } }
      ])
    })
  )
})
