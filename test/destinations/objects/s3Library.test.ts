/** What AWS' client does with the responses of a store, from a server that sends what a test wants. */
import { once } from "node:events"
import { createServer, type IncomingMessage, type OutgoingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ObjectStore } from "../../../src/destinations/objects/ObjectStore.ts"
import { retries } from "../../../src/destinations/objects/retries.ts"
import { openS3Store } from "../../../src/destinations/objects/S3Store.ts"

/** A response; undefined loses the connection. */
type Response = { readonly status: number; readonly headers?: OutgoingHttpHeaders; readonly body?: string }
type Handler = (request: IncomingMessage) => Response | undefined

/** An error as S3 sends it. */
const error = (status: number, code: string, text = "Some text."): Response => ({
  status,
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${text}</Message></Error>`
})

/** Sets variables of this process until the scope closes: AWS' client reads them itself, and other tests must not find them. */
const withVariables = (variables: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
      Object.assign(process.env, variables)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        for (const [name, value] of before) {
          if (value === undefined) delete process.env[name]
          else process.env[name] = value
        }
      })
  )

/** A store at a server of its own. */
const storeWith = Effect.fnUntraced(function* (handler: Handler) {
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((request, response) => {
        request.resume().once("end", () => {
          const found = handler(request)
          if (found === undefined) {
            request.socket.destroy()
            return
          }
          response.writeHead(found.status, found.headers)
          // A response to this method has no body.
          response.end(request.method === "HEAD" ? undefined : found.body)
        })
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      return server
    }),
    (server) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  yield* withVariables({
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: "eu-central-7",
    AWS_ACCESS_KEY_ID: "AKIDTEST",
    AWS_SECRET_ACCESS_KEY: "secret"
  })
  return yield* openS3Store({ bucket: "metrics", prefix: "p", url: "s3://metrics/p" })
})

const bytes = Buffer.from("text")
const all = (store: ObjectStore) => [
  store.list(""),
  store.get("a"),
  store.put("a", bytes, { version: undefined }),
  store.exists("a"),
  store.copy("b", "a", 4),
  store.remove("a")
]

const page = "<html><body><h1>Hello</h1><br></body></html>"

describe("AWS' client", () => {
  it.live("repeats each request for itself, for as long as the store is busy", () =>
    Effect.gen(function* () {
      const attempts = new Map<string, number>()
      const store = yield* storeWith(({ url = "" }) => {
        const number = (attempts.get(url) ?? 0) + 1
        attempts.set(url, number)
        if (number === 2) return error(503, "SlowDown")
        return number <= 5 ? undefined : { status: 200, headers: { etag: '"1"' }, body: url }
      })
      const keys = Array.from({ length: 12 }, (_, number) => `${number}`)
      yield* Effect.forEach(keys, store.get, { concurrency: "unbounded" })
      assert.deepStrictEqual([...attempts.values()], new Array(12).fill(6))
    }).pipe(Effect.scoped)
  )

  it.live("stops after eight attempts, and at once if no other attempt can help", () =>
    Effect.gen(function* () {
      const { acquireInitialRetryToken, refreshRetryTokenForRetry } = retries
      const delaysOf = (errorType: string) =>
        Effect.promise(async () => {
          const delays: Array<number> = []
          let token = await acquireInitialRetryToken()
          for (;;) {
            const next = await refreshRetryTokenForRetry(token, { errorType }).catch(() => undefined)
            if (next === undefined) return delays
            token = next
            delays.push(token.getRetryDelay())
          }
        })
      for (const [type, first] of [
        ["TRANSIENT", 100],
        ["THROTTLING", 1000]
      ] as const) {
        const delays = yield* delaysOf(type)
        assert.lengthOf(delays, 7)
        for (const [n, delay] of delays.entries()) assert.isBelow(delay, Math.min(20_000, first * 2 ** n))
      }
      assert.deepStrictEqual(yield* delaysOf("CLIENT_ERROR"), [])
      const soon = new Date(Date.now() + 5000)
      const token = yield* Effect.promise(async () =>
        refreshRetryTokenForRetry(await acquireInitialRetryToken(), {
          errorType: "THROTTLING",
          retryAfterHint: soon
        })
      )
      assert.isAbove(token.getRetryDelay(), 4000)
    })
  )

  it.live.each<readonly [string, Response, RegExp]>([
    ["an expired token", error(400, "ExpiredToken"), /the AWS credentials have expired\. Renew them/],
    ["an unknown key", error(403, "InvalidAccessKeyId"), /http:\/\/\S+ does not know the access key/],
    [
      "another region",
      { ...error(301, "PermanentRedirect"), headers: { "x-amz-bucket-region": "us-west-2" } },
      /the bucket is in another region\. Set AWS_REGION to that of the bucket/
    ],
    ["a wrong clock", error(403, "RequestTimeTooSkewed"), /the clock of this machine is wrong/],
    ["no permission", error(403, "AccessDenied"), /access denied\. Allow s3:\w+( and s3:\w+)? on s3:/],
    ["a full store", error(507, "XMinioStorageFull"), /the store is full/],
    [
      "a page of a server that is no store",
      { status: 400, body: page },
      /http:\/\/\S+ does not respond as S3 does \(status 400\)\. Check AWS_ENDPOINT_URL_S3, and the proxy/
    ]
  ])("leads to the same sentence for all requests: %s", ([, response, sentence]) =>
    Effect.gen(function* () {
      const store = yield* storeWith(() => response)
      for (const request of all(store)) {
        const { isFatal, message } = yield* Effect.flip(request as Effect.Effect<unknown, never>)
        assert.match(message, sentence)
        assert.match(message, /^s3:\/\/metrics\/p\S* cannot be (read|written|removed): /)
        assert.isTrue(isFatal)
      }
    }).pipe(Effect.scoped)
  )

  it.live("finds the region of a bucket if the store names it", () =>
    Effect.gen(function* () {
      const store = yield* storeWith(({ headers }) =>
        headers.authorization?.includes("/us-west-2/s3/") === true
          ? { status: 200, headers: { etag: '"1"' }, body: "found" }
          : { ...error(301, "PermanentRedirect"), headers: { "x-amz-bucket-region": "us-west-2" } }
      )
      assert.isTrue(yield* store.exists("a"))
    }).pipe(Effect.scoped)
  )

  it.live("waits for other puts at the same moment", () =>
    Effect.gen(function* () {
      let puts = 0
      const store = yield* storeWith(({ method }) => {
        if (method !== "PUT") return error(404, "NoSuchKey")
        return ++puts < 4
          ? error(409, "ConditionalRequestConflict")
          : { status: 200, headers: { etag: '"1"' } }
      })
      const saved = yield* store.put("a", bytes, { version: undefined })
      assert.strictEqual(saved._tag, "Some")
    }).pipe(Effect.scoped)
  )
})
