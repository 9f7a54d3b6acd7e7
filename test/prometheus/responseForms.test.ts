/** Responses of unusual form: encodings, types, spellings of numbers, long labels. */
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Received, range, reply, valuesOf, withServer } from "./oddServer.ts"

describe("a response", () => {
  it.live("is read without the type of JSON if it starts like an object", () =>
    Effect.forEach(
      ["text/plain", "text/plain; charset=utf-8", "application/octet-stream", "text/html", ""],
      (type) =>
        withServer(
          (request) => ({
            ...reply(request, () => undefined),
            headers: { "content-type": type }
          }),
          (client) =>
            Effect.gen(function* () {
              assert.strictEqual(yield* client.now, 1767225600_000)
              assert.deepStrictEqual(yield* client.metricNames(range), ["m"])
              assert.deepStrictEqual(yield* valuesOf(client), ["7"])
            })
        ),
      { discard: true }
    )
  )

  it.live("is not read if it is a page", () =>
    withServer(
      () => ({ headers: { "content-type": "text/html" }, body: "<html><title>Sign in</title>{}</html>" }),
      (client) =>
        Effect.gen(function* () {
          for (const use of [Effect.asVoid(client.now), Effect.asVoid(valuesOf(client))]) {
            const error = yield* Effect.flip(use)
            assert.strictEqual(error.reason, "NotPrometheus")
            assert.include(error.message, 'a web page titled "Sign in"')
          }
        })
    )
  )

  it.live("is read in any spelling of its encoding", () =>
    Effect.forEach(
      ["GZIP", "x-gzip", "Gzip", "identity, gzip", "Identity", "", "IDENTITY"],
      (encoding) =>
        withServer(
          (request) => {
            const { body } = reply(request, () => undefined)
            return {
              body: /gzip/i.test(encoding) ? gzipSync(body) : body,
              headers: { "content-encoding": encoding }
            }
          },
          (client) =>
            Effect.gen(function* () {
              assert.strictEqual(yield* client.now, 1767225600_000)
              assert.deepStrictEqual(yield* valuesOf(client), ["7"])
            })
        ),
      { discard: true }
    )
  )

  it.live("may have values in other spellings, in samples and in native histograms", () => {
    const values = [
      "Inf",
      "inf",
      "-inf",
      "Infinity",
      "nan",
      "+inf",
      "-Infinity",
      "+Infinity",
      "NaN",
      "+Inf",
      "-Inf"
    ]
    const floats = values.map((value, i) => `[${1767225600 + 60 * i},"${value}"]`)
    const histogram = '[1767225600,{"count":"2","sum":"inf","buckets":[[0,"-inf","Infinity","2"]]}]'
    const body = `{"status":"success","data":{"result":[{"metric":{"__name__":"m"},"values":[${floats},[1767229200,1.50]],"histograms":[${histogram}]}]}}`
    return withServer(
      ({ path }) => (path === "/api/v1/query_range" ? { body } : undefined),
      (client) =>
        Effect.map(valuesOf(client), (read) => {
          assert.deepStrictEqual(read.slice(0, -1), [
            "+Inf",
            "+Inf",
            "-Inf",
            "+Inf",
            "NaN",
            "+Inf",
            "-Inf",
            "+Inf",
            "NaN",
            "+Inf",
            "-Inf",
            "1.50"
          ])
          assert.deepInclude(read.at(-1), {
            histograms: [
              {
                count: "2",
                sum: "+Inf",
                buckets: [{ boundaries: 0, lower: "-Inf", upper: "+Inf", count: "2" }]
              }
            ]
          })
        })
    )
  })

  it.live("with a label that is too long is an error that names it, and a read without the label", () => {
    const labels = JSON.stringify({ __name__: "m", job: "api", blob: "x".repeat(1_200_000) })
    const body = `{"status":"success","data":{"result":[{"metric":${labels},"values":[[1767225600,"7"]]}]}}`
    const own = ({ path }: Received) => (path === "/api/v1/query_range" ? { body } : undefined)
    return Effect.gen(function* () {
      yield* withServer(own, (client) =>
        Effect.map(Effect.flip(valuesOf(client)), (error) => {
          assert.strictEqual(error.reason, "LongLabels")
          assert.strictEqual(error.policy.action, "stream")
          assert.match(
            error.message,
            /the label blob has 1200000 characters in the series \{__name__="m", blob="x+…", job="api"\}\. Leave the label out with exclude_labels/
          )
          assert.notMatch(error.message, /prox/)
        })
      )
      yield* withServer(
        own,
        (client) => Effect.map(valuesOf(client), (read) => assert.deepStrictEqual(read, ["7"])),
        {
          exclude_labels: ["blob"]
        }
      )
    })
  })
})
