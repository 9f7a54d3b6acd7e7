/**
 * Permanent faults. The read fails with an error that says what happened, and emits no wrong record. The next read
 * resumes from its last states and emits exactly the missing records.
 */
import { constants, gunzipSync, gzipSync } from "node:zlib"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  changeBody,
  type Fault,
  make,
  type Plan,
  response,
  type SeenRequest,
  withWarnings
} from "../support/faultProxy.ts"
import {
  assertFailed,
  assertResumes,
  assertWhole,
  type Failure,
  makeServer,
  readFrom,
  readThrough,
  Source,
  streams
} from "../support/faultyReads.ts"

const html = (title: string): string => `<html><head><title>${title}</title></head><body></body></html>`

/** From the second window on, all requests of one stream fail. */
const later =
  (fault: Fault | ((request: SeenRequest) => Fault)): Plan =>
  ({ metric, ordinal, ...rest }) =>
    metric === "texts" && ordinal > 0
      ? typeof fault === "function"
        ? fault({ metric, ordinal, ...rest })
        : fault
      : undefined

interface Case extends Failure {
  readonly what: string
  readonly plan: Plan
  readonly config?: object
  /** Whether the other streams are still read. */
  readonly alone: boolean
}

const inBody = (share: number) => ({ part: "body", share }) as const

