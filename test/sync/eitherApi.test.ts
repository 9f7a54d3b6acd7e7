/** With `api: auto`, remote read is taken where a trial shows the same records, and each record is read once whatever fails. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import type { Faults } from "../../src/mock/faults.ts"
import type { Fault } from "../../src/mock/http.ts"
import type { MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { isRead, parseReadRequest } from "../../src/mock/readRequest.ts"
import { ApiChoice } from "../../src/sync/ApiChoice.ts"
import { maxStoredPerPoint, storedPerPoint, trialRange } from "../../src/sync/gridApi.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import {
  failuresOf,
  fullRefresh,
  rangeRequests,
  readAll,
  refusal,
  type Setting,
  samplesOf,
  story
} from "./readMock.ts"

/** Windows of 32 points, of 256, and of the rest. Only the latter two are worth a trial. */
const POINTS = 400
const SERIES = 80
const series = gauge("m", POINTS, SERIES)

const configuration = (yaml: string): Fault => ({
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ status: "success", data: { yaml } })
})

const plainConfiguration = "global:\n  scrape_interval: 1m\n"

const hidden: Fault = { status: 404 }

/** A configuration, and faults of other requests. */
const showing =
  (yaml: string | undefined, faults: Faults = () => undefined): Faults =>
  (request, attempt) => {
    if (request.path !== "/api/v1/status/config") return faults(request, attempt)
    return yaml === undefined ? hidden : configuration(yaml)
  }

/** A fault of remote reads, by the last minute that they request. */
const onRead =
  (fault: (last: number, attempt: number) => Fault | undefined): Faults =>
  (request, attempt) =>
    isRead(request)
      ? fault((parseReadRequest(request.body).queries[0]!.endMillis - start) / minute, attempt)
      : undefined

const readLogging = Effect.fnUntraced(function* (
  mock: MockOptions,
  config: object = {},
  name = "m",
  setting: Pick<Setting, "series" | "points"> = { series, points: POINTS }
) {
  const logs: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel !== "Debug") logs.push(String(message))
  })
  const result = yield* readAll(fullRefresh(name), {
    ...setting,
    mock,
    config: { api: "auto", ...config }
  }).pipe(Effect.provide(Logger.layer([logger])))
  return { ...result, logs, samples: samplesOf(result.events) }
})

/** Quick for many samples. */
const assertEqual = (some: ReadonlyMap<string, string>, others: ReadonlyMap<string, string>): void => {
  assert.strictEqual(some.size, others.size)
  assert.deepStrictEqual([...some].filter(([key, text]) => others.get(key) !== text).slice(0, 3), [])
}

const readCount = (mock: MockPrometheus) => mock.requests.filter(isRead).length

const same =
  "m: reading by remote read, which has the same records and sends about 1.1 stored samples per data point (api is auto)."

