/**
 * Transient faults between the server and a read. Every record is emitted once, in the server's digits.
 *
 * A seed chooses which requests fail, where in the response, and how. `FAULT_SEEDS=50` runs 50 seeds instead of two, and
 * `FAULT_SEED=17` starts at seed 17.
 */
import { gunzipSync, gzipSync } from "node:zlib"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { Choices } from "../choices.ts"
import * as connector from "../support/connector.ts"
import {
  changeBody,
  choicesOf,
  type Fault,
  type FaultProxy,
  make,
  type Plan,
  type ProxiedResponse,
  response,
  type SeenRequest,
  someShare,
  type WrongChunks
} from "../support/faultProxy.ts"
import {
  assertWhole,
  type ReadOptions,
  readThrough,
  Source,
  settings,
  someWindows
} from "../support/faultyReads.ts"

const first = Number(process.env.FAULT_SEED ?? 1)
const seeds = Array.from({ length: Number(process.env.FAULT_SEEDS ?? 2) }, (_, i) => first + i)

/** A further check after a read. */
type Check = (proxy: FaultProxy, output: connector.Output) => void

/** Reads with every seed. The plan must have caused a fault each time. */
const survives = Effect.fnUntraced(function* (
  plan: (seed: number) => Plan,
  options: ReadOptions = {},
  check?: Check
) {
  const { expected } = yield* Source
  yield* Effect.forEach(
    seeds,
    Effect.fnUntraced(function* (seed) {
      const { output, proxy } = yield* readThrough({ seed, plan: plan(seed) }, options)
      assertWhole(output, expected, `seed ${seed}`)
      assert.isAbove(proxy.hits.length, 0)
      check?.(proxy, output)
    }),
    { concurrency: 2, discard: true }
  )
})

const anywhere = (choices: Choices) => ({
  part: choices.oneIn(4) ? ("head" as const) : ("body" as const),
  share: someShare(choices)
})

/** Replaces a byte by one that is invalid anywhere in JSON, or by one that is invalid at its position. */
const corrupted = (choices: Choices) =>
  changeBody((body) => {
    const out = Buffer.from(body)
    const structure: Array<number> = []
    let isInside = false
    for (let i = 0; i < body.length; i++) {
      const byte = String.fromCharCode(body[i]!)
      if (byte === "\\") i++
      else if (byte === '"') {
        isInside = !isInside
        structure.push(i)
      } else if (!isInside && "{}[],:".includes(byte)) structure.push(i)
    }
    if (choices.oneIn(2)) out[choices.below(body.length)] = choices.pick([0x00, 0xff])
    else {
      const at = choices.pick(structure)
      out[at] = (String.fromCharCode(body[at]!) === "}" ? "]" : "}").charCodeAt(0)
    }
    return out
  })

const packed = (change: (body: Buffer) => Buffer): Fault => ({
  type: "change",
  to: (response: ProxiedResponse) => {
    const encoding = response.headers.find(([name]) => name === "content-encoding")?.[1]
    assert.strictEqual(encoding, "gzip")
    return { ...response, body: change(response.body) }
  }
})

const html = (title: string): string => `<html><head><title>${title}</title></head><body></body></html>`

