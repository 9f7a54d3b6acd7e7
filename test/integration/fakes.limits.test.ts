/** Limits whose words and statuses are unknown: whatever is refused is halved, in time and then in series, before a stream fails. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  assertFails,
  assertRecords,
  assertWhole,
  discover,
  expectedFrom,
  hour,
  metrics,
  minute,
  read,
  rowsOf,
  run,
  Source,
  said
} from "../support/fakes/basic.ts"
import {
  type Answer,
  type Ask,
  fake,
  isList,
  isRange,
  metricOf,
  pointsOf,
  refusal,
  text
} from "../support/fakes/fake.ts"
import { answerTo, bytesOf, cutAt, limitResponses, samplesOf, seriesOf } from "../support/fakes/faults.ts"
import { limitRanges, longerThan } from "../support/fakes/mimir.ts"

/** Words that no table has. */
const words = [
  "the requested range of 2h exceeds what your plan allows",
  "das Ergebnis ist zu gross",
  "quota exhausted for this operation",
  ""
]
const statuses = [400, 413, 422, 500, 503]

describe("a limit whose words are unknown", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [index, status] of statuses.entries()) {
      const error = words[index % words.length]!
      it.effect(`of the range, with HTTP ${status}: ${error}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, limitRanges(longerThan(17 * minute), status, error))
          assertWhole(yield* read(baseUrl), yield* expectedFrom(server))
        })
      )

      it.effect(`of one point, with HTTP ${status}: ${error}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(
            server.baseUrl,
            limitRanges((ask) => pointsOf(ask) > 1, status, error)
          )
          assertWhole(
            yield* read(baseUrl, { config: { step: 900 } }),
            yield* expectedFrom(server, { stepSeconds: 900 })
          )
        })
      )

      it.effect(`of the bytes of a response, with HTTP ${status}: ${error}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(
            server.baseUrl,
            limitResponses(bytesOf, 3000, () => refusal(status, error))
          )
          assertWhole(yield* read(baseUrl), yield* expectedFrom(server))
        })
      )

      it.effect(`of the samples of a response, with HTTP ${status} and a text: ${error}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(
            server.baseUrl,
            limitResponses(samplesOf, 20, () => text(status, error))
          )
          assertWhole(yield* read(baseUrl), yield* expectedFrom(server))
        })
      )

      it.effect(`of the series of a response, with HTTP ${status}: ${error}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(
            server.baseUrl,
            limitResponses(seriesOf, 1, () => refusal(status, error))
          )
          assertWhole(
            yield* read(baseUrl, { config: { step: 900 } }),
            yield* expectedFrom(server, { stepSeconds: 900 })
          )
        })
      )
    }

    it.effect("that appears in the middle of a read is kept to from then on, by all streams", () =>
      Effect.gen(function* () {
        const server = yield* Source
        let answered = 0
        const { baseUrl, requestsOf } = yield* fake(
          server.baseUrl,
          limitRanges((ask) => pointsOf(ask) > 5 && answered++ > 3, 422, "enough for today")
        )
        assertWhole(
          yield* read(baseUrl, { config: { step: 15 } }),
          yield* expectedFrom(server, { stepSeconds: 15 })
        )
        const refused = requestsOf(/query_range/).filter((ask) => pointsOf(ask) > 5)
        // Three streams of 481 points: a learned limit is not run into for each window.
        assert.isBelow(refused.length, 60)
      })
    )

    it.effect("is run into by run, too, and the rows are complete", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake(
          (yield* Source).baseUrl,
          limitRanges(longerThan(17 * minute), 400, "das Ergebnis ist zu gross")
        )
        const { code, stderr, summary } = yield* run(baseUrl)
        assert.strictEqual(code, 0, stderr)
        assert.deepStrictEqual(rowsOf(summary), Object.fromEntries(metrics.map((metric) => [metric, 363])))
      })
    )

    it.effect(
      "that refuses even one series at one point fails its stream only, with the server's words",
      () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl, requestsOf } = yield* fake(
            server.baseUrl,
            limitRanges((ask) => metricOf(ask) === "basic_ratio", 422, "das Ergebnis ist zu gross")
          )
          const output = yield* read(baseUrl)
          assertFails(output, /1 of 3 streams failed: basic_ratio\./, /das Ergebnis ist zu gross/)
          assertRecords(output, yield* expectedFrom(server, { metrics: ["basic_bytes", "basic_total"] }))
          const tried = requestsOf(/query_range/).filter((ask) => metricOf(ask) === "basic_ratio")
          assert.isBelow(tried.length, 40)
        })
    )
  })
})

/** Errors of the query itself, which no smaller window avoids. */
const wrong: ReadonlyArray<readonly [number, string]> = [
  [400, "invalid parameter \"query\": 1:5: parse error: unexpected character: '!'"],
  [400, 'parse error: unexpected "}" in label matching, expected string'],
  [422, 'unknown function with name "foo"'],
  [422, 'cannot parse the query: unparsed data left: "}"']
]

describe("an error of the query itself", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [status, error] of wrong) {
      it.effect(`is reported at once: ${error}`, () =>
        Effect.gen(function* () {
          const { baseUrl, requestsOf } = yield* fake(
            (yield* Source).baseUrl,
            answerTo(isRange, () => refusal(status, error, "bad_data"))
          )
          const output = yield* read(baseUrl, { names: ["basic_total"], config: { max_retries: 5 } })
          assertFails(output, /selector/)
          // The windows that were requested ahead, each once.
          assert.isAtMost(requestsOf(/query_range/).length, 3)
        })
      )
    }
  })
})

/** Responses that are too slow, in words of several programs. */
const slow: ReadonlyArray<readonly [number, string]> = [
  [422, "context deadline exceeded"],
  [500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded"],
  [422, "expanding series: failed to receive any data in 1m0s from store-gateway-2"],
  [500, "rpc error: code = Unavailable desc = stream terminated by RST_STREAM with error code: CANCEL"],
  [503, "query timed out in query execution"],
  [422, "would load too many series"],
  [422, "would read too many samples"],
  [422, "the response contains more than -search.maxResponseSeries=2 time series"],
  [422, "the query hit the aggregated chunks size limit (limit: 5 bytes)"],
  [422, "the query hit the aggregated data size limit (limit: 5 bytes)"],
  [422, "the query response size exceeds limit"],
  [504, "<html><title>504 Gateway Time-out</title></html>"]
]

describe("what is too much or too slow, in the words of several programs", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [status, error] of slow) {
      it.effect(`is halved: HTTP ${status}, ${error}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl, requestsOf } = yield* fake(
            server.baseUrl,
            limitRanges(longerThan(hour / 3), status, error)
          )
          const before = Date.now()
          const output = yield* read(baseUrl, { config: { max_retries: 3 } })
          assertWhole(output, yield* expectedFrom(server))
          assert.isBelow(Date.now() - before, 60_000)
          const refused = requestsOf(/query_range/).filter(longerThan(hour / 3))
          // Each stream may run into it by itself, with its windows ahead and its retries.
          assert.isBelow(refused.length, 50)
        })
      )
    }
  })
})

