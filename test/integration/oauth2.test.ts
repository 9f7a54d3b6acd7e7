/**
 * Tokens: the built program against a real Prometheus behind a gate that lets only the tokens of a real OAuth 2.0 server in, or
 * only a fixed one.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer as EffectLayer } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import {
  assertFails,
  assertWhole,
  check,
  discover,
  end,
  every,
  expectedFrom,
  RECORDS,
  read,
  rowsOf,
  run,
  said,
  settings,
  start
} from "../support/fakes/basic.ts"
import {
  type Answer,
  type Ask,
  fake,
  isRange,
  json,
  type Layer,
  refusal,
  text
} from "../support/fakes/fake.ts"
import {
  CLIENT_ID,
  CLIENT_SECRET,
  type OAuthServer,
  type OAuthServerOptions,
  oauthServer,
  tokenOf
} from "../support/fakes/oauthServer.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { serveRaw } from "../support/rawServer.ts"

/** Eight metrics, so that eight streams are read at the same time. */
const metrics = Array.from({ length: 8 }, (_, i) => `metric_${i}`)

class Source extends Context.Service<Source, RealPrometheus.RealPrometheus>()("test/oauth2/Source") {
  static readonly layer = EffectLayer.effect(
    Source,
    RealPrometheus.make({
      series: metrics.flatMap((name, m) =>
        ["a", "b", "c"].map((instance, n) => ({
          labels: { __name__: name, instance },
          samples: every(15_000, start, end, (i) => i * (m + 1) + n / 8)
        }))
      )
    })
  )
}

/** Prometheus behind the gate of an OAuth 2.0 server. */
const service = Effect.fnUntraced(function* (
  options: OAuthServerOptions = {},
  ...layers: ReadonlyArray<Layer>
) {
  const oauth = yield* oauthServer(options)
  const { baseUrl, requests } = yield* fake((yield* Source).baseUrl, ...layers, oauth.gate)
  return { oauth, baseUrl, requests }
})

const clientWith = ({ config }: OAuthServer, more: object) => ({
  authentication: { ...config.authentication, ...more }
})

const allRows = Object.fromEntries(metrics.map((metric) => [metric, RECORDS]))

/** All that a text could have of the secrets. */
const formsOf = (secrets: ReadonlyArray<string>): ReadonlyArray<string> =>
  secrets.flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    new URLSearchParams({ secret }).toString().slice("secret=".length),
    JSON.stringify(secret).slice(1, -1)
  ])

const basicOf = (id: string, secret: string): string => Buffer.from(`${id}:${secret}`).toString("base64")

const assertNoSecrets = ({ issued }: OAuthServer, ...outputs: ReadonlyArray<string>): void => {
  const form = (text: string) => new URLSearchParams({ text }).toString().slice("text=".length)
  const all = [
    ...formsOf([CLIENT_SECRET, ...issued]),
    basicOf(CLIENT_ID, CLIENT_SECRET),
    basicOf(form(CLIENT_ID), form(CLIENT_SECRET))
  ]
  for (const output of outputs) for (const secret of all) assert.notInclude(output, secret)
}

/** No request for a token has a token, and no request for samples has the client's secret. */
const assertApart = (oauth: OAuthServer, requests: ReadonlyArray<Ask>): void => {
  assert.isNotEmpty(requests)
  assertNoSecrets(
    { ...oauth, issued: [] },
    JSON.stringify(requests.map((ask) => [ask.headers, `${ask.params}`]))
  )
  for (const token of oauth.issued) assert.notInclude(JSON.stringify(oauth.requests), token)
}

/** Reads all metrics with many streams at the same time. */
const readAll = (baseUrl: string, config: object, more: object = {}) =>
  read(baseUrl, { names: metrics, config: { concurrency: 8, ...config, ...more } })

const expected = Effect.flatMap(Source, (server) => expectedFrom(server, { metrics }))

