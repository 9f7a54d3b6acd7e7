/** Credentials that become invalid in the middle of a read, are refused at once, or are asked for by another host: each method. */
import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { fake, isRange, type Layer, text } from "../support/fakes/fake.ts"
import { tlsFront, type WayIn, waysIn } from "../support/fakes/waysIn.ts"
import {
  assertFailed,
  assertResumes,
  assertWhole,
  readFrom,
  Source,
  settings
} from "../support/faultyReads.ts"
import { selfSigned } from "../support/selfSigned.ts"

/** The server behind a method, which sees requests before `layers`. */
const serve = Effect.fnUntraced(function* (way: WayIn, ...layers: ReadonlyArray<Layer>) {
  const { server } = yield* Source
  const { baseUrl, requests } = yield* fake(server.baseUrl, ...layers, way.layer)
  return { baseUrl: way.front === undefined ? baseUrl : yield* way.front(baseUrl), requests }
})

const childOf = ({ env }: WayIn) => (env === undefined ? {} : { child: { env } })

const assertNoSecrets = (way: WayIn, ...outputs: ReadonlyArray<string>) => {
  for (const output of outputs) for (const secret of way.secrets()) assert.notInclude(output, secret)
}

/** Rotates the credentials after so many responses to range queries. */
const rotateAfter = (way: WayIn, responses: number): Layer => {
  let seen = 0
  return async (ask, next) => {
    const response = await next(ask)
    if (isRange(ask) && ++seen === responses) way.rotate()
    return response
  }
}

describe("credentials that are rotated in the middle of a read", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const { key, name, open, renewsItself } of waysIn) {
      it.effect(`${name}: ${renewsItself ? "each row arrives once" : "the next sync resumes"}`, () =>
        Effect.gen(function* () {
          const { expected } = yield* Source
          const way = yield* open
          const { baseUrl } = yield* serve(way, rotateAfter(way, 12))
          const config = { ...way.config, max_retries: 1 }
          const output = yield* readFrom(baseUrl, { config, ...childOf(way) })
          assertNoSecrets(way, output.stdout, output.stderr)
          assert.isAtLeast(way.refusals(), 1)
          if (renewsItself) return assertWhole(output, expected)
          assertFailed(output, { type: "config_error", texts: [key] })
          assert.isNotEmpty(output.states)
          yield* assertResumes(output, name, {
            baseUrl,
            config: { ...way.renewed(), max_retries: 1 },
            ...childOf(way)
          })
        })
      )
    }
  })
})

describe("credentials that are refused", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const { key, name, open } of waysIn) {
      it.effect(`${name}: the message names what to check`, () =>
        Effect.gen(function* () {
          const way = yield* open
          // Nothing that the program can get is accepted.
          const refusing: Layer = (ask, next) => {
            way.rotate()
            return next(ask)
          }
          const { baseUrl } = yield* serve(way, refusing)
          if (way.front !== undefined) way.rotate()
          const files = yield* connector.workspace
          const config = files.write("config.json", settings(baseUrl, { ...way.config, max_retries: 1 }))
          const output = yield* connector.runVerb(["check", "--config", config], { ...childOf(way).child })
          const status = output.messages.find(({ type }) => type === "CONNECTION_STATUS") as
            | { readonly connectionStatus: { readonly status: string; readonly message: string } }
            | undefined
          assert.strictEqual(status?.connectionStatus.status, "FAILED", output.stdout)
          assert.match(status?.connectionStatus.message ?? "", key)
          assertNoSecrets(way, output.stdout, output.stderr)
        })
      )
    }
  })
})

/** Listens on loopback until the scope closes, and records all that arrives. */
const recorder = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const received: Array<Buffer> = []
      let connections = 0
      const server = createServer((socket) => {
        connections++
        socket.on("data", (bytes) => received.push(bytes))
        socket.on("error", () => {})
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
      })
      // Both addresses of localhost.
      await once(server.listen(0, "::"), "listening")
      return { server, received, connections: () => connections }
    }),
    ({ server }) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
  ),
  ({ connections, received, server }) => ({
    port: (server.address() as AddressInfo).port,
    received,
    connections
  })
)

const redirecting =
  (to: string): Layer =>
  (ask) => ({ ...text(307, ""), headers: { location: `${to}${ask.target}` } })

describe("a redirect to another place", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const { name, open } of waysIn) {
      for (const [what, host, schemes] of [
        // From http to https on the same host is followed, and the ports differ then.
        ["another port", "127.0.0.1", ["http"]],
        ["another host", "localhost", ["http", "https"]]
      ] as const) {
        it.effect(`gets nothing: ${name}, ${what}`, () =>
          Effect.gen(function* () {
            const way = yield* open
            const { connections, port, received } = yield* recorder
            for (const scheme of schemes) {
              const { baseUrl } = yield* serve(way, redirecting(`${scheme}://${host}:${port}`))
              const output = yield* readFrom(baseUrl, {
                config: { ...way.config, max_retries: 0 },
                ...childOf(way)
              })
              assertFailed(output, {
                type: "config_error",
                texts: [new RegExp(`redirects to ${scheme}://${host}:${port}, which is not followed`)]
              })
              assertNoSecrets(way, output.stdout, output.stderr)
            }
            assert.deepStrictEqual([connections(), Buffer.concat(received).toString()], [0, ""])
          })
        )
      }

      it.effect(`gets nothing: ${name}, from https to http`, () =>
        Effect.gen(function* () {
          const way = yield* open
          const { connections, port } = yield* recorder
          const { server } = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, redirecting(`http://127.0.0.1:${port}`), way.layer)
          const pair = selfSigned()
          const files = yield* connector.workspace
          const secure = way.front?.(baseUrl) ?? Effect.map(tlsFront(baseUrl, pair), (front) => front.baseUrl)
          const output = yield* readFrom(yield* secure, {
            config: { ...way.config, max_retries: 0 },
            child: { env: { ...way.env, NODE_EXTRA_CA_CERTS: files.write("ca.pem", pair.cert) } }
          })
          assertFailed(output, {
            type: "config_error",
            texts: [new RegExp(`redirects to http://127.0.0.1:${port}, which is not followed`)]
          })
          assert.strictEqual(connections(), 0)
        })
      )
    }
  })
})
