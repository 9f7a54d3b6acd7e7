/** Lists of names with repeated, empty or shuffled entries, and endpoints for labels that are missing, forbidden or silent. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import {
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
  said,
  settings
} from "../support/fakes/basic.ts"
import {
  type Answer,
  type Ask,
  fake,
  isList,
  isNames,
  refusal,
  success,
  text
} from "../support/fakes/fake.ts"
import { answerTo, delayed } from "../support/fakes/faults.ts"
import { changeLists } from "../support/fakes/partial.ts"

const isLabels = ({ path }: Ask): boolean => path.endsWith("/labels")

/** An order that is no order, but always the same. */
const shuffled = (entries: ReadonlyArray<string>): ReadonlyArray<string> =>
  entries.toSorted((a, b) => hash(a) - hash(b))
const hash = (text: string): number =>
  [...text].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 10_007, 7)

const columnsOf = (stream: connector.Stream): ReadonlyArray<string> =>
  Object.keys(stream.json_schema.properties).toSorted()

/** How lists may look that have the same names in them. */
const disorders: ReadonlyArray<readonly [string, (entries: ReadonlyArray<string>) => unknown]> = [
  ["a name twice", (entries) => [...entries, ...entries.slice(0, 1)]],
  ["all names twice, in another order", (entries) => shuffled([...entries, ...entries])],
  ["an empty name", (entries) => ["", ...entries]],
  ["two empty names and a name thrice", (entries) => ["", ...entries, entries[0], "", entries[0]]],
  ["nulls", (entries) => [null, ...entries, null]],
  ["random order", shuffled]
]

describe("lists whose entries are repeated, empty or in another order", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [name, change] of disorders) {
      it.effect(`make the same catalog, and its streams are read: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, changeLists(isList, change))
          const expected = yield* discover(server.baseUrl)
          const found = yield* discover(baseUrl)
          assert.strictEqual(found.code, 0, said(found))
          assert.deepStrictEqual(found.names.toSorted(), [...metrics])
          assert.deepStrictEqual(found.streams.map(columnsOf), expected.streams.map(columnsOf))
          const files = yield* connector.workspace
          const catalog = connector.configure(found.streams, "incremental")
          assertWhole(yield* connector.read(files, settings(baseUrl), catalog), yield* expectedFrom(server))
        })
      )

      it.effect(`are written completely by run: ${name}`, () =>
        Effect.gen(function* () {
          const { baseUrl } = yield* fake((yield* Source).baseUrl, changeLists(isList, change))
          const { summary } = yield* run(baseUrl)
          assert.deepStrictEqual(
            rowsOf(summary),
            Object.fromEntries(metrics.map((metric) => [metric, RECORDS]))
          )
        })
      )
    }
  })
})

/** How a server without endpoints for labels responds. */
const missing: ReadonlyArray<readonly [string, () => Answer]> = [
  ["404", () => text(404, "404 page not found\n")],
  ["403", () => text(403, "Forbidden\n")],
  ["405", () => text(405, "Method Not Allowed\n")],
  ["501", () => refusal(501, "not implemented", "internal")],
  ["a null", () => success(null)],
  ["an error of its own", () => refusal(400, "label queries are disabled for this tenant", "bad_data")]
]

describe("a server without endpoints for labels", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [name, answer] of missing) {
      it.effect(`is read if metrics are included by exact names: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, answerTo(isList, answer))
          const config = { metrics: { include: ["basic_total", "basic_bytes"] } }
          const found = yield* discover(baseUrl, config)
          assert.strictEqual(found.code, 0, said(found))
          assert.deepStrictEqual(found.names, ["basic_bytes", "basic_total"])
          for (const stream of found.streams) assert.include(columnsOf(stream), "other_labels")
          const files = yield* connector.workspace
          const catalog = connector.configure(found.streams, "incremental")
          assertWhole(
            yield* connector.read(files, settings(baseUrl, config), catalog),
            yield* expectedFrom(server, { metrics: ["basic_bytes", "basic_total"] })
          )
          const { summary } = yield* run(baseUrl, config)
          assert.deepStrictEqual(rowsOf(summary), { basic_bytes: RECORDS, basic_total: RECORDS })
        })
      )

      it.effect(`is said to lack them otherwise: ${name}`, () =>
        Effect.gen(function* () {
          const { baseUrl } = yield* fake((yield* Source).baseUrl, answerTo(isList, answer))
          const { message = "", status } = yield* check(baseUrl)
          assert.strictEqual(status, "FAILED")
          assert.match(message, /label/i)
          assert.match(message, /metrics\.include/)
          assert.notMatch(message, /login page|basic_auth_pass|must be where \/api\/v1 starts/)
        })
      )
    }

    it.effect("but with names: labels go to other_labels", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(
          server.baseUrl,
          answerTo(isLabels, () => text(404, "404 page not found\n"))
        )
        const found = yield* discover(baseUrl)
        assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
        const files = yield* connector.workspace
        const catalog = connector.configure(found.streams, "incremental")
        assertWhole(yield* connector.read(files, settings(baseUrl), catalog), yield* expectedFrom(server))
      })
    )

    it.effect("an exact name without data is named, and does not fail the others", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(
          server.baseUrl,
          answerTo(isNames, () => text(404, "404 page not found\n"))
        )
        const found = yield* discover(baseUrl, { metrics: { include: ["basic_total", "basic_totl"] } })
        assert.strictEqual(found.code, 0, said(found))
        assert.include(found.names, "basic_total")
        const output = yield* read(baseUrl, { names: ["basic_total", "basic_totl"] })
        assertWhole(output, yield* expectedFrom(server, { metrics: ["basic_total"] }))
      })
    )
  })
})