describe("api: auto", () => {
  it.effect("reads by remote read once a trial has shown the same records", () =>
    Effect.gen(function* () {
      const query = yield* readLogging({}, { api: "query_range" })
      const auto = yield* readLogging({ faults: showing(plainConfiguration) })
      assert.strictEqual(auto.samples.size, POINTS * SERIES)
      assertEqual(auto.samples, query.samples)
      assert.strictEqual(story(auto.events), story(query.events))
      assert.deepStrictEqual(auto.logs, [same])
      // The first window and the trial.
      assert.lengthOf(rangeRequests(auto.mock), 2)
      assert.strictEqual(readCount(query.mock), 0)
    })
  )

  const refusals: ReadonlyArray<readonly [why: string, log: RegExp, mock: MockOptions, config?: object]> = [
    [
      "the configuration is not shown",
      /^Reading with query_range, because the server does not show its config/,
      { faults: showing(undefined) }
    ],
    [
      "the server reads from others",
      /^Reading with query_range, because the server also reads from other servers, and remote read does not report when one of them is unavailable \(api is auto\)\.$/,
      { faults: showing(`${plainConfiguration}remote_read:\n- url: http://other\n`) }
    ],
    [
      "the look-back is not known",
      /because it is not known exactly how Prometheus 3\.0\.0 evaluates data points/,
      {
        faults: showing(plainConfiguration, ({ path }) =>
          path === "/api/v1/status/flags" ? { status: 404 } : undefined
        )
      }
    ],
    [
      "there is no remote read",
      /^Reading with query_range, because the server does not offer remote read \(api is auto\)\.$/,
      { faults: showing(plainConfiguration), remoteRead: false }
    ],
    [
      "the labels differ",
      /^m: reading with query_range, because remote read returned different records in a trial/,
      { faults: showing(plainConfiguration), externalLabels: { region: "eu" } }
    ],
    [
      "an external label cannot be removed with certainty",
      /^m: reading with query_range, because it is not certain which labels/,
      { faults: showing(`${plainConfiguration}  external_labels:\n    n: "5"\n`), externalLabels: { n: "5" } }
    ],
    [
      "it would send many stored samples",
      /^m: reading with query_range, because remote read would send about \d+\.\d stored samples per data point/,
      { faults: showing(plainConfiguration), lookbackMillis: 5 * minute, version: "2.42.0" },
      { step: 600 }
    ]
  ]
  for (const [why, log, mock, config = {}] of refusals) {
    it.effect(`reads with query_range if ${why}`, () =>
      Effect.gen(function* () {
        const large = { series: gauge("m", 40_000, 10), points: 40_000 }
        const setting = "step" in config ? large : { series, points: POINTS }
        const { events, logs, mock: server } = yield* readLogging(mock, config, "m", setting)
        assert.strictEqual(samplesOf(events).size, "step" in config ? 40_000 : POINTS * SERIES)
        assert.strictEqual(failuresOf(events), "")
        assert.lengthOf(logs, 1)
        assert.match(logs[0]!, log)
        assert.isAtMost(readCount(server), 1)
      })
    )
  }

  it.effect("drops the external labels of the server", () =>
    Effect.gen(function* () {
      const yaml = `${plainConfiguration}  external_labels:\n    region: eu\n`
      const { logs, samples } = yield* readLogging({
        faults: showing(yaml),
        externalLabels: { region: "eu" }
      })
      const { samples: plain } = yield* readLogging({}, { api: "query_range" })
      assertEqual(samples, plain)
      assert.deepStrictEqual(logs, [same])
    })
  )

  const failures: ReadonlyArray<readonly [name: string, fault: Fault]> = [
    ["is refused", refusal(422, "exceeded sample limit (5)")],
    ["is not allowed", { status: 403 }],
    ["is reset", { reset: true }],
    ["breaks off", { cutAfterBytes: 40_000 }],
    ["is not remote read", { headers: { "content-type": "application/x-streamed-protobuf" }, body: "?!" }]
  ]
  for (const [name, fault] of failures) {
    it.effect(`reads each record once if a remote read ${name}`, () =>
      Effect.gen(function* () {
        const { events, logs, mock, samples } = yield* readLogging({
          faults: showing(
            plainConfiguration,
            // The trial has the last points of its window.
            onRead((last, attempt) => (last > 300 || attempt > 1 ? fault : undefined))
          )
        })
        assert.strictEqual(samples.size, POINTS * SERIES)
        assert.strictEqual(failuresOf(events), "")
        assert.strictEqual(
          story(events),
          "Started Running Samples Checkpoint Samples Checkpoint Samples Checkpoint Completed"
        )
        assert.strictEqual(logs[0], same)
        assert.match(logs[1]!, /^m: .* read with query_range \(api is auto\)\.$/)
        assert.isAtMost(readCount(mock), 3)
      })
    )
  }
})

