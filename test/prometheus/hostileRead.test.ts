/**
 * Reads from a server that changes its responses to range queries at random. A read ends with the requested samples, or with an
 * error that is a sentence. It emits only samples that were requested and in a response, each once.
 *
 * MODEL_RUNS multiplies the number of reads, and HOSTILE_SEED is their seed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import type { MockRequest, MockResponse } from "../../src/mock/http.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { PrometheusError } from "../../src/prometheus/PrometheusError.ts"
import { read } from "../../src/sync/Read.ts"
import type { ReadEvent } from "../../src/sync/ReadEvent.ts"
import { StateStore } from "../../src/sync/StateStore.ts"
import { Choices, choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import { lenientRead } from "./query/lenientReader.ts"
import { mutate } from "./query/mutations.ts"
import { randomChunks } from "./query/randomResponse.ts"
import { type PlainSample, plainSamples } from "./query/referenceDecoder.ts"

const many = {
  arbitrary: { runs: runs(5, 75), seed: process.env.HOSTILE_SEED ?? "hostile" },
  timeout: 120_000 + 1000 * runs(5, 75)
}

const POINTS = 80
const RETRIES = 2

/** One response to a range query, as it was sent. */
interface Sent {
  readonly firstMillis: number
  readonly lastMillis: number
  readonly samples: ReadonlyArray<PlainSample>
}

/** A server that changes its responses to range queries. */
class HostilePrometheus extends MockPrometheus {
  readonly sent: Array<Sent> = []
  readonly change: (body: Uint8Array, attempt: number) => Uint8Array
  readonly cut: (body: Uint8Array) => Iterable<Uint8Array>

  constructor(change: HostilePrometheus["change"], cut: HostilePrometheus["cut"]) {
    const histogram = {
      count: "3",
      sum: "4.5",
      buckets: [{ boundaries: 0, lower: "0", upper: "1", count: "3" }]
    }
    const native = makeSeries(
      { __name__: "m", n: "native" },
      Array.from({ length: POINTS }, (_, i) => [start + i * minute, histogram] as const)
    )
    super(makeDatabase([...gauge("m", POINTS, 2), native]), { lookbackMillis: 1000, version: "3.0.0" })
    this.change = change
    this.cut = cut
  }

  override handle(request: MockRequest, nowMillis: number): MockResponse {
    const response = super.handle(request, nowMillis)
    if (request.path !== "/api/v1/query_range") return response
    const body = this.change(Buffer.concat([...response.body]), this.requests.at(-1)!.attempt)
    this.sent.push({
      firstMillis: Number(request.params.get("start")) * 1000,
      lastMillis: Number(request.params.get("end")) * 1000,
      samples: lenientRead(body).samples
    })
    return { ...response, body: this.cut(body) }
  }
}

interface Outcome {
  readonly events: ReadonlyArray<ReadEvent>
  /** How the stream of events ended. */
  readonly error: PrometheusError | undefined
}

/** Reads the metric, and lets time pass until the end. */
const readFrom = Effect.fnUntraced(function* (mock: MockPrometheus) {
  yield* TestClock.setTime(start + (POINTS - 1) * minute + 60_000)
  const services = Layer.provideMerge(
    MockHttpClient.layerClient(mock),
    Layer.merge(
      StateStore.layerMemory([]),
      ConnectorConfig.layerFrom({
        base_url: "http://mock",
        start_date: iso(start),
        step: 60,
        max_retries: RETRIES
      })
    )
  )
  const events: Array<ReadEvent> = []
  const fiber = yield* read([{ name: "m", mode: "incremental" }]).pipe(
    Stream.runForEach((event) => Effect.sync(() => events.push(event))),
    Effect.provide(services),
    Effect.forkChild
  )
  // Far longer than the retries of all windows.
  for (let hours = 0; fiber.pollUnsafe() === undefined; hours++) {
    if (hours === 100) throw new Error("The read does not end.")
    yield* TestClock.adjust("1 hour")
    yield* Effect.repeat(Effect.yieldNow, { times: 100 })
  }
  const exit = yield* Fiber.await(fiber)
  if (Exit.isSuccess(exit)) return { events, error: undefined } satisfies Outcome
  const error = yield* Effect.flip(Exit.asVoid(exit))
  if (!(error instanceof PrometheusError)) throw error
  return { events, error } satisfies Outcome
})

const keyOf = ({ labels, time, value }: Omit<PlainSample, "series">): string =>
  JSON.stringify([labels, time, typeof value === "string" ? "float" : "histogram"])

const assertSentence = (error: PrometheusError): void =>
  assert.match(error.message, /^\S.{20,900}[.!?…]$/s, "an error is a sentence")

/** The guarantees against any server. */
const assertHonest = ({ sent }: HostilePrometheus, { error, events }: Outcome): void => {
  const emitted = new Set<string>()
  let lastCheckpoint = Number.NEGATIVE_INFINITY
  for (const event of events) {
    if (event._tag === "Failed") assertSentence(event.error)
    if (event._tag === "Checkpoint") lastCheckpoint = event.lastMillis
    if (event._tag !== "Samples") continue
    for (const sample of plainSamples(event.blocks)) {
      const key = keyOf(sample)
      if (emitted.has(key)) assert.fail(`${key} comes twice`)
      emitted.add(key)
      const { time, value } = sample
      const isPoint = time >= start && time < start + POINTS * minute && time % minute === 0
      if (!isPoint) assert.fail(`${key} was not requested`)
      if (time <= lastCheckpoint) assert.fail(`${key} comes after its checkpoint`)
      const wasSent = sent.some(
        ({ firstMillis, lastMillis, samples }) =>
          time >= firstMillis &&
          time <= lastMillis &&
          samples.some((other) => keyOf(other) === key && isSame(other.value, value))
      )
      if (!wasSent) assert.fail(`${key} ${JSON.stringify(value)} was not sent`)
    }
  }
  if (error !== undefined) assertSentence(error)
  else assert.include(["Completed", "Failed"], events.at(-1)?._tag)
}

