/** The built executable writes Parquet into a real S3 server: keys, errors, kills, and what two runs at once do. */
import { once } from "node:events"
import { existsSync, mkdirSync, readdirSync } from "node:fs"
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SummaryDocument } from "../../src/report/summaryJson.ts"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import { certificate } from "../support/certificates.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge } from "../support/gauge.ts"
import { pointsOf, serve } from "../support/mockServer.ts"
import * as S3 from "../support/s3.ts"
import * as Squid from "../support/squid.ts"

/** A prefix whose characters mean something in addresses, patterns or SQL. */
const PREFIX = "a b/it's ü%20+[x]"

/** Variables that must not reach the program. */
const none = {
  AWS_PROFILE: undefined,
  AWS_CONFIG_FILE: "/nonexistent",
  AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
  AWS_EC2_METADATA_DISABLED: "true"
}

/** Nothing of the environment of the tests. */
const noProxy = {
  http_proxy: undefined,
  HTTP_PROXY: undefined,
  https_proxy: undefined,
  no_proxy: undefined,
  NO_PROXY: undefined
}

const secrets = [
  S3.s3Keys.secretAccessKey,
  "wrong-secret",
  Squid.proxyPassword,
  encodeURIComponent(Squid.proxyPassword)
]

/** Runs into a place, and checks that nothing secret is printed. */
const runInto = Effect.fnUntraced(function* (
  files: connector.Workspace,
  config: object,
  env: Readonly<Record<string, string | undefined>>,
  args: ReadonlyArray<string> = [],
  to = `s3://metrics/${PREFIX}`
) {
  const result = yield* child.run(
    ["run", "--config", files.write("c.json", config), "--to", `parquet:${to}`, "--json", ...args],
    { env: { ...none, ...env } }
  )
  for (const secret of secrets) assert.notInclude(result.stdout + result.stderr, secret)
  return result
})

const summaryOf = ({ code, stderr, stdout }: child.ChildResult) => {
  assert.strictEqual(code, 0, stderr)
  return Schema.decodeUnknownSync(Schema.fromJsonString(SummaryDocument))(stdout)
}

/** The rows of a stream, from the files of the server. */
const rowsIn = (data: string, prefix = PREFIX, stream = "up") =>
  Effect.promise(async () => {
    const folder = join(data, "metrics", prefix, stream)
    const paths = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".parquet"))
      .map((path) => `'${join(folder, path).replaceAll("'", "''").replace(/[[*?]/g, "[$&]")}'`)
    const [row] = await queryDatabase(
      ":memory:",
      `SELECT count(*)::INT AS rows, count(DISTINCT (series_id, time))::INT AS keys, sum(value)::DOUBLE AS sum
       FROM read_parquet([${paths.join(", ")}], union_by_name = true)`
    )
    return row as { readonly rows: number; readonly keys: number; readonly sum: number }
  })

const sumTo = (minutes: number): number => (minutes * (minutes - 1)) / 2

const leftovers = (data: string, prefix = PREFIX): ReadonlyArray<string> => {
  const folder = join(data, "metrics", prefix, "_state", "_new")
  return existsSync(folder) ? readdirSync(folder) : []
}