describe("api: remote_read", () => {
  it.effect("requests no points of a server whose rules are known", () =>
    Effect.gen(function* () {
      const { logs, mock, samples } = yield* readLogging(
        { faults: showing(plainConfiguration) },
        { api: "remote_read" }
      )
      assert.strictEqual(samples.size, POINTS * SERIES)
      assert.deepStrictEqual(logs, [])
      assert.lengthOf(rangeRequests(mock), 0)
    })
  )

  it.effect("warns if it assumes a rule, and fails without remote read", () =>
    Effect.gen(function* () {
      const { logs, samples } = yield* readLogging({ faults: showing(undefined) }, { api: "remote_read" })
      assert.strictEqual(samples.size, POINTS * SERIES)
      assert.deepStrictEqual(logs, [
        "The records may differ from those of query_range, because the server does not show its configuration (api is remote_read)."
      ])
      const { events } = yield* readLogging(
        { faults: showing(plainConfiguration), remoteRead: false },
        { api: "remote_read" }
      )
      assert.match(failuresOf(events), /\/api\/v1\/read/)
    })
  )

  it.effect("evaluates queries on the server", () =>
    Effect.gen(function* () {
      const { mock, samples } = yield* readLogging(
        { faults: showing(plainConfiguration) },
        { api: "remote_read", queries: [{ name: "q", expression: "m" }] },
        "q"
      )
      assert.strictEqual(samples.size, POINTS * SERIES)
      assert.strictEqual(readCount(mock), 0)
    })
  )
})

describe("the choice", () => {
  const range = { firstMillis: 0, lastMillis: 99 * 15_000, stepMillis: 15_000 }

  it("estimates stored samples per point, those in the look-back included", () => {
    // A sample per second, and a point every 15 seconds.
    const trial = { range: { ...range, firstMillis: range.lastMillis }, stored: 300, points: 1 }
    assert.closeTo(storedPerPoint(range, trial, 300_000), (300 + 99 * 15) / 100, 1e-9)
    // Half of the series have no sample there.
    assert.closeTo(storedPerPoint(range, { range, stored: 100, points: 50 }, 0), 2, 1e-9)
    assert.isBelow(maxStoredPerPoint("gzip"), maxStoredPerPoint("none"))
  })

  it("tries the last points, at least one", () => {
    assert.deepStrictEqual(trialRange(range, 10), { ...range, firstMillis: 40 * 15_000 })
    assert.deepStrictEqual(trialRange(range, 10_000), { ...range, firstMillis: 95 * 15_000 })
    assert.deepStrictEqual(trialRange(range, 1e9), { ...range, firstMillis: 99 * 15_000 })
    const short = { ...range, lastMillis: 15_000 }
    assert.deepStrictEqual(trialRange(short, 1), short)
    const day = { firstMillis: 0, lastMillis: 864_000_000, stepMillis: 86_400_000 }
    assert.deepStrictEqual(trialRange(day, 1), { ...day, firstMillis: day.lastMillis })
  })

  it("gives up after trials without a result, and tries only what is worth it", () => {
    const choice = new ApiChoice({ refusal: undefined })
    assert.isFalse(choice.isWorthTrial(range))
    choice.samplesPerPoint = 1000
    for (let trial = 0; trial < 3; trial++) {
      assert.isTrue(choice.isWorthTrial(range))
      choice.beginTrial()
      assert.isFalse(choice.isWorthTrial(range))
      choice.endTrial()
      assert.isFalse(choice.takes(range))
    }
    assert.isFalse(choice.isWorthTrial(range))
  })

  it("takes no range that has failed, and none after three failures or one that cannot pass", () => {
    const accepted = () => {
      const choice = new ApiChoice({ refusal: undefined })
      choice.beginTrial()
      choice.accept()
      choice.endTrial()
      return choice
    }
    const later = (firstMillis: number) => ({ ...range, firstMillis })
    const choice = accepted()
    assert.isTrue(choice.takes(range))
    choice.failed(1000, true)
    assert.deepStrictEqual([choice.takes(later(1000)), choice.takes(later(1001))], [false, true])
    choice.failed(2000, true)
    choice.failed(3000, true)
    assert.deepStrictEqual([choice.takes(later(4000)), choice.takesMore], [false, false])
    const other = accepted()
    other.failed(0, false)
    assert.isFalse(other.takes(later(4000)))
    const shared: { refusal: string | undefined } = { refusal: undefined }
    const third = new ApiChoice(shared)
    third.beginTrial()
    third.accept()
    shared.refusal = "no"
    assert.isFalse(third.takes(range))
  })
})