const isSame = (a: PlainSample["value"], b: PlainSample["value"]): boolean =>
  JSON.stringify(a) === JSON.stringify(b)

const samplesOf = (events: ReadonlyArray<ReadEvent>): ReadonlyArray<string> =>
  events.flatMap((event) =>
    event._tag === "Samples"
      ? plainSamples(event.blocks).map((sample) => keyOf(sample) + JSON.stringify(sample.value))
      : []
  )

describe("a read of a server whose responses are changed", () => {
  it.effect.prop(
    "emits samples that were sent and requested, once, and ends",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        let round = 0
        // Some responses are unchanged, so that the read gets to later ones.
        const more = (): Choices => new Choices(choices.seed + round++, 3000)
        const mock = new HostilePrometheus(
          (body) => {
            const again = more()
            return again.oneIn(3) ? body : mutate(again, body)
          },
          (body) => randomChunks(more(), body)
        )
        const outcome = yield* readFrom(mock)
        assertHonest(mock, outcome)
        // A window is retried, and then requested in halves down to single points: 2 × 80 ranges at most.
        assert.isBelow(mock.sent.length, 2 * POINTS * (1 + RETRIES))
      }),
    many
  )

  it.effect.prop(
    "eventually has all samples if the last responses are complete",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        let round = 0
        const original = new HostilePrometheus(
          (body) => body,
          (body) => [body]
        )
        const expected = yield* readFrom(original)
        const mock = new HostilePrometheus(
          // The responses are only cut short, so their samples are correct.
          (body, attempt) =>
            attempt <= RETRIES
              ? body.subarray(0, new Choices(choices.seed + round++, 3000).below(body.length))
              : body,
          (body) => randomChunks(new Choices(choices.seed + round++, 3000), body)
        )
        const outcome = yield* readFrom(mock)
        assertHonest(mock, outcome)
        assert.deepStrictEqual([...samplesOf(outcome.events)].sort(), [...samplesOf(expected.events)].sort())
        assert.strictEqual(outcome.events.at(-1)?._tag, "Completed")
        assert.strictEqual(samplesOf(expected.events).length, 3 * POINTS)
      }),
    { ...many, arbitrary: { ...many.arbitrary, runs: runs(2, 25) } }
  )

  const at = (minutes: number): number => start / 1000 + minutes * 60
  const values = (...times: ReadonlyArray<number | string>): string =>
    `"values":[${times.map((time) => `[${time},"1"]`).join(",")}]`
  const n = '"metric":{"__name__":"m","n":"0"}'
  const histogram = '{"count":"1","sum":"1"}'

  it.effect.each([
    ["before the window", `{${n},${values(at(-1))}}`],
    ["after the window", `{${n},${values(at(0), at(32))}}`],
    ["off the grid", `{${n},${values(at(0) + 1)}}`],
    ["a millisecond off", `{${n},${values(`${at(0)}.001`)}}`],
    ["negative", `{${n},${values(-at(0))}}`],
    ["zero", `{${n},${values(0)}}`],
    ["in milliseconds", `{${n},${values(at(0) * 1000)}}`],
    ["huge", `{${n},${values("1e300")}}`],
    ["infinity", `{${n},${values("1e999")}}`],
    ["minus infinity", `{${n},${values("-1e999")}}`],
    ["of 400 digits", `{${n},${values("9".repeat(400))}}`],
    ["out of order", `{${n},${values(at(1), at(0))}}`],
    ["twice", `{${n},${values(at(1), at(1))}}`],
    ["in two copies of a series", `{${n},${values(at(1))}},{${n},${values(at(1))}}`],
    ["in two lists of one series", `{${n},${values(at(1))},${values(at(1))}}`],
    [
      "in two series that differ only in an empty label",
      `{${n},${values(at(1))}},{"metric":{"__name__":"m","x":"","n":"0"},${values(at(1))}}`
    ],
    ["of a histogram before the window", `{${n},"histograms":[[${at(-1)},${histogram}]]}`],
    ["of a histogram, twice", `{${n},"histograms":[[${at(1)},${histogram}],[${at(1)},${histogram}]]}`]
  ] as const)("fails for a time that is %s", ([, series]) =>
    Effect.gen(function* () {
      const body = Buffer.from(`{"status":"success","data":{"resultType":"matrix","result":[${series}]}}`)
      const mock = new HostilePrometheus(
        () => body,
        (body) => [body]
      )
      const { events } = yield* readFrom(mock)
      const last = events.at(-1)
      assert.strictEqual(last?._tag === "Failed" && last.error.reason, "UnexpectedSample")
      assert.notInclude(
        events.map(({ _tag }) => _tag),
        "Checkpoint"
      )
      assertHonest(mock, { events, error: undefined })
      // It does not repeat a request, because a server that does this will do it again. A server that moves the start of a range
      // is correct for single points.
      const requests = mock.sent.map(({ firstMillis, lastMillis }) => `${firstMillis} ${lastMillis}`)
      assert.strictEqual(mock.sent[0]?.firstMillis, start)
      assert.strictEqual(new Set(requests).size, requests.length)
    })
  )
})
