/** Responses that lack data, and endpoints that are missing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  type Client,
  notFound,
  type Received,
  type Reply,
  range,
  reply,
  success,
  to,
  valuesOf,
  withServer
} from "./oddServer.ts"

describe("a partial response", () => {
  const ways: Readonly<Record<string, (body: string) => Reply>> = {
    "a warning": (body) => ({ body: body.replace("{", '{"warnings":["remote_read: not implemented"],') }),
    "a member": (body) => ({ body: body.replace("{", '{"isPartial":true,') }),
    "another member": (body) => ({ body: body.replace("{", '{"truncated":"yes",') }),
    "a header": (body) => ({ body, headers: { "M3-Results-Limited": "true" } }),
    "a header with an object": (body) => ({
      body,
      headers: { "M3-Returned-Metadata-Limited": '{"Results":5,"Limited":true}' }
    }),
    "its status": (body) => ({ body, status: 206 })
  }
  const endpoints: Readonly<
    Record<string, readonly [RegExp, (client: Client) => Effect.Effect<unknown, unknown>]>
  > = {
    "names of metrics": [/__name__\/values/, (client) => client.metricNames(range)],
    "values of a label": [/job\/values/, (client) => client.labelValues("job", range)],
    "names of labels": [/\/labels/, (client) => client.labelNames(range)],
    samples: [/query_range/, (client) => valuesOf(client)]
  }

  for (const [way, change] of Object.entries(ways)) {
    it.live(`of the clock, as ${way} says, does not matter: the time does not depend on data`, () =>
      withServer(
        (request) =>
          request.path === "/api/v1/query" && request.params.get("query") === "time()"
            ? change(String(reply(request, () => undefined).body))
            : undefined,
        (client) => Effect.map(client.now, (now) => assert.strictEqual(now, 1_767_225_600_000))
      )
    )

    for (const [what, [path, use]] of Object.entries(endpoints)) {
      const own = (request: Received): Reply | undefined =>
        path.test(request.path) && !request.params.get("query")?.includes("rollup")
          ? change(String(reply(request, () => undefined).body))
          : undefined

      it.live(`of ${what}, as ${way} says, fails`, () =>
        withServer(own, (client) =>
          Effect.map(Effect.flip(use(client)), (error) => {
            assert.deepInclude(error, { reason: "PartialResponse" })
            assert.match(String((error as Error).message), /may lack data/)
          })
        )
      )

      it.live(`of ${what}, as ${way} says, is accepted with one warning if configured`, () =>
        withServer(
          own,
          (client, _received, logs) =>
            Effect.gen(function* () {
              yield* use(client)
              yield* use(client)
              const warnings = logs.filter((line) => line.startsWith("Warn"))
              assert.lengthOf(warnings, 1, logs.join("\n"))
              assert.match(warnings[0]!, /not implemented|lacks data/)
            }),
          { partial_data: "accept" }
        )
      )
    }
  }

  it.live("that is empty since no store has data of that time is complete", () =>
    Effect.gen(function* () {
      const warnings = { warnings: ["No StoreAPIs matched for this query"] }
      const own = ({ path }: Received): Reply | undefined => {
        if (path === "/api/v1/query_range") return success({ resultType: "matrix", result: [] }, warnings)
        return path === "/api/v1/labels" ? success([], warnings) : undefined
      }
      yield* withServer(own, (client, _received, logs) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* valuesOf(client), [])
          assert.deepStrictEqual(yield* client.labelNames(range), [])
          assert.deepStrictEqual(logs, [])
        })
      )
    })
  )

  it.live("of metadata is only logged", () =>
    withServer(
      ({ path }) =>
        path === "/api/v1/metadata"
          ? success(
              { m: [{ type: null, help: null }], n: null, o: [null, { type: "counter" }] },
              { isPartial: true }
            )
          : undefined,
      (client, _received, logs) =>
        Effect.map(client.metadata, (metadata) => {
          assert.deepStrictEqual(
            [...metadata],
            [
              ["m", { type: "unknown", help: "", unit: "" }],
              ["o", { type: "counter", help: "", unit: "" }]
            ]
          )
          assert.match(logs.join("\n"), /^Info .*may be incomplete: isPartial is true$/)
        })
    )
  )
})

describe("metadata", () => {
  it.live("that does not come, or fails, is one short try", () =>
    Effect.forEach(
      ["silence", { status: 503, body: "later" }, success(null), { body: "][" }] as const,
      (answer) =>
        withServer(
          ({ path }) => (path === "/api/v1/metadata" ? answer : undefined),
          (client, received) =>
            Effect.gen(function* () {
              assert.strictEqual((yield* client.metadata).size, 0)
              assert.lengthOf(to("/api/v1/metadata", received), 1)
            }),
          { request_timeout: 1, max_retries: 5 }
        ),
      { discard: true }
    )
  )
})

describe("the label API", () => {
  it.live("is missing where a server has it not, forbids it, or returns nothing", () =>
    Effect.forEach(
      [
        notFound,
        { status: 403, body: "forbidden" },
        { status: 405, body: "no" },
        { status: 501, body: "not implemented" },
        success(null)
      ],
      (answer) =>
        withServer(
          ({ path }) => (/label/.test(path) ? answer : undefined),
          (client) =>
            Effect.gen(function* () {
              yield* client.now
              for (const list of [
                client.metricNames(range),
                client.labelNames(range),
                client.labelValues("job", range)
              ]) {
                const { message, reason } = yield* Effect.flip(list)
                assert.strictEqual(reason, "NoLabelApi", message)
              }
            })
        ),
      { discard: true }
    )
  )

  it.live("is not missing where credentials are refused, or the server has a problem", () =>
    Effect.forEach(
      [
        [401, "Unauthorized"],
        [503, "Unavailable"]
      ] as const,
      ([status, reason]) =>
        withServer(
          ({ path }) => (/label/.test(path) ? { status, body: "no" } : undefined),
          (client) =>
            Effect.map(Effect.flip(client.labelNames(range)), (error) =>
              assert.strictEqual(error.reason, reason)
            )
        ),
      { discard: true }
    )
  )

  it.live("may list what is no name", () =>
    withServer(
      ({ path }) =>
        /label/.test(path) ? success(["a", null, "", 5, "b", "a", { c: 1 }, ["d"], "__name__"]) : undefined,
      (client) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* client.labelNames(range), ["a", "b"])
          assert.deepStrictEqual(yield* client.metricNames(range), ["a", "b", "__name__"])
        })
    )
  )
})