const cases: ReadonlyArray<Case> = [
  {
    what: "resets in the middle of responses",
    plan: later({ type: "break", how: "reset", at: inBody(0.6) }),
    type: "transient_error",
    // Small responses break off at another place.
    texts: [/1 of 6 streams failed: texts/, /cut short|the connection was reset/, /check proxies/],
    alone: true
  },
  {
    what: "responses that are changed",
    plan: later(changeBody((body) => Buffer.from(body.toString().replace('"values":[[', '"values":[{')))),
    type: "transient_error",
    texts: [/1 of 6 streams failed: texts/, /cannot be read/, /check proxies/],
    alone: true
  },
  {
    what: "compressed responses whose checksum is wrong",
    plan: later(
      changeBody((body) => {
        const out = Buffer.from(body)
        out[body.length - 6]! ^= 1
        return out
      })
    ),
    config: { compression: "gzip" },
    type: "transient_error",
    texts: [/1 of 6 streams failed: texts/, /is not valid gzip/, /check proxies/],
    alone: true
  },
  {
    what: "compressed responses that are changed in the middle",
    plan: later(
      changeBody((body) => {
        const plain = gunzipSync(body)
        const good = gzipSync(plain.subarray(0, plain.length / 2), {
          finishFlush: constants.Z_FULL_FLUSH
        })
        // A block of an invalid type.
        return Buffer.concat([good, Buffer.from([0b111]), Buffer.alloc(500, 0x55)])
      })
    ),
    config: { compression: "gzip" },
    type: "transient_error",
    texts: [/1 of 6 streams failed: texts/, /is not valid gzip/, /check proxies/],
    alone: true
  },
  {
    what: "warnings that data may be missing",
    plan: later(withWarnings("fetch series: rpc error: code = Unavailable")),
    type: "transient_error",
    texts: [
      /1 of 6 streams failed: texts/,
      /may lack data\. It warns: fetch series: rpc error: code = Unavailable\./,
      /partial_data to accept/
    ],
    alone: true
  },
  {
    what: "a response that stalls",
    plan: later({ type: "stall", at: inBody(0.4) }),
    config: { request_timeout: 2 },
    type: "transient_error",
    texts: [/1 of 6 streams failed: texts/, /did not continue within 2 s/, /raise request_timeout/],
    alone: true
  },
  {
    what: "a proxy's error pages",
    plan: later(response(502, html("502 Bad Gateway"))),
    type: "transient_error",
    texts: [
      /1 of 6 streams failed: texts/,
      /HTTP 502: a web page titled "502 Bad Gateway"/,
      /try again later/
    ],
    alone: true
  },
  {
    what: "a rate limit",
    plan: later(
      response(429, { status: "error", error: "too many outstanding requests" }, { "Retry-After": "1" })
    ),
    type: "transient_error",
    texts: [/1 of 6 streams failed: texts/, /HTTP 429: too many outstanding requests/, /Lower concurrency/],
    alone: true
  },
  {
    what: "a response to another query, as from a cache",
    plan: later(
      changeBody((body) =>
        Buffer.from(body.toString().replace(/\[(\d+),/g, (_, time) => `[${Number(time) - 60},`))
      )
    ),
    type: "system_error",
    texts: [/1 of 6 streams failed: texts/, /not a requested point/, /report/],
    alone: true
  },
  {
    what: "credentials that are no longer valid",
    plan: later(response(401, "Unauthorized")),
    type: "config_error",
    texts: [/HTTP 401: Unauthorized/, /Check basic_auth_user/],
    alone: false
  },
  {
    what: "a login page",
    plan: later(response(200, html("Sign in"))),
    type: "config_error",
    texts: [/HTTP 200: a web page titled "Sign in"/, /looks like a login page/],
    alone: false
  },
  {
    what: "a path that no longer exists",
    plan: later(response(404, "404 page not found")),
    type: "config_error",
    texts: [/HTTP 404/, /Check the path of base_url/],
    alone: false
  },
  {
    what: "connections that are reset before any response",
    plan: later({ type: "break", how: "reset", at: { part: "head", share: 0 } }),
    type: "transient_error",
    texts: [
      /1 of 6 streams failed: texts/,
      /cannot be reached \(the connection was reset\)/,
      /it may have failed on this request/
    ],
    alone: true
  }
]

describe("a read", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const { alone, config, plan, what, ...failure } of cases) {
      it.effect(`fails midway because of ${what}, and then resumes`, () =>
        Effect.gen(function* () {
          const { output } = yield* readThrough({ plan }, { config: { max_retries: 1, ...config } })
          assertFailed(output, failure)
          assert.include(output.statuses, "texts:INCOMPLETE")
          const complete = output.statuses.filter((status) => status.endsWith(":COMPLETE")).length
          if (alone) assert.strictEqual(complete, streams.length - 1)
          const states = output.states.filter(({ stream }) => stream.stream_descriptor.name === "texts")
          assert.strictEqual(states.length, 1, "its first window was complete")
          yield* assertResumes(output)
        })
      )
    }

    it.effect.each([
      ["responses that end early, as if they were complete", "none", 5000],
      ["compressed responses that end early", "gzip", 300]
    ] as const)(
      "succeeds in smaller windows despite %s at the same size each time",
      ([, compression, bytes]) =>
        Effect.gen(function* () {
          const { expected } = yield* Source
          const plan = later(changeBody((body) => body.subarray(0, bytes)))
          const { output } = yield* readThrough({ plan }, { config: { max_retries: 1, compression } })
          assertWhole(output, expected)
        })
    )

    it.effect("fails midway if the server is down for longer than all retries, and then resumes", () =>
      Effect.gen(function* () {
        const { server } = yield* Source
        const proxy = yield* make({
          upstream: server.baseUrl,
          plan: async ({ metric, ordinal }) => {
            if (metric === "texts" && ordinal === 1) await proxy.leave()
            return undefined
          }
        })
        const output = yield* readFrom(proxy.baseUrl, { config: { max_retries: 2 } })
        assertFailed(output, {
          type: "transient_error",
          texts: [/cannot be reached \(connection refused\)/, /Check base_url, that the server runs/]
        })
        assert.isAbove(output.states.length, 0)
        yield* assertResumes(output)
      })
    )

    it.effect("succeeds if the server is back before retries are exhausted", () =>
      Effect.gen(function* () {
        const { expected, server } = yield* Source
        const proxy = yield* make({
          upstream: server.baseUrl,
          plan: async ({ metric, ordinal, attempt }) => {
            if (metric === "texts" && ordinal === 1 && attempt === 0) {
              await proxy.leave()
              setTimeout(() => proxy.comeBack(), 700)
            }
            return undefined
          }
        })
        const output = yield* readFrom(proxy.baseUrl)
        assertWhole(output, expected)
        assert.include(output.logs.join("\n"), "cannot be reached")
      })
    )

    it.effect("succeeds if the server is restarted", () =>
      Effect.gen(function* () {
        const { expected } = yield* Source
        const server = yield* makeServer
        let isStopped = false
        const proxy = yield* make({
          upstream: server.baseUrl,
          plan: async ({ metric, ordinal }) => {
            if (metric === "wide" && ordinal === 1 && !isStopped) {
              isStopped = true
              await Effect.runPromise(server.stop)
              Effect.runFork(server.restart)
            }
            return undefined
          }
        })
        const names = ["digits", "wide"]
        const output = yield* readFrom(proxy.baseUrl, { names })
        assertWhole(output, new Map([...expected].filter(([key]) => /"__name__","(digits|wide)"/.test(key))))
        assert.include(output.logs.join("\n"), "Retrying in")
      })
    )
  })
})
