/**
 * Time from a user's perspective: whose clock counts, where a time range begins and ends, and how the calendar affects it.
 *
 * The server's clock stands still at a time that each test chooses, in most tests far from this machine's time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { onMetric, serve } from "../support/mockServer.ts"
import { clockOff, refusesServer, withoutOwnTime, wrongClocks } from "../support/wrongClock.ts"
import * as rules from "./rules.ts"
import { assertRefused, catalogOf, check, discover, storyOf } from "./verbs.ts"

/** The output without the parts that depend on the machine's clock. */
const withoutEmission = ({ stdout }: connector.Output): string => withoutOwnTime(stdout)

describe("the clock of the client", () => {
  /** Half a minute after the last settled point; later samples exist. */
  const serverNow = start + 90 * minute + 30_000

  /** The output and requests of `check`, `discover` and two syncs, the second resuming from the first. */
  const everything = Effect.fnUntraced(function* (nodeOptions: ReadonlyArray<string>) {
    yield* TestClock.setTime(serverNow)
    const { config, mock } = yield* serve(gauge("m", 200, 3), 0, {}, { end_date: null })
    const files = yield* connector.workspace
    const path = files.write("config.json", config)
    const catalog = catalogOf("incremental", "m")
    const options = { nodeOptions }
    const checked = yield* rules.verb(["check", "--config", path], options)
    const discovered = yield* rules.verb(["discover", "--config", path], options)
    const first = yield* rules.read(files, { ...config, settle_delay: 1800 }, catalog, undefined, options)
    const second = yield* rules.read(files, config, catalog, first.states, options)
    const outputs = [checked, discovered, first, second]
    return {
      outputs,
      printed: outputs.map((output) => withoutEmission(output).replaceAll(config.base_url, "http://server")),
      requests: mock.requests.map(({ params, path }) => `${path}?${params}`).sort()
    }
  })

  it.effect("changes only emission times, clock warnings and the outcome of a check", () =>
    Effect.gen(function* () {
      const before = Date.now()
      const right = yield* everything([])
      const wrong = yield* Effect.forEach(wrongClocks, ({ error }) => everything(clockOff(error)), {
        concurrency: 2
      })
      const emitted = ({ outputs }: typeof right) => outputs[2]!.records[0]!.emittedAt
      for (const [index, { error, what }] of wrongClocks.entries()) {
        const { outputs, printed, requests } = wrong[index]!
        const [checked, ...others] = printed
        assert.deepStrictEqual(others, right.printed.slice(1), what)
        // A warning is logged, and a check may fail: the server's clock may be the wrong one.
        for (const output of outputs.slice(1)) {
          const warnings = output.logs.filter((log) => log.startsWith("WARN The clock of "))
          assert.lengthOf(warnings, 1, what)
          assert.match(
            warnings[0]!,
            / shows 2026-01-01T01:30:30Z, more than a day (ahead of|behind) this machine's clock \(20\d\d-/
          )
        }
        if (refusesServer(error)) {
          assert.match(
            checked!,
            /"status":"FAILED","message":"The clock of .* ahead of this machine's clock \(20/
          )
        } else assert.strictEqual(checked, right.printed[0], what)
        assert.deepStrictEqual(requests, right.requests, what)
        // The clock was indeed wrong: the records have its emission time.
        const off = Math.abs(emitted(wrong[index]!) - before)
        assert.isAbove(off, Math.abs(error.millis) - 120_000, what)
      }
      assert.closeTo(emitted(right), before, 120_000)
      // The states follow the server's clock.
      const [, , first, second] = right.outputs
      assert.strictEqual(first!.states.at(-1)!.stream.stream_state.time, iso(start + 60 * minute))
      assert.strictEqual(second!.states.at(-1)!.stream.stream_state.time, iso(start + 89 * minute))
      assert.strictEqual(connector.byKey([...first!.records, ...second!.records]).size, 3 * 90)
    })
  )
})