describe("OAuth 2.0", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const client_secret_in of ["header", "body"]) {
      it.effect(
        `is checked, discovered, read and written by run, with the secret in the ${client_secret_in}`,
        () =>
          Effect.gen(function* () {
            const { baseUrl, oauth, requests } = yield* service()
            const config = clientWith(oauth, { client_secret_in, scopes: ["metrics", "https://x/.default"] })
            const checked = yield* check(baseUrl, config)
            assert.strictEqual(checked.status, "SUCCEEDED", checked.output.stdout)
            const found = yield* discover(baseUrl, config)
            assert.deepStrictEqual([found.code, found.names], [0, metrics], said(found))
            const output = yield* readAll(baseUrl, config)
            assertWhole(output, yield* expected)
            const written = yield* run(baseUrl, config)
            assert.strictEqual(written.code, 0, written.stderr)
            assert.deepStrictEqual(rowsOf(written.summary), allRows)
            // Each process requested one token, although its requests began at the same time.
            assert.lengthOf(oauth.issued, 4)
            assert.strictEqual(oauth.refusals(), 0)
            for (const { form, headers } of oauth.requests) {
              assert.strictEqual(form.grant_type, "client_credentials")
              assert.strictEqual(form.scope, "metrics https://x/.default")
              assert.strictEqual("client_secret" in form, client_secret_in === "body")
              assert.strictEqual("authorization" in headers, client_secret_in === "header")
            }
            assertApart(oauth, requests)
            assertNoSecrets(
              oauth,
              output.stdout,
              output.stderr,
              checked.output.stdout,
              found.stdout,
              written.stderr
            )
          })
      )
    }

    it.effect("renews a token before it expires, so that none is refused", () =>
      Effect.gen(function* () {
        const slowly: Layer = async (ask, next) => {
          const answer = await next(ask)
          if (isRange(ask)) await new Promise((resolve) => setTimeout(resolve, 1000))
          return answer
        }
        const { baseUrl, oauth } = yield* service({ lifeSeconds: 6 }, slowly)
        assertWhole(yield* readAll(baseUrl, oauth.config, { concurrency: 1 }), yield* expected)
        assert.isAtLeast(oauth.issued.length, 2)
        assert.strictEqual(oauth.refusals(), 0)
      })
    )

    it.effect("renews a token that is revoked in the middle of a read, once for eight streams", () =>
      Effect.gen(function* () {
        const waiting: Array<() => void> = []
        let revoke = () => {}
        // The first eight range queries arrive at the gate together, with a token that is not valid any more.
        const together: Layer = async (ask, next) => {
          if (isRange(ask) && waiting.length < 8) {
            await new Promise<void>((resolve) => {
              waiting.push(resolve)
              if (waiting.length < 8) return
              revoke()
              for (const go of waiting) go()
            })
          }
          return next(ask)
        }
        const { baseUrl, oauth, requests } = yield* service({}, together)
        revoke = oauth.revoke
        const output = yield* readAll(baseUrl, oauth.config)
        assertWhole(output, yield* expected)
        assert.lengthOf(oauth.issued, 2)
        assert.strictEqual(oauth.refusals(), 8)
        const [before, after] = oauth.issued
        const tokens = requests.filter(isRange).map(tokenOf)
        assert.strictEqual(tokens.filter((token) => token === before).length, 8)
        assert.strictEqual(tokens.filter((token) => token === after).length, tokens.length - 8)
        assertApart(oauth, requests)
        assertNoSecrets(oauth, output.stdout, output.stderr)
      })
    )

    it.effect("renews a token that is revoked in the middle of a run, and each row arrives once", () =>
      Effect.gen(function* () {
        let ranges = 0
        let revoke = () => {}
        const revoking: Layer = async (ask, next) => {
          const answer = await next(ask)
          if (isRange(ask) && ++ranges === 3) revoke()
          return answer
        }
        const { baseUrl, oauth } = yield* service({}, revoking)
        revoke = oauth.revoke
        const files = yield* connector.workspace
        const out = files.path("out")
        const config = files.write("config.json", settings(baseUrl, { ...oauth.config, concurrency: 1 }))
        const result = yield* child.run(["run", "--config", config, "--to", `jsonl:${out}`])
        assert.strictEqual(result.code, 0, result.stderr)
        for (const metric of metrics) {
          const lines = readFileSync(`${out}/${metric}.jsonl`, "utf8").trim().split("\n")
          const keys = lines.map((line) => {
            const { data } = JSON.parse(line) as { readonly data: Record<string, unknown> }
            return `${data.series_id} ${data.time}`
          })
          assert.deepStrictEqual([keys.length, new Set(keys).size], [RECORDS, RECORDS])
        }
        assert.lengthOf(oauth.issued, 2)
        assertNoSecrets(oauth, result.stdout, result.stderr)
      })
    )

    it.effect("reads a secret in a file again in the middle of a run, when it was replaced", () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        const [first, second] = ["Erster-0815", "Zweiter-4711"]
        const file = files.write("secret", `${first}\n`)
        let secret = first
        let ranges = 0
        let revoke = () => {}
        const rotating: Layer = async (ask, next) => {
          const answer = await next(ask)
          if (isRange(ask) && ++ranges === 3) {
            secret = second
            writeFileSync(file, `${second}\n`)
            revoke()
          }
          return answer
        }
        const { baseUrl, oauth } = yield* service({ secret: () => secret }, rotating)
        revoke = oauth.revoke
        const out = files.path("out")
        const config = files.write("config.json", settings(baseUrl, { concurrency: 1 }))
        const { code, stderr, stdout } = yield* child.run([
          ...["run", "--config", config, "--to", `jsonl:${out}`],
          ...["--token-url", oauth.tokenUrl, "--client-id", CLIENT_ID, "--client-secret-file", file]
        ])
        assert.strictEqual(code, 0, stderr)
        for (const metric of metrics) {
          const lines = readFileSync(`${out}/${metric}.jsonl`, "utf8").trim().split("\n")
          assert.deepStrictEqual([lines.length, new Set(lines).size], [RECORDS, RECORDS], metric)
        }
        // A token, a refused secret, and a token for the new one.
        assert.strictEqual(oauth.requests.length, 3)
        assert.lengthOf(oauth.issued, 2)
        assertNoSecrets(oauth, stdout, stderr)
        assert.notMatch(stdout + stderr, /Erster|Zweiter/)
      })
    )

    it.effect(
      "fails with a client that the server refuses, says which keys to check, and asks nothing of Prometheus",
      () =>
        Effect.gen(function* () {
          const { baseUrl, oauth, requests } = yield* service()
          const wrong = "Falsch-0815 +/"
          const config = clientWith(oauth, { client_secret: wrong })
          const message =
            /\/token returned HTTP 401: invalid_client: Unknown client or secret\. Check authentication\.client_id\b.*\bauthentication\.client_secret/
          const checked = yield* check(baseUrl, config)
          assert.deepStrictEqual([checked.status, checked.output.code], ["FAILED", 0])
          assert.match(checked.message ?? "", message)
          const found = yield* discover(baseUrl, config)
          assertFails(found, message)
          const output = yield* read(baseUrl, { config, names: metrics })
          assertFails(output, message)
          assert.strictEqual(output.errors.at(-1)?.failure_type, "config_error")
          const written = yield* run(baseUrl, config)
          assert.strictEqual(written.code, 1)
          assert.match(written.stderr, message)
          assert.isEmpty(requests)
          for (const text of [checked.output.stdout, found.stdout, output.stdout, written.stderr]) {
            for (const form of formsOf([wrong])) assert.notInclude(text, form)
          }
        })
    )

    it.effect("waits for a server for tokens that is not well at first", () =>
      Effect.gen(function* () {
        const instead = (number: number) =>
          number < 2 ? { status: 503, body: { error: "temporarily_unavailable" } } : undefined
        const { baseUrl, oauth } = yield* service({ instead })
        const output = yield* readAll(baseUrl, oauth.config, { max_retries: 5 })
        assertWhole(output, yield* expected)
        assert.isTrue(output.logs.some((line) => /token returned HTTP 503.*Retrying in/.test(line)))
      })
    )

    it.effect("neither splits queries nor skips points while no token is issued", () =>
      Effect.gen(function* () {
        const { baseUrl, oauth, requests } = yield* service({
          instead: () => ({ status: 500, body: { error: "server_error" } })
        })
        const output = yield* readAll(baseUrl, oauth.config, { max_retries: 1, damaged_data: "skip" })
        assertFails(output, /token returned HTTP 500: server_error.*The server that issues tokens/)
        assert.strictEqual(output.errors.at(-1)?.failure_type, "transient_error")
        assert.isEmpty(output.records)
        assert.isEmpty(requests)
      })
    )

    it.effect("masks tokens and the secret in every text, also with --debug", () =>
      Effect.gen(function* () {
        const oauth = yield* oauthServer()
        const repeated = (ask: Ask): string => {
          const authorization = ask.headers.authorization ?? ""
          return [
            authorization,
            encodeURIComponent(authorization),
            `${new URLSearchParams({ authorization })}`,
            JSON.stringify(JSON.stringify({ authorization })),
            CLIENT_SECRET,
            encodeURIComponent(CLIENT_SECRET),
            basicOf(CLIENT_ID, CLIENT_SECRET)
          ].join(" | ")
        }
        const parrots: ReadonlyArray<(ask: Ask) => Answer> = [
          (ask) => refusal(422, repeated(ask)),
          (ask) => text(401, repeated(ask)),
          (ask) => text(500, `<html><title>${repeated(ask)}</title></html>`, "text/html"),
          (ask) =>
            json(200, {
              status: "success",
              warnings: [repeated(ask)],
              data: { resultType: "matrix", result: [] }
            })
        ]
        for (const parrot of parrots) {
          // The first request is for the time: without it, nothing else is sent.
          const layerOf: Layer = (ask, next) =>
            ask.params.get("query") === "time()" ? next(ask) : parrot(ask)
          const { baseUrl } = yield* fake((yield* Source).baseUrl, layerOf, oauth.gate)
          const files = yield* connector.workspace
          const config = files.write("config.json", settings(baseUrl, oauth.config))
          const catalog = files.write("catalog.json", connector.catalogOf(...metrics))
          for (const args of [
            ["check", "--config", config, "--debug"],
            ["check", "--config", config, "--human"],
            ["discover", "--config", config, "--debug"],
            ["read", "--config", config, "--catalog", catalog, "--debug"],
            ["run", "--config", config, "--to", `jsonl:${files.path("out")}`]
          ]) {
            const { stderr, stdout } = yield* child.run(args)
            assertNoSecrets(oauth, stdout, stderr)
            if (args[0] === "read" || args[0] === "run") assert.include(stdout + stderr, "****")
          }
        }
        assert.isAbove(oauth.issued.length, 12)
      })
    )

    it.effect("masks what the server for tokens repeats of its request", () =>
      Effect.gen(function* () {
        for (const client_secret_in of ["header", "body"]) {
          const { baseUrl, oauth } = yield* service({
            instead: (_, { form, headers }) => ({
              status: 400,
              body: {
                error: "invalid_request",
                error_description: `${JSON.stringify(headers)} ${new URLSearchParams(form as never)} ${JSON.stringify(form)}`
              }
            })
          })
          const config = clientWith(oauth, {
            client_secret_in,
            parameters: [{ name: "assertion", value: "Zusatz-2342" }]
          })
          const output = yield* read(baseUrl, { config, names: metrics })
          assertFails(output, /invalid_request: .*\*\*\*\*/)
          const written = yield* run(baseUrl, config)
          assert.strictEqual(written.code, 1)
          assert.match(written.stderr, /invalid_request: .*\*\*\*\*/)
          assertNoSecrets(oauth, output.stdout, written.stderr)
          assert.notInclude(output.stdout + written.stderr, "Zusatz-2342")
        }
      })
    )

    it.effect("never sends a token to another host, nor the secret", () =>
      Effect.gen(function* () {
        const elsewhere: Array<string> = []
        const other = yield* serveRaw((request, response) => {
          elsewhere.push(`${request.method} ${request.url}`)
          response.end("{}")
        })
        const redirecting: Layer = (ask, next) =>
          isRange(ask)
            ? { status: 307, headers: { location: `${other}${ask.path}` }, body: Buffer.alloc(0) }
            : next(ask)
        const { baseUrl, oauth } = yield* service({}, redirecting)
        assertFails(
          yield* read(baseUrl, { config: oauth.config, names: metrics }),
          /query_range redirects to http:\/\/127\.0\.0\.1:\d+, which is not followed/
        )
        const tokens = yield* serveRaw((_request, response) => {
          response.writeHead(307, { location: `${other}/token` }).end()
        })
        const config = clientWith(oauth, { token_url: `${tokens}/token` })
        assertFails(
          yield* read(baseUrl, { config, names: metrics }),
          /\/token redirects to http:\/\/127\.0\.0\.1:\d+\/token, which is not followed, because credentials would be sent there\. Set authentication\.token_url/
        )
        assert.isEmpty(elsewhere)
      })
    )
  })
})

