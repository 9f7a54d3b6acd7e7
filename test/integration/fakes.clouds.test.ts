/** Managed services and proxies, which take fewer parameters, selectors and methods than Prometheus, and spell things in other ways. */

import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  assertFails,
  assertWhole,
  check,
  discover,
  expectedFrom,
  metrics,
  RECORDS,
  read,
  rowsOf,
  run,
  Source,
  said
} from "../support/fakes/basic.ts"
import { amazon, azure, getOnly, google, refuseParams, shortAddresses } from "../support/fakes/clouds.ts"
import { fake, isRange, json, type Layer, refusal, text } from "../support/fakes/fake.ts"
import { answerTo } from "../support/fakes/faults.ts"

const known = ["query", "time", "start", "end", "step", "timeout", "match[]"]

/** Servers that refuse a parameter that they do not know, and how they say it. */
const strict: ReadonlyArray<readonly [string, Layer]> = [
  ["Google", google],
  ["names it in JSON", refuseParams(known, (name) => refusal(400, `unknown parameter: ${name}`, "bad_data"))],
  [
    "names it in an object",
    refuseParams(known, (name) => json(400, { error: { message: `unexpected query parameter '${name}'` } }))
  ],
  ["names it in a text", refuseParams(known, (name) => text(400, `parameter "${name}" is not allowed\n`))],
  ["with 422", refuseParams(known, (name) => refusal(422, `query parameter ${name} is not supported`))],
  ["without a name", refuseParams(known, () => text(400, "Bad Request\n"))],
  [
    "without timeout, too",
    refuseParams(
      known.filter((name) => name !== "timeout"),
      (name) => refusal(400, `unknown field "${name}"`, "bad_data")
    )
  ]
]

describe("servers that refuse parameters", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [name, refusing] of strict) {
      it.effect(`are read without these parameters: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, refusing)
          assertWhole(yield* read(baseUrl), yield* expectedFrom(server))
          const found = yield* discover(baseUrl)
          assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
          for (const { json_schema } of found.streams) assert.property(json_schema.properties, "instance")
        })
      )
    }

    it.effect("get a message that names what was refused, with the text inside an error object", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake(
          (yield* Source).baseUrl,
          answerTo(isRange, () =>
            json(403, {
              error: {
                code: 403,
                message: "Permission monitoring.timeSeries.list denied",
                status: "PERMISSION_DENIED"
              }
            })
          )
        )
        assertFails(yield* read(baseUrl), /Permission monitoring\.timeSeries\.list denied/)
      })
    )
  })
})

const services: ReadonlyArray<readonly [string, Layer]> = [
  ["Google", google],
  ["Azure", azure],
  ["Amazon", amazon]
]

describe("managed services", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [name, service] of services) {
      it.effect(`are checked, discovered and read: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, service)
          const { output, status } = yield* check(baseUrl)
          assert.strictEqual(status, "SUCCEEDED", output.stdout)
          const found = yield* discover(baseUrl)
          assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
          assertWhole(yield* read(baseUrl), yield* expectedFrom(server))
        })
      )

      it.effect(`are read with a selector: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, service)
          const output = yield* read(baseUrl, { config: { selector: '{instance=~"a|b"}' } })
          assertWhole(output, yield* expectedFrom(server, { matchers: 'instance=~"a|b"' }))
        })
      )

      it.effect(`are written by run: ${name}`, () =>
        Effect.gen(function* () {
          const { baseUrl } = yield* fake((yield* Source).baseUrl, service)
          const { code, stderr, summary } = yield* run(baseUrl)
          assert.strictEqual(code, 0, stderr)
          assert.deepStrictEqual(
            rowsOf(summary),
            Object.fromEntries(metrics.map((metric) => [metric, RECORDS]))
          )
        })
      )
    }
  })
})

/** A selector too long for an address, which a client sends as a form. */
const longSelector = `{instance=~"a|b|c|${"x".repeat(5000)}"}`

describe("a proxy that refuses POST", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const status of [403, 405] as const) {
      it.effect(`is read with GET: ${status}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl, requests } = yield* fake(server.baseUrl, getOnly(status))
          const config = { selector: longSelector }
          assertWhole(yield* read(baseUrl, { config }), yield* expectedFrom(server))
          const found = yield* discover(baseUrl, config)
          assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
          // It is known after the first refusals, up to the concurrency.
          assert.isBelow(requests.filter(({ method }) => method === "POST").length, 20)
        })
      )
    }

    it.effect("and long addresses, too: the message says so", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* Source).baseUrl, getOnly(405), shortAddresses(4500))
        const output = yield* read(baseUrl, { config: { selector: longSelector } })
        assertFails(output, /HTTP 405/, /HTTP 414: the query has \d+ characters/, /selector/)
        assert.strictEqual(output.records.length, 0)
      })
    )
  })
})