describe("a pause until a date that the server requests", { concurrent: true }, () => {
  it.effect.each(wrongClocks.slice(0, 4))("is measured by the server's clock, with ours $what", ({ error }) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start + 10 * minute)
      const { config } = yield* serve(gauge("m", 5), 5, {
        faults: (request, attempt) =>
          attempt === 1
            ? onMetric("m", {
                status: 429,
                headers: { "retry-after": new Date(start + 10 * minute + 1000).toUTCString() },
                body: "too many requests"
              })(request)
            : undefined
      })
      const files = yield* connector.workspace
      const catalog = catalogOf("incremental", "m")
      const options = { nodeOptions: clockOff(error) }
      const output = yield* rules.read(files, config, catalog, undefined, options)
      assert.strictEqual(output.code, 0)
      assert.strictEqual(storyOf(output, "m"), "STARTED WAITING RUNNING RECORD STATE COMPLETE")
      const warnings = output.logs.filter(
        (log) => log.startsWith("WARN ") && !log.startsWith("WARN The clock of ")
      )
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0]!, /Retrying in 1\.0 s/)
    })
  )
})

describe("a clock that is adjusted constantly", { concurrent: true }, () => {
  const nodeOptions = clockOff({ millis: 21_600_000, swings: true })

  /** The duration of an effect, by a clock that is never adjusted. */
  const timed = Effect.fnUntraced(function* <A>(effect: Effect.Effect<A>) {
    const before = performance.now()
    const result = yield* effect
    return { result, seconds: (performance.now() - before) / 1000 }
  })

  it.live("does not make a read log its progress more often than every ten seconds", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5000, 2), 5000)
      const files = yield* connector.workspace
      const catalog = catalogOf("incremental", "m")
      const { result, seconds } = yield* timed(rules.read(files, config, catalog, undefined, { nodeOptions }))
      assert.deepStrictEqual([result.code, result.records.length], [0, 10_000])
      assert.isAbove(result.states.length, 3)
      const progress = result.logs.filter((log) => log.includes(" so far, up to "))
      assert.isAtMost(progress.length, Math.floor(seconds / 10))
    })
  )

  it.live("does not extend the duration that a run reports", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const files = yield* connector.workspace
      const args = [
        "run",
        "--config",
        files.write("c.json", config),
        "--to",
        `jsonl:${files.path("o")}`,
        "--json"
      ]
      const { result, seconds } = yield* timed(child.run(args, { nodeOptions }))
      const reported = JSON.parse(result.stdout) as { readonly rows: number; readonly seconds: number }
      assert.strictEqual(reported.rows, 5)
      assert.isAtMost(reported.seconds, seconds, result.stderr)
    })
  )
})

/** A sync of a metric with a sample at every grid point around a moment, while the server's clock stands still. */
const sync = Effect.fnUntraced(function* (
  { around, now, step }: { readonly around: string; readonly now: string; readonly step: number },
  config: object,
  options: { readonly state?: unknown; readonly env?: Readonly<Record<string, string>> } = {}
) {
  yield* TestClock.setTime(Date.parse(now))
  const middle = Math.round(Date.parse(around) / 1000 / step) * step * 1000
  const samples = Array.from({ length: 81 }, (_, i) => [middle + (i - 40) * step * 1000, i] as const)
  const series = makeSeries(
    { __name__: "m" },
    samples.filter(([time]) => time >= 0)
  )
  const server = yield* serve([series], 0, {}, { end_date: null, step, settle_delay: 0, ...config })
  const files = yield* connector.workspace
  const { env = {}, state } = options
  const saved =
    state === undefined
      ? undefined
      : [{ type: "STREAM", stream: { stream_descriptor: { name: "m" }, stream_state: state } }]
  const output = yield* rules.read(files, server.config, catalogOf("incremental", "m"), saved, { env })
  assert.strictEqual(output.code, 0, output.stdout)
  return {
    ...server,
    output,
    times: output.records.map(({ data }) => data.time as string),
    state: output.states.at(-1)?.stream.stream_state,
    isAsked: server.mock.requests.some(({ path }) => path.endsWith("/query_range"))
  }
})