describe("Parquet in S3", () => {
  it.live("resumes, reads again, and is replaced, with a profile or variables", () =>
    Effect.gen(function* () {
      const server = yield* S3.make()
      const files = yield* connector.workspace
      const { config } = yield* serve(gauge("up", 3000), 1000)
      const later = { ...config, end_date: "2026-01-02T23:59:00Z" }
      const dry = yield* runInto(files, config, server.environment, ["--dry-run"])
      assert.strictEqual(dry.code, 0, dry.stderr)
      assert.deepStrictEqual(readdirSync(join(server.data, "metrics")), [])

      assert.strictEqual(summaryOf(yield* runInto(files, config, server.environment)).rows, 1000)
      assert.deepStrictEqual(yield* rowsIn(server.data), { rows: 1000, keys: 1000, sum: sumTo(1000) })
      // The keys, the endpoint and the region of a profile.
      const profile = files.path("credentials")
      files.write(
        "credentials",
        `[metrics]\naws_access_key_id = ${S3.s3Keys.accessKeyId}\naws_secret_access_key = ${S3.s3Keys.secretAccessKey}\n`
      )
      const configFile = files.path("aws")
      files.write("aws", `[profile metrics]\nregion = ${S3.s3Region}\nendpoint_url = ${server.endpoint}\n`)
      const byProfile = {
        AWS_PROFILE: "metrics",
        AWS_SHARED_CREDENTIALS_FILE: profile,
        AWS_CONFIG_FILE: configFile
      }
      assert.strictEqual(summaryOf(yield* runInto(files, later, byProfile)).rows, 1880)
      assert.deepStrictEqual(yield* rowsIn(server.data), { rows: 2880, keys: 2880, sum: sumTo(2880) })

      const again = { ...later, lookback_window: 86_400 }
      assert.isAbove(summaryOf(yield* runInto(files, again, server.environment)).rows, 1000)
      assert.deepStrictEqual(yield* rowsIn(server.data), { rows: 2880, keys: 2880, sum: sumTo(2880) })
      summaryOf(yield* runInto(files, config, server.environment, ["--full-refresh", "--yes"]))
      assert.deepStrictEqual(yield* rowsIn(server.data), { rows: 1000, keys: 1000, sum: sumTo(1000) })
      assert.deepStrictEqual(leftovers(server.data), [])
    })
  )

  it.live("loses and repeats nothing if runs are killed, and refuses a second one", () =>
    Effect.gen(function* () {
      const server = yield* S3.make()
      const files = yield* connector.workspace
      let delayMillis = Number.POSITIVE_INFINITY
      const { config, mock } = yield* serve(gauge("up", 2000, 20), 2000, {
        faults: (request) => (pointsOf(request) > 0 ? { delayMillis } : undefined)
      })
      const path = files.write("c.json", config)
      const args = ["run", "--config", path, "--to", `parquet:s3://metrics/${PREFIX}`, "--json"]
      const temporary = files.path("temporary")
      mkdirSync(temporary)
      const env = { ...none, ...server.environment, TMPDIR: temporary }
      for (let kill = 0; kill < 3; kill++) {
        const before = mock.requests.length
        yield* Effect.scoped(
          Effect.gen(function* () {
            const running = yield* child.start(args, { env })
            const lease = join(server.data, "metrics", PREFIX, "_state", "_lease.json")
            // A run may end before that: an earlier one may have left it little to do.
            let hasEnded = false
            running.process.once("exit", () => {
              hasEnded = true
            })
            while (!hasEnded && (!existsSync(lease) || mock.requests.length < before + 2 + kill))
              yield* Effect.sleep("5 millis")
            if (kill === 0) {
              // It waits for the server until it is killed.
              assert.isFalse(hasEnded)
              const second = yield* child.run(args, { env })
              assert.notStrictEqual(second.code, 0)
              assert.match(
                second.stderr,
                new RegExp(
                  `is being written by another run \\(process ${running.process.pid} on [^)]+\\)\\. Wait`
                )
              )
            }
            running.kill("SIGKILL")
            const { code, stderr } = yield* running.result
            if (code !== null) assert.strictEqual(code, 0, stderr)
            delayMillis = 20
          })
        )
      }
      summaryOf(yield* child.run(args, { env }))
      const { keys, rows } = yield* rowsIn(server.data)
      assert.deepStrictEqual([rows, keys], [40_000, 40_000])
      assert.deepStrictEqual(leftovers(server.data), [])
      assert.deepStrictEqual(readdirSync(temporary), [])
    })
  )

  it.live("retries lost connections and busy responses, also where a request took effect", () =>
    Effect.gen(function* () {
      const server = yield* S3.make()
      const files = yield* connector.workspace
      const { config } = yield* serve(gauge("up", 300), 300)
      const proxy = yield* faultyProxy(server.endpoint)
      const env = { ...server.environment, AWS_ENDPOINT_URL_S3: proxy.endpoint }
      assert.strictEqual(summaryOf(yield* runInto(files, config, env)).rows, 300)
      assert.deepStrictEqual(yield* rowsIn(server.data), { rows: 300, keys: 300, sum: sumTo(300) })
      assert.isAbove(proxy.faults(), 5)
    })
  )

  it.live("reaches a store with a certificate of an own authority through a proxy", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const root = certificate({ commonName: "Test Root", isAuthority: true })
      const own = certificate({ hosts: ["127.0.0.1"], issuer: root })
      files.write("cert.pem", own.cert)
      files.write("key.pem", own.key)
      files.write("root.pem", root.cert)
      const tls = { certPath: files.path("cert.pem"), keyPath: files.path("key.pem") }
      const server = yield* S3.make({ tls })
      const squid = yield* Squid.make({ hasUsers: true })
      const { config } = yield* serve(gauge("up", 300), 300)
      const env = {
        ...noProxy,
        ...server.environment,
        AWS_CA_BUNDLE: files.path("root.pem"),
        HTTPS_PROXY: squid.urlWithUser
      }
      assert.strictEqual(summaryOf(yield* runInto(files, config, env)).rows, 300)
      assert.deepStrictEqual(yield* rowsIn(server.data), { rows: 300, keys: 300, sum: sumTo(300) })
      const { host } = new URL(server.endpoint)
      assert.include(squid.requests().join("\n"), `CONNECT ${host}`)
      const [untrusted, unknown, missing] = yield* Effect.all(
        [
          runInto(files, config, { ...env, AWS_CA_BUNDLE: undefined }),
          runInto(files, config, { ...env, HTTPS_PROXY: squid.url }),
          runInto(files, config, { ...env, AWS_CA_BUNDLE: "/nonexistent" })
        ],
        { concurrency: 3 }
      )
      assert.match(untrusted.stderr, /the certificate of https:\/\/\S+ is not trusted.* set AWS_CA_BUNDLE/)
      assert.match(unknown.stderr, /https:\/\/\S+ cannot be reached: .*proxy/i)
      assert.match(missing.stderr, /\/nonexistent \(AWS_CA_BUNDLE\) cannot be read: it does not exist\./)
    })
  )

  it.live("says what is wrong in a sentence", () =>
    Effect.gen(function* () {
      const server = yield* S3.make()
      const files = yield* connector.workspace
      const { config } = yield* serve(gauge("up", 10), 10)
      const env = server.environment
      const cases: ReadonlyArray<
        readonly [env: Readonly<Record<string, string | undefined>>, message: RegExp, to?: string]
      > = [
        [
          { ...env, AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined },
          /there are no AWS credentials\. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile/
        ],
        [
          { ...env, AWS_SECRET_ACCESS_KEY: "wrong-secret" },
          /the signature is wrong\. Check that the secret belongs/
        ],
        [env, /there is no bucket missing at http:\/\/127\.0\.0\.1:\d+\. Create it/, "s3://missing/a"],
        [
          { ...env, AWS_ENDPOINT_URL_S3: "http://127.0.0.1:9" },
          /http:\/\/127\.0\.0\.1:9 cannot be reached: .*ECONNREFUSED.*Check the network/
        ]
      ]
      yield* Effect.forEach(
        cases,
        Effect.fnUntraced(function* ([env, message, to]) {
          const { code, stderr } = yield* runInto(files, config, env, [], to)
          assert.notStrictEqual(code, 0)
          assert.match(stderr, message)
          assert.notMatch(stderr, /\n\s+at /)
        }),
        { concurrency: 2 }
      )
      assert.deepStrictEqual(readdirSync(join(server.data, "metrics")), [])
    })
  )
})