describe("a proxy that cuts all responses at the same size", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const bytes of [400, 2000, 8192]) {
      it.effect(`is read in smaller parts: ${bytes} bytes`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, cutAt(bytes))
          const output = yield* read(baseUrl, { config: { max_retries: 3 } })
          assertWhole(output, yield* expectedFrom(server))
        })
      )
    }

    it.effect("ends the stream if even one series at one point does not fit, and says what to look at", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(server.baseUrl, cutAt(40))
        const output = yield* read(baseUrl, { config: { max_retries: 1, step: 1800 } })
        assertFails(output, /3 of 3 streams failed/, /prox/)
        assert.strictEqual(output.records.length, 0)
      })
    )
  })
})

/** One metric that must not be read. */
const forbidden: ReadonlyArray<readonly [string, () => Answer]> = [
  ["403 as text", () => text(403, "Forbidden\n")],
  ["403 as JSON", () => refusal(403, "access to this metric is denied", "forbidden")],
  ["403 as a page", () => text(403, "<html><title>403 Forbidden</title></html>", "text/html")]
]

describe("one metric that is forbidden", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [name, answer] of forbidden) {
      for (const metric of metrics) {
        it.effect(`fails alone: ${metric}, ${name}`, () =>
          Effect.gen(function* () {
            const server = yield* Source
            const isMeant = (ask: Ask) => !isList(ask) && metricOf(ask) === metric
            const { baseUrl } = yield* fake(server.baseUrl, answerTo(isMeant, answer))
            const output = yield* read(baseUrl)
            assertFails(output, new RegExp(`1 of 3 streams failed: ${metric}\\.`), /403/)
            assertRecords(
              output,
              yield* expectedFrom(server, { metrics: metrics.filter((other) => other !== metric) })
            )
          })
        )
      }
    }

    it.effect("and for all, the credentials are wrong: the read ends at once", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake(
          (yield* Source).baseUrl,
          answerTo(
            () => true,
            () => text(403, "Forbidden\n")
          )
        )
        const output = yield* read(baseUrl)
        assertFails(output, /403/, /basic_auth_user|headers/)
        assert.strictEqual(output.records.length, 0, said(output))
        assert.strictEqual((yield* discover(baseUrl)).code, 1)
      })
    )
  })
})
