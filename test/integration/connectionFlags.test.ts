/** The flags and variables of `run` that say how to reach a server, on the built executable. */
import { request as httpRequest } from "node:http"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { certificate } from "../support/certificates.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { CLIENT_ID, CLIENT_SECRET, oauthServer } from "../support/fakes/oauthServer.ts"
import { gauge } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"

const root = certificate({ commonName: "Test Root", isAuthority: true })
const server = certificate({ hosts: ["prometheus.test"], issuer: root })
const client = certificate({ commonName: "reader", issuer: root })
const passphrase = "Geheim 4711"

/** A TLS end in front of a server, which asks for a client certificate. Returns its address. */
const tlsEnd = (target: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const end = createServer(
          { cert: server.cert, key: server.key, ca: root.cert, requestCert: true, rejectUnauthorized: true },
          ({ headers, method, url }, response) => {
            httpRequest(new URL(url ?? "/", target), { method, headers }, (inner) => {
              response.writeHead(inner.statusCode ?? 500, inner.headers)
              inner.pipe(response)
            }).end()
          }
        )
        end.listen(0, "127.0.0.1", () => resume(Effect.succeed(end)))
      }),
      (end) =>
        Effect.sync(() => {
          end.closeAllConnections()
          end.close()
        })
    ),
    (end) => `https://127.0.0.1:${(end.address() as AddressInfo).port}`
  )

const range = ({ end_date, start_date }: { readonly end_date: string; readonly start_date: string }) => [
  ...["--start", start_date, "--end", end_date, "--step", "60"]
]

describe("run", () => {
  it.live("takes an OAuth 2.0 client, headers and parameters from flags, files and variables", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const login = yield* oauthServer()
      const apiKey = "k3y-in-a-header"
      const tenant = "t3nant/with +&="
      let isOpen = true
      const { config, mock } = yield* serve(gauge("a", 50), 50, {
        faults: ({ headers, params }) => {
          const token = headers.get("authorization")
          const isKnown =
            isOpen &&
            login.issued.some((issued) => token === `Bearer ${issued}`) &&
            headers.get("x-api-key") === apiKey &&
            headers.get("x-scope-orgid") === "a" &&
            params.get("namespace") === tenant
          return isKnown
            ? undefined
            : { status: 401, body: `no ${token} ${apiKey} ${tenant} ${CLIENT_SECRET}` }
        }
      })
      const args = [
        ...["run", "--url", config.base_url, ...range(config), "--to", `jsonl:${files.path("data")}`],
        ...["--token-url", login.tokenUrl, "--client-id", CLIENT_ID],
        ...["--client-secret-file", files.write("secret", `${CLIENT_SECRET}\n`)],
        ...["--scope", "read", "--scope", "metrics", "--audience", "https://prometheus"],
        ...["--token-parameter-file", files.write("more", "resource=https://r?a=b\n")],
        ...["--header-file", files.write("headers", `X-API-Key: ${apiKey}\r\n\r\nX-Scope-OrgID: a\r\n`)]
      ]
      const variables = { SOURCE_PROMETHEUS_PARAMETERS: `namespace=${tenant}` }
      const { code, stderr, stdout } = yield* child.run(args, { env: variables })
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /50 new rows/)
      assert.lengthOf(login.requests, 1)
      assert.deepInclude(login.requests[0]!.form, {
        grant_type: "client_credentials",
        scope: "read metrics",
        audience: "https://prometheus",
        resource: "https://r?a=b"
      })

      const before = mock.requests.length
      isOpen = false
      const refused = yield* child.run(args, { env: variables })
      assert.strictEqual(refused.code, 1)
      assert.isAbove(mock.requests.length, before)
      assert.match(
        refused.stderr,
        /HTTP 401: no Bearer \*{4} \*{4} \*{4} \*{4}\. Check .* authentication\.token_url \(--token-url\)/
      )
      for (const secret of [apiKey, tenant, CLIENT_SECRET, ...login.issued]) {
        assert.notInclude(stderr + stdout + refused.stderr + refused.stdout, secret)
      }
    })
  )

  it.live("takes certificates from files, and the passphrase of a key from a variable", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const { config } = yield* serve(gauge("a", 50), 50)
      const url = yield* tlsEnd(config.base_url)
      const encrypted = client.privateKey.export({
        type: "pkcs8",
        format: "pem",
        cipher: "aes-256-cbc",
        passphrase
      })
      const run = (to: string, more: ReadonlyArray<string>, env = {}) =>
        child.run(["run", "--url", url, ...range(config), "--to", `jsonl:${files.path(to)}`, ...more], {
          env
        })
      const ca = ["--ca-file", files.write("ca.pem", root.cert)]
      const name = ["--server-name", "prometheus.test"]
      const own = [
        ...["--cert-file", files.write("cert.pem", client.cert)],
        ...["--key-file", files.write("key.pem", String(encrypted))]
      ]
      const good = yield* run("good", [...ca, ...name, ...own], {
        SOURCE_PROMETHEUS_KEY_PASSPHRASE: passphrase
      })
      assert.strictEqual(good.code, 0, good.stderr)
      assert.match(good.stdout, /50 new rows/)
      const fromFile = [...own, "--key-passphrase-file", files.write("passphrase", passphrase)]
      const insecure = yield* run("insecure", [...fromFile, "--insecure"])
      assert.strictEqual(insecure.code, 0, insecure.stderr)
      assert.match(insecure.stderr, /tls\.verify is false/)

      for (const [more, expected] of [
        [[...name, ...fromFile], /tls\.ca_certificate \(--ca-file\)/],
        [[...ca, ...fromFile], /tls\.server_name \(--server-name\)/],
        [[...ca, ...name], /tls\.client_certificate \(--cert-file\)/],
        [
          [...ca, ...name, ...own],
          /tls\.client_key_passphrase \(SOURCE_PROMETHEUS_KEY_PASSPHRASE or --key-passphrase-file\)/
        ]
      ] as const) {
        const { code, stderr } = yield* run("bad", more)
        assert.isAbove(code ?? 0, 0)
        assert.match(stderr, expected)
        assert.notInclude(stderr, passphrase)
      }
    })
  )
})