/** A server before another one, which loses connections before and after requests, and is busy at times. */
const faultyProxy = Effect.fnUntraced(function* (endpoint: string) {
  let count = 0
  let faults = 0
  const forward = (incoming: IncomingMessage, outgoing: ServerResponse, isLost: boolean) => {
    const upstream = request(
      endpoint + incoming.url,
      { method: incoming.method, headers: incoming.headers },
      (response) => {
        if (isLost) {
          response.resume().once("end", () => incoming.socket.destroy())
          return
        }
        outgoing.writeHead(response.statusCode ?? 500, response.rawHeaders)
        response.pipe(outgoing)
      }
    )
    upstream.once("error", () => incoming.socket.destroy())
    incoming.pipe(upstream)
  }
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((incoming, outgoing) => {
        const kind = count++ % 12
        if (kind >= 1 && kind <= 3) faults++
        if (kind === 1) return incoming.socket.destroy()
        if (kind === 2) return forward(incoming, outgoing, true)
        if (kind === 3) {
          incoming.resume().once("end", () => {
            outgoing.writeHead(503, { "content-type": "application/xml" })
            outgoing.end(
              "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            )
          })
          return
        }
        forward(incoming, outgoing, false)
      }).listen(0, "127.0.0.1")
      await once(server, "listening")
      return server
    }),
    (server) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults: () => faults
  }
})