/** Endpoints that tell about a server, without which it can be read as well. */
const optional = /\/api\/v1\/(metadata|status\/|stores|features)/
const isOptional = ({ path }: Ask): boolean => optional.test(path)

const troubles: ReadonlyArray<readonly [string, (ask: Ask) => Answer]> = [
  ["silent", () => "silence"],
  ["reset", () => "reset"],
  ["failing with 500", () => refusal(500, "boom", "internal")],
  ["failing with 503", () => text(503, "Service Unavailable")],
  ["refused with 429", () => ({ ...text(429, "slow down"), headers: { "retry-after": "60" } })],
  ["forbidden", () => text(403, "Forbidden")],
  ["a login page", () => text(200, "<html><title>Sign in</title></html>", "text/html")],
  ["null", () => success(null)],
  ["of another kind", () => success("not what you think")],
  ["lists instead of objects", () => success([1, 2, 3])]
]

describe("optional endpoints", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [name, answer] of troubles) {
      it.effect(`hold up neither discovery nor a read, and are tried once: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl, requestsOf } = yield* fake(server.baseUrl, answerTo(isOptional, answer))
          // With patience for everything else.
          const config = { max_retries: 5, request_timeout: 120 }
          const before = Date.now()
          const found = yield* discover(baseUrl, config)
          assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
          const output = yield* read(baseUrl, { config })
          assertWhole(output, yield* expectedFrom(server))
          const seconds = (Date.now() - before) / 1000
          // Two processes, each with a few seconds of patience: not the minutes of request_timeout and retries.
          assert.isBelow(seconds, 60)
          assert.isAtMost(requestsOf("/api/v1/metadata").length, 1)
        })
      )
    }

    it.effect("that are slow are waited for a little, and metadata arrive", () =>
      Effect.gen(function* () {
        const metadata = success({ basic_total: [{ type: "counter", help: "All of them.", unit: "" }] })
        const { baseUrl } = yield* fake(
          (yield* Source).baseUrl,
          delayed(isOptional, 500),
          answerTo(
            ({ path }) => path === "/api/v1/metadata",
            () => metadata
          )
        )
        const found = yield* discover(baseUrl)
        const total = found.streams.find((stream) => stream.name === "basic_total")
        assert.match(total?.json_schema.description ?? "", /All of them/)
      })
    )
  })
})
