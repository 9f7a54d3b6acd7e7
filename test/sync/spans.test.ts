import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Tracer } from "effect"
import { gauge } from "../support/gauge.ts"
import { collect, incremental, onRange, refusal, setUp, windows } from "./readMock.ts"

/** All spans of a read, in the order in which they start. */
const spansOf = Effect.fnUntraced(function* (setting: Parameters<typeof setUp>[0], ...names: Array<string>) {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      // Which kind of server it is, is asked once for all streams, and may stay unknown.
      if (span.name !== "PrometheusClient.backend") spans.push(span)
      return span
    }
  })
  const { mock, services } = yield* setUp(setting)
  yield* collect(incremental(...names)).pipe(
    Effect.provide(services),
    Effect.provideService(Tracer.Tracer, tracer)
  )
  return { mock, spans, named: (name: string) => spans.filter((span) => span.name === name) }
})

const parentOf = ({ parent }: Tracer.NativeSpan): string | undefined =>
  Option.match(parent, {
    onNone: () => undefined,
    onSome: (span) => (span._tag === "Span" ? span.name : "external")
  })

const statusOf = ({ status }: Tracer.NativeSpan) => (status._tag === "Ended" ? status.exit._tag : status._tag)

describe("the spans of a read", () => {
  it.effect("are one for the plan, one per stream and one per window, with its requests", () =>
    Effect.gen(function* () {
      const { mock, named, spans } = yield* spansOf({ series: gauge("m", 300), points: 300 }, "m")
      assert.lengthOf(named("Read.plan"), 1)
      assert.deepStrictEqual(
        named("Read.stream").map(({ attributes }) => Object.fromEntries(attributes)),
        [{ stream: "m", mode: "incremental", points: 300 }]
      )
      const found = named("Read.window")
      assert.isAbove(found.length, 1)
      assert.lengthOf(found, windows(mock).length)
      assert.deepStrictEqual(Object.fromEntries(found[0]!.attributes), {
        stream: "m",
        range: "2026-01-01T00:00:00Z to 2026-01-01T00:31:00Z",
        points: 32
      })
      assert.deepStrictEqual([...new Set(found.map(parentOf))], ["Read.stream"])
      assert.deepStrictEqual(
        [...new Set(named("PrometheusClient.queryRange").map(parentOf))],
        ["Read.window"]
      )
      for (const span of spans) assert.strictEqual(statusOf(span), "Success", span.name)
    })
  )

  it.effect("have retried requests, and the failure of a stream", () =>
    Effect.gen(function* () {
      const faults = onRange(({ attempt, metric }) => {
        if (metric === "bad") return refusal(400, "not today")
        return attempt === 1 ? refusal(503, "not yet") : undefined
      })
      const series = [...gauge("good", 10), ...gauge("bad", 10)]
      const { named } = yield* spansOf({ series, points: 10, mock: { faults } }, "good", "bad")
      assert.deepStrictEqual(
        named("Read.stream").map((span) => [span.attributes.get("stream"), statusOf(span)]),
        [
          ["good", "Success"],
          ["bad", "Failure"]
        ]
      )
      const requests = named("PrometheusClient.queryRange").filter(
        ({ parent }) =>
          Option.isSome(parent) &&
          parent.value._tag === "Span" &&
          parent.value.attributes.get("stream") === "good"
      )
      assert.deepStrictEqual(
        requests.map(({ attributes }) => attributes.get("http.response.status_code")),
        [503, 200]
      )
    })
  )
})