/** A time range, and the grid points inside it. */
interface RangeCase {
  readonly what: string
  readonly now: string
  /** Where the samples are, `now` by default. */
  readonly around?: string
  readonly step: number
  readonly config: object
  readonly times: ReadonlyArray<string>
}

const noon = "2000-02-29T12:00:00Z"

/** The state of a stream that has read nothing yet: all samples are later. */
const nothingYet = "1970-01-01T00:00:00Z"

describe("a range", { concurrent: true }, () => {
  const cases: ReadonlyArray<RangeCase> = [
    {
      what: "that begins in the server's future, but in our past, is empty",
      now: noon,
      step: 60,
      config: { start_date: "2000-02-29T12:00:01Z" },
      times: []
    },
    {
      what: "that ends in the server's future stops at the server's current time",
      now: "2000-02-29T12:02:30Z",
      step: 60,
      config: { start_date: noon, end_date: "2000-03-01" },
      times: [noon, "2000-02-29T12:01:00Z", "2000-02-29T12:02:00Z"]
    },
    {
      what: "that ends in everyone's future stops there too",
      now: "2000-02-29T12:01:59Z",
      step: 60,
      config: { start_date: noon, end_date: "9999-12-31T23:59:59Z" },
      times: [noon, "2000-02-29T12:01:00Z"]
    },
    {
      what: "includes both its ends",
      now: "2000-03-01T00:00:00Z",
      around: noon,
      step: 60,
      config: { start_date: noon, end_date: "2000-02-29T12:02:00Z" },
      times: [noon, "2000-02-29T12:01:00Z", "2000-02-29T12:02:00Z"]
    },
    {
      what: "that starts a second after a point or ends a second before one excludes it",
      now: "2000-03-01T00:00:00Z",
      around: noon,
      step: 60,
      config: { start_date: "2000-02-29T12:00:01Z", end_date: "2000-02-29T12:02:59Z" },
      times: ["2000-02-29T12:01:00Z", "2000-02-29T12:02:00Z"]
    },
    {
      what: "of one moment on the grid has one point",
      now: "2000-03-01T00:00:00Z",
      around: noon,
      step: 60,
      config: { start_date: noon, end_date: noon },
      times: [noon]
    },
    {
      what: "of one moment off the grid has no point",
      now: "2000-03-01T00:00:00Z",
      around: noon,
      step: 60,
      config: { start_date: "2000-02-29T12:00:30Z", end_date: "2000-02-29T12:00:30Z" },
      times: []
    },
    {
      what: "that is shorter than the step may have one point",
      now: "2000-03-01T12:00:00Z",
      step: 86_400,
      config: { start_date: "2000-02-29T23:00:00Z", end_date: "2000-03-01T01:00:00Z" },
      times: ["2000-03-01T00:00:00Z"]
    },
    {
      what: "that is shorter than the step may have no point",
      now: "2000-03-01T12:00:00Z",
      step: 86_400,
      config: { start_date: "2000-02-29T00:00:01Z", end_date: "2000-02-29T23:59:59Z" },
      times: []
    },
    {
      what: "ends at the point whose settle delay has just passed",
      now: "2000-02-29T12:03:00Z",
      step: 60,
      config: { start_date: noon, settle_delay: 120 },
      times: [noon, "2000-02-29T12:01:00Z"]
    },
    {
      what: "ends before a point whose settle delay passes in a millisecond",
      now: "2000-02-29T12:02:59.999Z",
      step: 60,
      config: { start_date: noon, settle_delay: 120 },
      times: [noon]
    },
    {
      what: "is empty if the settle delay is longer",
      now: "2000-02-29T12:03:00Z",
      step: 60,
      config: { start_date: noon, settle_delay: "10m" },
      times: []
    },
    {
      what: "with the longest settle delay and the longest step is empty before 1980",
      now: "1979-12-29T00:00:00Z",
      step: 315_360_000,
      config: { start_date: "1970-01-02", settle_delay: 315_360_000 },
      times: []
    },
    {
      what: "begins at the epoch at the earliest",
      now: "1970-01-01T00:02:00Z",
      step: 60,
      config: { start_date: "1970-01-01" },
      times: [nothingYet, "1970-01-01T00:01:00Z", "1970-01-01T00:02:00Z"]
    },
    {
      what: "may cross the end of signed 32-bit seconds",
      now: "2038-01-19T03:14:09Z",
      step: 1,
      config: { start_date: "2038-01-19T03:14:06Z" },
      times: ["2038-01-19T03:14:06Z", "2038-01-19T03:14:07Z", "2038-01-19T03:14:08Z", "2038-01-19T03:14:09Z"]
    },
    {
      what: "may cross the end of unsigned 32-bit seconds",
      now: "2106-02-07T06:28:17Z",
      step: 1,
      config: { start_date: "2106-02-07T06:28:15Z" },
      times: ["2106-02-07T06:28:15Z", "2106-02-07T06:28:16Z", "2106-02-07T06:28:17Z"]
    },
    {
      what: "may extend to the last second of the year 9999",
      now: "9999-12-31T23:59:59.999Z",
      step: 1,
      config: { start_date: "9999-12-31T23:59:58Z", end_date: "9999-12-31T23:59:59Z" },
      times: ["9999-12-31T23:59:58Z", "9999-12-31T23:59:59Z"]
    },
    {
      what: "has no point if the next one is in the year 10000",
      now: "9999-12-31T23:59:59Z",
      step: 3600,
      config: { start_date: "9999-12-31T23:00:01Z" },
      times: []
    },
    {
      what: "has a point on a leap day",
      now: "2024-03-01T12:00:00Z",
      step: 86_400,
      config: { start_date: "2024-02-29", end_date: "2024-03-01" },
      times: ["2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"]
    },
    {
      what: "treats 2000 as a leap year",
      now: "2000-03-01T12:00:00Z",
      step: 86_400,
      config: { start_date: "2000-02-28" },
      times: ["2000-02-28T00:00:00Z", "2000-02-29T00:00:00Z", "2000-03-01T00:00:00Z"]
    },
    {
      what: "does not treat 2100 as a leap year",
      now: "2100-03-01T12:00:00Z",
      step: 86_400,
      config: { start_date: "2100-02-28" },
      times: ["2100-02-28T00:00:00Z", "2100-03-01T00:00:00Z"]
    },
    {
      what: "has no leap seconds, as Prometheus has none",
      now: "2017-01-01T00:00:02Z",
      step: 2,
      config: { start_date: "2016-12-31T23:59:57Z" },
      times: ["2016-12-31T23:59:58Z", "2017-01-01T00:00:00Z", "2017-01-01T00:00:02Z"]
    },
    {
      what: "with a step of a week has its points on Thursdays, also across the new year",
      now: "2026-01-09T00:00:00Z",
      step: 604_800,
      config: { start_date: "2025-12-24", end_date: "2026-01-09" },
      times: ["2025-12-25T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z"]
    },
    {
      what: "with a step that does not divide a day continues across midnight and the new year",
      now: "2026-01-01T01:13:20Z",
      step: 5000,
      config: { start_date: "2025-12-31T22:00:00Z" },
      times: ["2025-12-31T22:26:40Z", "2025-12-31T23:50:00Z", "2026-01-01T01:13:20Z"]
    },
    {
      what: "with the longest step has one point in ten years",
      now: "2026-01-01T00:00:00Z",
      around: "2019-12-20T00:00:00Z",
      step: 315_360_000,
      config: { start_date: "2018-01-01" },
      times: ["2019-12-20T00:00:00Z"]
    }
  ]
  it.effect.each(cases)("$what", ({ around, config, now, step, times }) =>
    Effect.gen(function* () {
      const {
        isAsked,
        output,
        state,
        times: read
      } = yield* sync({ around: around ?? now, now, step }, config)
      assert.deepStrictEqual(read, times)
      assert.deepStrictEqual(state, { time: times.at(-1) ?? nothingYet, step, version: 1 })
      // A request for an empty range is not sent.
      assert.strictEqual(isAsked, times.length > 0)
      assert.match(storyOf(output, "m"), /^STARTED RUNNING( RECORD)?( STATE)+ COMPLETE$/)
    })
  )

  it.effect("that was empty is read once its points have settled", () =>
    Effect.gen(function* () {
      const place = { around: noon, step: 60 }
      const config = { start_date: noon, settle_delay: 600 }
      const early = yield* sync({ ...place, now: "2000-02-29T11:00:00Z" }, config)
      const delayed = yield* sync({ ...place, now: "2000-02-29T12:09:59Z" }, config, { state: early.state })
      const ripe = yield* sync({ ...place, now: "2000-02-29T12:11:00Z" }, config, { state: delayed.state })
      const later = yield* sync({ ...place, now: "2000-02-29T12:12:30Z" }, config, { state: ripe.state })
      assert.deepStrictEqual(
        [early, delayed, ripe, later].map(({ times }) => times),
        [[], [], [noon, "2000-02-29T12:01:00Z"], ["2000-02-29T12:02:00Z"]]
      )
    })
  )

  it.effect(
    "that begins in the server's future causes a warning, and lists the metrics of the last day",
    () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(Date.parse(noon) + 999)
        const at = (name: string, time: string) => makeSeries({ __name__: name }, [[Date.parse(time), 1]])
        const { config } = yield* serve(
          [
            at("today", "2000-02-29T00:00:00Z"),
            at("old", "2000-02-28T00:00:00Z"),
            at("later", "2000-03-02T00:00:00Z")
          ],
          0,
          {},
          { start_date: "2000-03-01", end_date: null }
        )
        const { logs, streams } = yield* discover(config)
        assert.deepStrictEqual(
          streams.map(({ name }) => name),
          ["today"]
        )
        const warning =
          "WARN start_date is 2000-03-01T00:00:00Z, but the server's clock shows 2000-02-29T12:00:00Z: nothing can be read before that date. Metrics of the last day are listed instead."
        assert.include(logs, warning)
        const checked = yield* check(config)
        assert.strictEqual(checked.status, "SUCCEEDED")
        assert.include(checked.logs, warning)
        for (const start_date of [noon, "1999-01-01"]) {
          assert.notMatch((yield* check({ ...config, start_date })).logs.join("\n"), /start_date is/)
        }
      })
  )

  it.effect("must not end before it begins, nor have times that do not exist", () =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(gauge("m", 5), 5)
      const files = yield* connector.workspace
      const wrong = [
        {
          dates: { start_date: noon, end_date: "2000-02-29T11:59:59Z" },
          says: /end_date is 2000-02-29T11:59:59Z, but must not be before start_date 2000-02-29T12:00:00Z\./
        },
        { dates: { start_date: "2023-02-29" }, says: /start_date is "2023-02-29", but must be a date since/ },
        { dates: { start_date: "2100-02-29" }, says: /start_date is "2100-02-29", but must be a date since/ },
        {
          dates: { end_date: "2016-12-31T23:59:60Z" },
          says: /end_date is "2016-12-31T23:59:60Z", but must be .* or a UTC time such as/
        },
        {
          dates: { start_date: "2026-01-01T00:00:00.500Z" },
          says: /start_date is "2026-01-01T00:00:00.500Z", but must be .* such as 2026-01-01T00:00:00Z/
        }
      ]
      for (const { dates, says } of wrong) {
        const path = files.write("config.json", { ...config, ...dates })
        assertRefused(yield* rules.verb(["discover", "--config", path]), "config_error", says)
      }
      assert.isEmpty(mock.requests)
    })
  )
})

