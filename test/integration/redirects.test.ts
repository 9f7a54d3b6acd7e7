/** Redirects in front of a real server: which are followed, and that no other host gets credentials. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { type Fault, make, type Plan, response, type SeenRequest } from "../support/faultProxy.ts"
import {
  assertFailed,
  assertResumes,
  assertWhole,
  type ReadOptions,
  readFrom,
  readThrough,
  Source
} from "../support/faultyReads.ts"
import { selfSigned } from "../support/selfSigned.ts"

const credentials = {
  basic_auth_user: "tester",
  basic_auth_pass: "Geheim-4711",
  headers: [{ name: "X-Scope-OrgID", value: "Mandant-0815" }]
}
const authorization = `Basic ${Buffer.from("tester:Geheim-4711").toString("base64")}`

const redirect = (status: number, location: string): Fault => response(status, "", { Location: location })

const assertCarried = (requests: ReadonlyArray<SeenRequest>): void => {
  for (const { headers } of requests) {
    assert.strictEqual(headers.get("authorization"), authorization)
    assert.strictEqual(headers.get("x-scope-orgid"), "Mandant-0815")
  }
}

const withCredentials = (more: object = {}): ReadOptions => ({
  config: { max_retries: 0, ...credentials, ...more }
})

describe("redirects", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    it.effect("are followed on the same host for each request, with credentials", () =>
      Effect.gen(function* () {
        const { expected } = yield* Source
        const statuses = [301, 302, 303, 307, 308]
        const plan: Plan = ({ ordinal, params, target }) => {
          // The request reaches the server after three redirects.
          if (params.get("hop") === "3") return undefined
          const before = target.replace(/[?&]hop=\d/, "")
          const hop = `hop=${Number(params.get("hop") ?? 0) + 1}`
          return redirect(
            statuses[ordinal % statuses.length]!,
            `${before}${before.includes("?") ? "&" : "?"}${hop}`
          )
        }
        const { output, proxy } = yield* readThrough({ plan }, withCredentials())
        assertWhole(output, expected)
        assertCarried(proxy.requests)
        const arrived = proxy.requests.length - proxy.hits.length
        assert.isAbove(arrived, 12)
        assert.strictEqual(proxy.hits.length, arrived * 3)
      })
    )

    for (const [what, host] of [
      ["another port", "127.0.0.1"],
      ["another host", "localhost"]
    ] as const) {
      it.effect(`to ${what} are refused, and nothing is sent there`, () =>
        Effect.gen(function* () {
          const { server } = yield* Source
          const other = yield* make({ upstream: server.baseUrl })
          const plan: Plan = ({ metric, ordinal, target }) =>
            metric === "texts" && ordinal === 1
              ? redirect(307, `http://${host}:${other.port}${target}`)
              : undefined
          const { output } = yield* readThrough({ plan }, withCredentials())
          assertFailed(output, {
            type: "config_error",
            texts: [
              new RegExp(`query_range redirects to http://${host}:${other.port}, which is not followed`),
              /Set base_url to the address that it redirects to/
            ]
          })
          assert.deepStrictEqual(other.requests, [])
          assert.notMatch(output.stdout, /Geheim|Mandant/)
          yield* assertResumes(output)
        })
      )
    }

    it.effect(
      "from http to https are followed on the same host, with credentials, if the certificate is trusted",
      () =>
        Effect.gen(function* () {
          const { expected, server } = yield* Source
          const pair = selfSigned()
          const secure = yield* make({ upstream: server.baseUrl, tls: pair })
          const plan: Plan = ({ target }) => redirect(308, `${secure.baseUrl}${target}`)

          const untrusted = yield* readThrough({ plan }, withCredentials())
          assertFailed(untrusted.output, {
            type: "config_error",
            texts: [
              new RegExp(
                `^${secure.baseUrl}/api/v1/query cannot be reached securely \\(self-signed certificate`
              ),
              /set tls.ca_certificate to the certificate of the server itself/
            ]
          })
          assert.deepStrictEqual(secure.requests, [])

          const files = yield* connector.workspace
          const child = { env: { NODE_EXTRA_CA_CERTS: files.write("ca.pem", pair.cert) } }
          const { output, proxy } = yield* readThrough({ plan }, { ...withCredentials(), child })
          assertWhole(output, expected)
          assert.strictEqual(secure.requests.length, proxy.requests.length)
          assertCarried(secure.requests)

          // Redirects from https to http are never followed: the connection would no longer be secure.
          const plain = yield* make({ upstream: server.baseUrl })
          const leaving = yield* make({
            upstream: server.baseUrl,
            tls: pair,
            plan: ({ target }) => redirect(302, `${plain.baseUrl}${target}`)
          })
          const back = yield* readFrom(leaving.baseUrl, { ...withCredentials(), child })
          assertFailed(back, { type: "config_error", texts: [/redirects to http:.* is not followed/] })
          assert.deepStrictEqual(plain.requests, [])
          assertCarried(leaving.requests)
          assert.strictEqual(leaving.requests.length, 1)
        })
    )

    it.effect("fail if they loop, or lead to a login page or an invalid address", () =>
      Effect.gen(function* () {
        const cases: ReadonlyArray<readonly [Plan, number, ReadonlyArray<RegExp>]> = [
          [({ target }) => redirect(302, target), 6, [/redirects more than 5 times/]],
          [
            ({ path }) =>
              path === "/login" ? response(200, "<title>Sign in</title>") : redirect(302, "/login?next=/"),
            2,
            [/HTTP 200: a web page titled "Sign in"/, /looks like a login page/]
          ],
          [() => redirect(302, "http://"), 1, [/redirects to an invalid address/]],
          [
            () => redirect(302, "file:///etc/passwd"),
            1,
            [/redirects to file:\/\/\/etc\/passwd, which is not followed/]
          ],
          [() => response(302), 1, [/HTTP 302/]],
          [() => response(304), 1, [/HTTP 304/]]
        ]
        yield* Effect.forEach(
          cases,
          Effect.fnUntraced(function* ([plan, requests, texts]) {
            const { output, proxy } = yield* readThrough({ plan }, withCredentials())
            assertFailed(output, { type: "config_error", texts })
            assert.strictEqual(proxy.requests.length, requests)
          }),
          { concurrency: 2, discard: true }
        )
      })
    )
  })
})