describe("a read whose responses break", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    it.effect("succeeds although the first two responses to every range query are cut", () =>
      survives((seed) => (request) => {
        const choices = choicesOf(seed, request)
        return request.metric === undefined || request.attempt >= 2
          ? undefined
          : {
              type: "break",
              how: choices.pick(["reset", "end"]),
              at: { part: "body", share: someShare(choices) }
            }
      })
    )

    it.effect("survives connections that are reset or closed anywhere in the head or the body", () =>
      survives((seed) =>
        someWindows(
          seed,
          (choices) => ({ type: "break", how: choices.pick(["reset", "end"]), at: anywhere(choices) }),
          { times: 2 }
        )
      )
    )

    it.effect("survives invalid framing", () =>
      survives((seed) =>
        someWindows(seed, (choices): Fault => {
          const share = someShare(choices)
          const body = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
          return choices.pick<() => Fault>([
            () => ({
              type: "wrong length",
              off: -choices.between(1, 1000),
              after: choices.pick(["end", "stay"])
            }),
            () => ({ type: "wrong length", off: choices.between(1, 1000), after: "end" }),
            ...(["size is no number", "size is too large", "size is too small", "ends early"] as const).map(
              (how: WrongChunks) => (): Fault => ({ type: "wrong chunks", how, share })
            ),
            () => ({ type: "wrong head", head: () => "HELLO\r\n\r\n" }),
            () => ({ type: "wrong head", head: () => "" }),
            () => ({
              type: "wrong head",
              head: (length) => `${body}Content-Length: ${length}\r\nno colon\r\n\r\n`
            }),
            () => ({
              type: "wrong head",
              head: (length) => `${body}X: \x00\r\nContent-Length: ${length}\r\n\r\n`
            }),
            () => ({ type: "wrong head", head: () => `${body}Content-Length: -1\r\n\r\n` }),
            () => ({
              type: "wrong head",
              head: (n) => `${body}Content-Length: ${n}\r\nContent-Length: 5\r\n\r\n`
            }),
            () => ({
              type: "wrong head",
              head: (n) => `${body}Content-Length: ${n}\r\nTransfer-Encoding: chunked\r\n\r\n`
            })
          ])()
        })
      )
    )

    it.effect("survives bodies that are cut short or changed, in valid framing", () =>
      survives((seed) =>
        someWindows(
          seed,
          (choices) =>
            choices.oneIn(3)
              ? changeBody((body) => body.subarray(0, choices.below(body.length)))
              : corrupted(choices),
          { times: 2 }
        )
      )
    )

    it.effect("survives gzip bodies that are cut, not compressed at all, or incomplete inside", () =>
      survives(
        (seed) =>
          someWindows(seed, (choices) =>
            choices.pick<() => Fault>([
              () => packed((body) => body.subarray(0, choices.below(body.length))),
              () => ({ type: "break", how: choices.pick(["reset", "end"]), at: anywhere(choices) }),
              () => packed((body) => gunzipSync(body)),
              () => packed((body) => gzipSync(gunzipSync(body).subarray(0, -1)))
            ])()
          ),
        { config: { compression: "gzip" } }
      )
    )

    it.effect("survives stalls in any part of a response", () =>
      survives(
        (seed) =>
          someWindows(seed, (choices, { ordinal }) =>
            ordinal > 0 && choices.oneIn(3)
              ? choices.pick<Fault>([
                  { type: "wrong length", off: choices.between(1, 1000), after: "stay" },
                  { type: "wrong chunks", how: "no end", share: 0 }
                ])
              : { type: "stall", at: anywhere(choices) }
          ),
        { config: { request_timeout: 1 } }
      )
    )

    it.effect("waits while a response continues, even one byte at a time", () =>
      Effect.gen(function* () {
        const { expected } = yield* Source
        const { output, proxy } = yield* readThrough(
          {
            plan: ({ metric, ordinal }) =>
              metric !== undefined && ordinal === 0
                ? { type: "trickle", bytes: 1, everyMillis: 3 }
                : undefined
          },
          { names: ["special"], config: { request_timeout: 2 } }
        )
        assertWhole(output, new Map([...expected].filter(([key]) => key.includes('["__name__","special"]'))))
        const next = proxy.requests.findIndex(({ ordinal }) => ordinal === 1)
        assert.isAbove(proxy.requests[next]!.atMillis - proxy.requests[next - 1]!.atMillis, 2000)
      })
    )

    it.effect("survives a response that breaks off and is refused for its size on the retry", () =>
      survives(
        (seed) =>
          ({ attempt, metric, ordinal, params }) => {
            const points = (Number(params.get("end")) - Number(params.get("start"))) / 60 + 1
            if (metric === undefined || attempt > 1 || points < 20) return undefined
            const choices = choicesOf(seed, { attempt, metric, ordinal, path: "" })
            return attempt === 0
              ? { type: "break", how: "reset", at: { part: "body", share: someShare(choices) } }
              : response(422, {
                  status: "error",
                  errorType: "execution",
                  error: "query processing would load too many samples into memory in query execution"
                })
          },
        {},
        (_, output) => assert.match(output.logs.join("\n"), /Requesting \d+ points at once instead of/)
      )
    )

    it.effect("survives transient refusals, and waits as long as Retry-After says", () => {
      const notBefore = new Map<SeenRequest, number>()
      return survives(
        (seed) =>
          someWindows(seed, (choices, request) => {
            const wait = (status: number, untilMillis: number, header: string): Fault => {
              notBefore.set(request, untilMillis)
              const body = choices.pick(["slow down", html("Slow down"), { status: "error", error: "slow" }])
              return response(status, body, { "Retry-After": header })
            }
            return choices.pick<() => Fault>([
              () => wait(429, Date.now() + 1000, "1"),
              () => {
                const until = Math.floor(Date.now() / 1000 + 2) * 1000
                return wait(429, until, new Date(until).toUTCString())
              },
              () => wait(503, Date.now() + 1000, "1"),
              () => response(429, "slow down"),
              () => response(429, "slow down", { "Retry-After": choices.pick(["soon", "", "-5", "1.5"]) }),
              () => response(500, { status: "error", errorType: "internal", error: "not ready" }),
              () => response(500, "oops"),
              () => response(502, html("502 Bad Gateway")),
              () => response(503, "Service Unavailable"),
              () =>
                response(503, {
                  status: "error",
                  errorType: "timeout",
                  error: "query timed out in query queue"
                }),
              () => response(504, html("504 Gateway Time-out")),
              () => response(504, "upstream request timeout")
            ])()
          }),
        {},
        ({ hits, requests }) => {
          for (const { attempt, metric, ordinal } of hits) {
            const ofIt = requests.filter(
              (request) => request.metric === metric && request.ordinal === ordinal
            )
            const until = notBefore.get(ofIt[attempt]!) ?? 0
            // Node's timers may fire a millisecond early.
            assert.isAtLeast(ofIt[attempt + 1]!.atMillis, until - 2)
          }
        }
      )
    })

    it.effect("survives faults before its first window, and so does a discovery", () =>
      Effect.gen(function* () {
        const { expected, server } = yield* Source
        const plan =
          (seed: number): Plan =>
          (request) => {
            const choices = choicesOf(seed, request)
            if (request.metric !== undefined || request.attempt > 0) return undefined
            return choices.pick<() => Fault>([
              () => ({ type: "break", how: choices.pick(["reset", "end"]), at: anywhere(choices) }),
              () => response(503, "Service Unavailable"),
              () => changeBody((body) => body.subarray(0, choices.below(body.length)))
            ])()
          }
        const files = yield* connector.workspace
        const streams = yield* connector.discover(files, settings(server.baseUrl))
        yield* Effect.forEach(
          seeds,
          Effect.fnUntraced(function* (seed) {
            const { output, proxy } = yield* readThrough({ seed, plan: plan(seed) })
            assertWhole(output, expected, `seed ${seed}`)
            assert.isAbove(proxy.hits.length, 0)
            const through = yield* make({ upstream: server.baseUrl, seed, plan: plan(seed) })
            const files = yield* connector.workspace
            assert.deepStrictEqual(yield* connector.discover(files, settings(through.baseUrl)), streams)
            assert.isAbove(through.hits.length, 2)
          }, Effect.scoped),
          { concurrency: 2, discard: true }
        )
      })
    )
  })
})
