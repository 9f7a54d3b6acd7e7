/** Thanos in front of a real Prometheus: stores that are away, its result cache, downsampled data, and ranges before all data. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import {
  assertFails,
  assertRecords,
  assertWhole,
  basic,
  check,
  day,
  discover,
  end,
  expectedFrom,
  hour,
  iso,
  metrics,
  minute,
  read,
  rowsOf,
  run,
  Source,
  said,
  start,
  stateOf
} from "../support/fakes/basic.ts"
import { fake, isRange, metricOf } from "../support/fakes/fake.ts"
import { downsampledBefore, noStoresBefore, resultCache, stores } from "../support/fakes/thanos.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"

const up = { name: "first", lastError: () => null }
const downWith = (lastError: () => string | null, isNoticed = () => false) => ({
  name: "second",
  lastError,
  isNoticed
})
const refused = 'rpc error: code = Unavailable desc = connection error: desc = "connection refused"'

describe("Thanos with a store that is away", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    it.effect("whose stores are all there is read completely", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(server.baseUrl, stores(up, { name: "second", lastError: () => null }))
        assertWhole(yield* read(baseUrl), yield* expectedFrom(server))
      })
    )

    it.effect("is named by check", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(server.baseUrl, stores(up, { name: "second", lastError: () => null }))
        const { output, status } = yield* check(baseUrl)
        assert.strictEqual(status, "SUCCEEDED")
        assert.match(output.stdout, /Thanos/)
      })
    )

    it.effect("without a warning does not pass in silence: the stream fails, and its state stands", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(
          server.baseUrl,
          stores(
            up,
            downWith(() => refused)
          )
        )
        const output = yield* read(baseUrl)
        assertFails(output, /3 of 3 streams failed/, /store/i, /connection refused/)
        for (const metric of metrics) assert.isUndefined(stateOf(output, metric))
      })
    )

    it.effect("that goes away in the middle fails the streams that it may have cut", () =>
      Effect.gen(function* () {
        const server = yield* Source
        let isDown = false
        // It goes away when the last metric is requested for the first time.
        const { baseUrl } = yield* fake(
          server.baseUrl,
          (ask, next) => {
            if (isRange(ask) && metricOf(ask) === "basic_total") isDown = true
            return next(ask)
          },
          stores(
            up,
            downWith(() => (isDown ? refused : null))
          )
        )
        const output = yield* read(baseUrl, { config: { concurrency: 1 } })
        assertFails(output, /basic_total\./, /store/i)
        const expected = yield* expectedFrom(server)
        const records = connector.byKey(output.records)
        for (const metric of metrics) {
          const to = stateOf(output, metric)
          if (to === undefined) continue
          // What a state stands beyond was read completely.
          for (const key of expected.keys()) {
            const [pairs, time] = JSON.parse(key) as [ReadonlyArray<readonly [string, string]>, number]
            if (pairs[0]?.[1] === metric && time <= to) assert.isTrue(records.has(key), key)
          }
        }
      })
    )

    it.effect("that comes back is read completely by the next sync", () =>
      Effect.gen(function* () {
        const server = yield* Source
        let isDown = true
        const { baseUrl } = yield* fake(
          server.baseUrl,
          stores(
            up,
            downWith(() => (isDown ? refused : null))
          )
        )
        const first = yield* read(baseUrl)
        assert.strictEqual(first.code, 1)
        isDown = false
        const second = yield* read(baseUrl, { state: first.states })
        assertWhole(second, yield* expectedFrom(server))
      })
    )

    for (const isNoticed of [true, false]) {
      it.effect(
        `is accepted with a warning if partial_data says so, ${isNoticed ? "" : "un"}noticed by queries`,
        () =>
          Effect.gen(function* () {
            const server = yield* Source
            const { baseUrl, requestsOf } = yield* fake(
              server.baseUrl,
              stores(
                up,
                downWith(
                  () => refused,
                  () => isNoticed
                )
              )
            )
            const output = yield* read(baseUrl, { config: { partial_data: "accept" } })
            assertWhole(output, yield* expectedFrom(server, { matchers: 'store="first"' }))
            assert.isTrue(
              output.logs.some((line) => line.startsWith("WARN")),
              said(output)
            )
            for (const { params } of requestsOf(/query_range/)) {
              assert.notStrictEqual(params.get("partial_response"), "false")
            }
          })
      )
    }

    it.effect("fails discovery: metrics and labels of the store would be missing", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake(
          (yield* Source).baseUrl,
          stores(
            up,
            downWith(() => refused)
          )
        )
        const found = yield* discover(baseUrl)
        assert.deepStrictEqual([found.code, found.names], [1, []], said(found))
      })
    )

    it.effect("ends run with 1, and nothing is written of the streams that it cut", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake(
          (yield* Source).baseUrl,
          stores(
            up,
            downWith(() => refused)
          )
        )
        const { code, stderr, summary } = yield* run(baseUrl)
        assert.strictEqual(code, 1, stderr)
        for (const rows of Object.values(rowsOf(summary))) assert.strictEqual(rows, 0)
        assert.match(stderr, /store/i)
      })
    )
  })
})

describe("ranges before all data of Thanos", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const earlier of [day, 400 * day]) {
      it.effect(`are empty, not partial: ${earlier / day} days`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, noStoresBefore(start), stores(up))
          const config = { start_date: iso(start - earlier) }
          assertWhole(yield* read(baseUrl, { config }), yield* expectedFrom(server))
          const found = yield* discover(baseUrl, config)
          assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
        })
      )
    }

    it.effect("are empty, too, if the whole range is before it: the next sync resumes after it", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* Source).baseUrl, noStoresBefore(start), stores(up))
        const config = { start_date: iso(start - 2 * day), end_date: iso(start - day) }
        const output = yield* read(baseUrl, { config })
        assertWhole(output, new Map())
        for (const metric of metrics) assert.strictEqual(stateOf(output, metric), start - day)
      })
    )
  })
})

describe("downsampled data of Thanos", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    const rawFrom = start + hour

    for (const resolution of ["5m", "1h", "auto"]) {
      it.effect(`are read if max_source_resolution says so: ${resolution}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, downsampledBefore(rawFrom), stores(up))
          const output = yield* read(baseUrl, { config: { max_source_resolution: resolution, step: 300 } })
          assertWhole(output, yield* expectedFrom(server, { stepSeconds: 300 }))
        })
      )
    }

    it.effect("cause a warning if there is no raw data in the range", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(server.baseUrl, downsampledBefore(end + 1), stores(up))
        const output = yield* read(baseUrl)
        assertRecords(output, new Map())
        const words = [...output.logs, ...output.errors.map(({ message }) => message)]
        assert.match(words.filter((line) => !line.startsWith("INFO")).join("\n"), /max_source_resolution/)
      })
    )

    it.effect("do not matter if raw data fill the range: no word of it", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(server.baseUrl, downsampledBefore(start - day), stores(up))
        const output = yield* read(baseUrl)
        assertWhole(output, yield* expectedFrom(server))
        assert.deepStrictEqual(
          output.logs.filter((line) => line.includes("max_source_resolution")),
          []
        )
      })
    )
  })
})

/** The same with a result cache in front, which knows the first answer to each point. */
describe("a result cache", { concurrent: true }, () => {
  const gap = ([time]: readonly [number, number]): boolean =>
    time < start + 30 * minute || time > start + 60 * minute

  it.effect("does not hide late samples from a full refresh and a lookback_window", () =>
    Effect.gen(function* () {
      const server = yield* RealPrometheus.make({
        remoteWriteReceiver: true,
        outOfOrderWindow: "3h"
      })
      const all = basic.map(({ labels, samples }) => ({ labels: labels as Record<string, string>, samples }))
      yield* server.remoteWrite(all.map((series) => ({ ...series, samples: series.samples.filter(gap) })))
      const { baseUrl } = yield* fake(server.baseUrl, resultCache(), stores(up))
      const first = yield* read(baseUrl)
      const early = yield* expectedFrom(server)
      assertWhole(first, early)

      yield* server.remoteWrite(
        all.map((series) => ({ ...series, samples: series.samples.filter((sample) => !gap(sample)) }))
      )
      const late = yield* expectedFrom(server)
      assert.isAbove(late.size, early.size)
      assertWhole(yield* read(baseUrl), late)
      const again = yield* read(baseUrl, { state: first.states, config: { lookback_window: 7200 } })
      // It reads what is later than the cursor minus the window.
      assertWhole(again, yield* expectedFrom(server, { from: start + minute }))
    })
  )
})