describe("a state", { concurrent: true }, () => {
  const place = { around: noon, now: "2000-02-29T12:05:00Z", step: 60 }
  const config = { start_date: noon }
  const at = (time: string, more: object = {}) => ({ time, step: 60, version: 1, ...more })

  it.effect("in the server's future is kept, even if it is in our past", () =>
    Effect.gen(function* () {
      for (const more of [{}, { lookback_window: 60 }]) {
        const state = at("2000-02-29T12:06:00Z")
        const read = yield* sync(place, { ...config, ...more }, { state })
        assert.deepStrictEqual([read.times, read.state], [[], state])
      }
    })
  )

  it.effect("is looked back from no further than the start, and never moves backwards", () =>
    Effect.gen(function* () {
      const from = "2000-02-29T12:03:00Z"
      const read = yield* sync(
        place,
        { start_date: from, lookback_window: 315_360_000 },
        { state: at("2000-02-29T12:04:00Z") }
      )
      assert.deepStrictEqual(read.times, [from, "2000-02-29T12:04:00Z", "2000-02-29T12:05:00Z"])
      assert.deepStrictEqual(read.state, at("2000-02-29T12:05:00Z"))
    })
  )

  it.effect("of another grid is resumed from at the next point of this one", () =>
    Effect.gen(function* () {
      const cases = [
        { time: "2000-02-29T12:01:40Z", step: 50, times: ["2000-02-29T12:02:00Z", "2000-02-29T12:03:00Z"] },
        { time: "2000-02-29T12:02:00Z", step: 120, times: ["2000-02-29T12:03:00Z"] },
        { time: "2000-02-29T12:01:59.999Z", step: 7, times: ["2000-02-29T12:02:00Z", "2000-02-29T12:03:00Z"] }
      ]
      for (const { step, time, times } of cases) {
        const read = yield* sync(
          { ...place, now: "2000-02-29T12:03:00Z" },
          { ...config, start_date: "2000-02-29" },
          { state: at(time, { step }) }
        )
        assert.deepStrictEqual([read.times, read.state], [times, at("2000-02-29T12:03:00Z")])
      }
    })
  )

  // Otherwise a sync that had nothing to read would move the state back.
  it.effect("of another grid is unchanged while this one has no point after it", () =>
    Effect.gen(function* () {
      const state = at("2000-02-29T12:04:30Z", { step: 30 })
      const read = yield* sync({ ...place, now: "2000-02-29T12:04:59Z" }, config, { state })
      assert.deepStrictEqual([read.times, read.state], [[], state])
    })
  )

  it.effect("is unaffected by an earlier start", () =>
    Effect.gen(function* () {
      const read = yield* sync(place, { start_date: "2000-01-01" }, { state: at("2000-02-29T12:04:00Z") })
      assert.deepStrictEqual(read.times, ["2000-02-29T12:05:00Z"])
    })
  )
})