describe("A bearer token", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    const TOKEN = "Geheim.4711-_~+/="

    /** A gate that accepts one token, which a test may change. */
    const gateOf = (first: string) => {
      let accepted = first
      const gate: Layer = (ask, next) =>
        tokenOf(ask) === accepted ? next(ask) : text(401, `${ask.headers.authorization} is not accepted`)
      return {
        gate,
        accept: (token: string) => {
          accepted = token
        }
      }
    }

    const configOf = (token: string) => ({ authentication: { auth_type: "bearer_token", token } })

    it.effect("is checked, discovered, read and written by run", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* Source).baseUrl, gateOf(TOKEN).gate)
        const config = configOf(TOKEN)
        assert.strictEqual((yield* check(baseUrl, config)).status, "SUCCEEDED")
        assert.deepStrictEqual((yield* discover(baseUrl, config)).names, metrics)
        assertWhole(yield* readAll(baseUrl, config), yield* expected)
        assert.deepStrictEqual(rowsOf((yield* run(baseUrl, config)).summary), allRows)
      })
    )

    it.effect("that is refused is reported by its key, and not shown", () =>
      Effect.gen(function* () {
        const { baseUrl, requests } = yield* fake((yield* Source).baseUrl, gateOf(TOKEN).gate)
        const config = configOf("Falsch-0815")
        const message = /HTTP 401: Bearer \*\*\*\* is not accepted\. Check authentication\.token/
        const checked = yield* check(baseUrl, config)
        assert.match(checked.message ?? "", message)
        const output = yield* read(baseUrl, { config, names: metrics })
        assertFails(output, message)
        const written = yield* run(baseUrl, config)
        assert.match(written.stderr, message)
        assert.notInclude(checked.output.stdout + output.stdout + written.stderr, "Falsch")
        assert.isNotEmpty(requests)
      })
    )

    it.effect("in a file is read again in the middle of a run, when it was replaced", () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        const { accept, gate } = gateOf("Erster-0815")
        const file = files.write("token", "Erster-0815\n")
        let ranges = 0
        const rotating: Layer = async (ask, next) => {
          const answer = await next(ask)
          if (isRange(ask) && ++ranges === 3) {
            accept("Zweiter-4711")
            writeFileSync(file, "Zweiter-4711\n")
          }
          return answer
        }
        const { baseUrl, requests } = yield* fake((yield* Source).baseUrl, rotating, gate)
        const out = files.path("out")
        const config = files.write("config.json", settings(baseUrl, { concurrency: 1 }))
        const { code, stderr, stdout } = yield* child.run([
          "run",
          "--config",
          config,
          "--token-file",
          file,
          "--to",
          `jsonl:${out}`
        ])
        assert.strictEqual(code, 0, stderr)
        for (const metric of metrics) {
          const lines = readFileSync(`${out}/${metric}.jsonl`, "utf8").trim().split("\n")
          assert.deepStrictEqual([lines.length, new Set(lines).size], [RECORDS, RECORDS], metric)
        }
        assert.deepStrictEqual([...new Set(requests.map(tokenOf))], ["Erster-0815", "Zweiter-4711"])
        assert.notMatch(stdout + stderr, /Erster|Zweiter/)
      })
    )
  })
})