describe("the machine's time zone", { concurrent: true }, () => {
  const zones = ["UTC", "America/St_Johns", "Pacific/Apia", "Europe/Berlin"]

  // Samoa skipped 30 December 2011; Berlin and Newfoundland had days of 25 hours in the autumn of 2024.
  it.effect.each([
    { around: "2011-12-30T00:00:00Z", start_date: "2011-12-28", end_date: "2012-01-02", step: 86_400 },
    { around: "2024-10-31T00:00:00Z", start_date: "2024-10-26", end_date: "2024-11-04", step: 21_600 }
  ])("changes nothing from $start_date to $end_date", ({ around, step, ...dates }) =>
    Effect.gen(function* () {
      const place = { around, now: "2024-12-01T00:00:00Z", step }
      const reads = yield* Effect.forEach(zones, (TZ) => sync(place, dates, { env: { TZ } }))
      const [first] = reads
      const from = Date.parse(dates.start_date)
      const to = Date.parse(dates.end_date)
      const grid = Array.from({ length: 60 }, (_, i) => (Math.floor(from / 1000 / step) + i) * step * 1000)
      assert.deepStrictEqual(first!.times, grid.filter((time) => time >= from && time <= to).map(iso))
      for (const { output } of reads) {
        assert.strictEqual(withoutEmission(output), withoutEmission(first!.output))
      }
    })
  )
})
