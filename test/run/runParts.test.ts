/** Runs in parts from the mock into memory, by processes that start, stop and repeat in any order. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger } from "effect"
import { DestinationError } from "../../src/destinations/Destination.ts"
import type { MockSeries } from "../../src/mock/MockSeries.ts"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { Progress } from "../../src/run/Progress.ts"
import { planParts } from "../../src/run/planParts.ts"
import { type PartsOptions, runParts } from "../../src/run/runParts.ts"
import { executePart } from "../../src/run/writeParts.ts"
import * as sources from "../../src/sync/sources.ts"
import { type Choices, choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { MemoryParts, type OnStep } from "../support/MemoryParts.ts"
import { runs } from "../support/runs.ts"
import { drive, onRange, rangeRequests, refusal, type Setting, setUp } from "../sync/readMock.ts"

const noProgress = Layer.succeed(Progress, {
  begin: () => Effect.void,
  started: () => Effect.void,
  wrote: () => Effect.void,
  committed: () => Effect.void,
  retrying: () => Effect.void,
  ended: () => Effect.void
})

interface ProcessOptions extends Partial<PartsOptions> {
  readonly onStep?: OnStep
}

/** One process of some. Slots have ten minutes by default. */
const processOf = (
  memory: MemoryParts,
  index: number,
  processes: number,
  { onStep, ...options }: ProcessOptions = {}
) =>
  runParts({
    source: "a mock",
    destination: "memory:x",
    hasCharts: false,
    isStepGiven: true,
    mask: (text) => text,
    share: { index, processes, lengthMillis: 10 * minute },
    ...options
  }).pipe(Effect.provide(Layer.merge(memory.layer(onStep), noProgress)))

/** Runs an effect with the services of a setting, and collects the logs. */
const within = Effect.fnUntraced(function* <A, E, R>(setting: Setting, effect: Effect.Effect<A, E, R>) {
  const { mock, services } = yield* setUp(setting)
  const logs: Array<string> = []
  const exit = yield* drive(Effect.exit(effect)).pipe(
    Effect.provide(services),
    Effect.provide(Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))]))
  )
  return { exit, logs, mock }
})

/** The samples of a stream as texts, as `MemoryParts.textsOf` has them. */
const read = Effect.fnUntraced(function* (setting: Setting) {
  const memory = new MemoryParts()
  yield* (yield* within(setting, processOf(memory, 0, 1))).exit
  return memory
})

const indexes = (processes: number) => Array.from({ length: processes }, (_, index) => index)

const series = [...gauge("a", 95, 3), ...gauge("b", 95), ...gauge("c", 95, 2)]
const setting: Setting = { series, points: 95 }

/** All samples of a setting. */
const expectAll = (memory: MemoryParts, { points, series }: Setting) => {
  for (const stream of ["a", "b", "c"]) {
    const expected = series
      .filter(({ labels }) => labels.some(([name, value]) => name === "__name__" && value === stream))
      .flatMap(({ times }) => [...times].filter((time) => time < start + points * minute))
    const rows = memory.rows.get(stream) ?? []
    assert.deepStrictEqual(
      rows.map(({ millis }) => millis).sort((x, y) => x - y),
      expected.sort((x, y) => x - y),
      stream
    )
    assert.strictEqual(new Set(rows.map(({ millis, series }) => `${series} ${millis}`)).size, rows.length)
    const state = memory.stateOf(stream)
    assert.deepStrictEqual(state?.read, [[iso(start), iso(start + (points - 1) * minute)]], stream)
    assert.strictEqual(state?.time, iso(start + (points - 1) * minute))
  }
}

describe("a run in parts", () => {
  it.effect("reads the same as one process, whatever the number of processes", () =>
    Effect.gen(function* () {
      const single = yield* read(setting)
      expectAll(single, setting)
      for (const processes of [2, 3]) {
        const memory = new MemoryParts()
        let rows = 0
        for (const index of indexes(processes).reverse()) {
          const summary = yield* (yield* within(setting, processOf(memory, index, processes))).exit
          rows += summary.rows
          assert.isBelow(summary.rows, 95 * 6)
          assert.deepStrictEqual(
            summary.streams.map(({ name }) => name),
            ["a", "b", "c"]
          )
        }
        assert.strictEqual(rows, 95 * 6)
        for (const stream of ["a", "b", "c"]) {
          assert.deepStrictEqual(memory.textsOf(stream), single.textsOf(stream))
          assert.deepStrictEqual(memory.states.get(stream), single.states.get(stream))
        }
        // Each part is one commit, in its slot.
        assert.lengthOf(memory.commits, 3 * 10)
      }
    })
  )

  it.effect("is refused with the server's own tables, before anything is requested", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const { exit, mock } = yield* within(
        { ...setting, config: { tables: ["exemplars"] } },
        processOf(memory, 0, 2)
      )
      assert.match(
        Exit.isFailure(exit) ? JSON.stringify(exit.cause) : "",
        /One process reads the server's own tables \(exemplars\), and this run is divided among several\. Remove tables \(--table\)/
      )
      assert.isEmpty(rangeRequests(mock))
      assert.isEmpty(memory.commits)
    })
  )

  it.effect("counts rows once if two processes have the same number", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const all = [0, 1, 0, 1].map((index) => processOf(memory, index, 2))
      const { exit } = yield* within(setting, Effect.all(all, { concurrency: "unbounded" }))
      const summaries = yield* exit
      assert.strictEqual(
        summaries.reduce((sum, { rows }) => sum + rows, 0),
        95 * 6
      )
      expectAll(memory, setting)
    })
  )

  it.effect("requests nothing that has been read, and lists all streams", () =>
    Effect.gen(function* () {
      const memory = yield* read(setting)
      const { exit, mock } = yield* within(setting, processOf(memory, 0, 2))
      const { rows, streams } = yield* exit
      assert.deepStrictEqual([rows, streams.length, rangeRequests(mock).length], [0, 3, 0])
    })
  )

  it.effect("keeps the parts before a failure, continues with other streams, and fills the gap later", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const faults = onRange(({ from, metric }) =>
        metric === "a" && from >= 90 ? { status: 422, body: "no" } : undefined
      )
      const { exit } = yield* within({ ...setting, mock: { faults } }, processOf(memory, 0, 1))
      const { streams } = yield* exit
      assert.match(streams[0]?.error ?? "", /422/)
      assert.deepStrictEqual(
        streams.slice(1).map(({ error }) => error),
        [undefined, undefined]
      )
      assert.strictEqual(memory.stateOf("a")?.time, iso(start + 89 * minute))
      assert.strictEqual(streams[0]?.rows, 90 * 3)
      for (const index of [1, 0]) yield* (yield* within(setting, processOf(memory, index, 2))).exit
      expectAll(memory, setting)
    })
  )

  it.effect("ends the stream whose part the destination does not take, and no other", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      let count = 0
      const onStep: OnStep = (step, stream) =>
        step === "commit" && stream === "b" && ++count === 3
          ? Effect.fail(new DestinationError({ message: "The disk is slow today." }))
          : Effect.void
      const { exit } = yield* within(setting, processOf(memory, 0, 1, { onStep }))
      const { streams } = yield* exit
      assert.deepStrictEqual(
        streams.map(({ error, rows }) => [error, rows]),
        [
          [undefined, 285],
          ["The disk is slow today.", 20],
          [undefined, 190]
        ]
      )
    })
  )

  it.effect("agrees with other processes on the length of parts", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      memory.lengths.set("a", 30 * minute)
      yield* (yield* within(setting, processOf(memory, 0, 1))).exit
      const commits = (stream: string) => memory.commits.filter((part) => part.stream === stream).length
      assert.deepStrictEqual([commits("a"), commits("b")], [4, 10])
    })
  )

  it.effect("measures the length of parts by a small query per stream", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const share = { index: 0, processes: 1 }
      const { mock } = yield* within(setting, processOf(memory, 0, 1, { share }))
      assert.deepStrictEqual([...memory.lengths.values()], Array(3).fill(364 * 1440 * minute))
      const counts = rangeRequests(mock).filter(({ params }) => params.get("query")?.startsWith("count("))
      assert.lengthOf(counts, 3)
      const again = yield* within({ ...setting, points: 96 }, processOf(memory, 0, 1, { share }))
      assert.isFalse(
        rangeRequests(again.mock).some(({ params }) => params.get("query")?.startsWith("count("))
      )
    })
  )

  it.effect("uses the step of the destination, and refuses another one", () =>
    Effect.gen(function* () {
      const memory = yield* read({ ...setting, points: 60 })
      const config = { step: 3600 }
      const { exit } = yield* within({ ...setting, config }, processOf(memory, 0, 1, { isStepGiven: false }))
      assert.strictEqual((yield* exit).stepSeconds, 60)
      const refused = yield* within({ ...setting, config }, processOf(memory, 0, 1))
      const error = yield* Effect.flip(refused.exit)
      assert.match(error.message, /^The step is 1 h, but memory:x has rows of/)
    })
  )

  it.effect("fails with a sentence if two processes begin with two steps", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const other = new MemoryParts()
      yield* (yield* within({ ...setting, config: { step: 120 } }, processOf(other, 0, 1))).exit
      const onStep: OnStep = (step) =>
        Effect.sync(() => {
          if (step === "commit") for (const [stream, state] of other.states) memory.states.set(stream, state)
        })
      const { exit } = yield* within(setting, processOf(memory, 0, 1, { onStep }))
      const { streams } = yield* exit
      assert.match(streams[0]?.error ?? "", /another process has begun to write it with a step of 2 min/)
      assert.strictEqual(memory.rows.size, 0)
    })
  )

  it.effect("replaces the rows at damaged points once the server returns all of them", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const faults = onRange(({ from, metric, points }) =>
        metric === "a" && from <= 44 && from + points > 44 ? refusal(422, "damaged chunk") : undefined
      )
      const damaged = ({ path, params }: { path: string; params: URLSearchParams }, attempt: number) =>
        // Only the series n="1" is damaged.
        /n="(?!1")|n!~"[^"]*1/.test(params.get("query") ?? "") ? undefined : faults({ path, params }, attempt)
      const { exit } = yield* within({ ...setting, mock: { faults: damaged } }, processOf(memory, 0, 1))
      const { streams } = yield* exit
      assert.match(streams[0]?.error ?? "", /The rest of a was read/)
      const state = memory.stateOf("a")!
      assert.strictEqual(state.time, iso(start + 43 * minute))
      assert.deepStrictEqual(state.read_again, [[iso(start + 44 * minute), iso(start + 44 * minute)]])
      for (const index of [0, 1]) yield* (yield* within(setting, processOf(memory, index, 2))).exit
      expectAll(memory, setting)
      assert.notProperty(memory.states.get("a"), "read_again")
    })
  )

  it.effect("says what was saved if it is stopped", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const onStep: OnStep = (step) => (step === "committed" ? Effect.interrupt : Effect.void)
      const { logs } = yield* within(setting, processOf(memory, 0, 1, { onStep }))
      assert.match(logs.at(-1) ?? "", /^Stopped: /)
    })
  )
})

describe("one part on its own", () => {
  it.effect("is read once, even if it is executed twice at the same time", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const program = Effect.gen(function* () {
        const planned = yield* planParts(["a", "b", "c"], 10 * minute)
        const all = planned.flatMap(({ parts }) => parts)
        const outcomes = yield* Effect.forEach([...all, ...all.toReversed()], (part) => executePart(part), {
          concurrency: 4
        })
        return outcomes.reduce((sum, { rows }) => sum + rows, 0)
      }).pipe(Effect.provide(sources.layer), Effect.provide(memory.layer()))
      const { exit } = yield* within(setting, program)
      assert.strictEqual(yield* exit, 95 * 6)
      expectAll(memory, setting)
    })
  )

  it.effect("keeps the points before the first at which an expression fails", () =>
    Effect.gen(function* () {
      const failing: Setting = {
        series: gauge("m", 95, 2),
        points: 95,
        config: { queries: [{ name: "q", expression: "m" }], metrics: { exclude: ["*"] } },
        mock: {
          faults: onRange(({ from, points }) =>
            from <= 42 && 42 < from + points
              ? refusal(422, "many-to-many matching not allowed: matching labels must be unique on one side")
              : undefined
          )
        }
      }
      // A part of all points, by a process and on its own.
      const share = { index: 0, processes: 1, lengthMillis: 1000 * minute }
      const byProcess = new MemoryParts()
      const { exit } = yield* within(failing, processOf(byProcess, 0, 1, { share }))
      const summary = yield* exit
      assert.strictEqual(summary.rows, 42 * 2)
      assert.match(
        summary.streams[0]?.error ?? "",
        /It fails at 2026-01-01T00:42:00Z, and the stream ends before this point\./
      )
      const alone = new MemoryParts()
      const once = yield* within(
        failing,
        Effect.gen(function* () {
          const [planned] = yield* planParts(["q"], 1000 * minute)
          return yield* executePart(planned!.parts[0]!)
        }).pipe(Effect.provide(sources.layer), Effect.provide(alone.layer()))
      )
      assert.isTrue(Exit.isFailure(once.exit))
      for (const memory of [byProcess, alone]) {
        assert.lengthOf(memory.rows.get("q") ?? [], 42 * 2)
        assert.deepStrictEqual(memory.stateOf("q")?.read, [[iso(start), iso(start + 41 * minute)]])
      }
    })
  )

  it.effect("fails with the server's error", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const program = Effect.gen(function* () {
        const [stream] = yield* planParts(["a"], 10 * minute)
        return yield* executePart(stream!.parts[1]!)
      }).pipe(Effect.provide(sources.layer), Effect.provide(memory.layer()))
      const faults = onRange(() => ({ status: 422, body: "no" }))
      const { exit } = yield* within({ ...setting, mock: { faults } }, program)
      assert.match((yield* Effect.flip(exit)).message, /422/)
      assert.strictEqual(memory.rows.size, 0)
    })
  )
})

/** A sample and the minute at which the server has it. */
interface Arrival {
  readonly series: number
  readonly at: number
  readonly arrives: number
}

const LOOKBACK = 7

/** Three streams. One begins later. Some samples are late, but not later than the look-back. */
const arrivalsOf = (choices: Choices, points: number): ReadonlyArray<Arrival> =>
  [0, 1, 2].flatMap((series) =>
    Array.from({ length: points }, (_, at) => ({
      series,
      at,
      arrives: at + (choices.oneIn(4) ? choices.below(LOOKBACK) : 0)
    })).filter(({ at }) => series < 2 || at >= 40)
  )

const seriesAt = (arrivals: ReadonlyArray<Arrival>, now: number): ReadonlyArray<MockSeries> =>
  ["a", "b", "c"].flatMap((name, series) => {
    const samples = arrivals
      .filter((one) => one.series === series && one.arrives <= now)
      .map(({ at }) => [start + at * minute, at] as const)
    return samples.length === 0 ? [] : [makeSeries({ __name__: name }, samples)]
  })

describe("runs in parts, again and again", () => {
  it.effect.prop(
    "miss no sample that is late by at most the look-back, in any order and with kills anywhere",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const memory = new MemoryParts()
        const arrivals = arrivalsOf(choices, 90)
        const config = { lookback_window: LOOKBACK * 60 }
        let now = choices.between(5, 30)
        let processes = choices.between(1, 4)
        while (now < 90) {
          const setting: Setting = { series: seriesAt(arrivals, now), points: now + 1, config }
          const running = choices.list(4, () => choices.below(processes))
          const all = running.map((index) => {
            let left = choices.oneIn(3) ? choices.below(12) : Number.POSITIVE_INFINITY
            // A killed process does nothing any more.
            const onStep: OnStep = () =>
              Effect.suspend(() => (left-- <= 0 ? Effect.die("killed") : Effect.void))
            return Effect.exit(processOf(memory, index, processes, { onStep }))
          })
          yield* within(setting, Effect.all(all, { concurrency: choices.oneIn(2) ? 1 : "unbounded" }))
          now += choices.between(1, 25)
          if (choices.oneIn(3)) processes = choices.between(1, 4)
        }
        // Everything has arrived. The last run of all processes reads what is left.
        for (const index of choices.shuffle(indexes(processes))) {
          const setting: Setting = { series: seriesAt(arrivals, 200), points: 90, config }
          const { exit } = yield* within(setting, processOf(memory, index, processes))
          assert.isTrue(Exit.isSuccess(exit))
        }
        for (const [series, stream] of ["a", "b", "c"].entries()) {
          assert.deepStrictEqual(
            (memory.rows.get(stream) ?? [])
              .map(({ millis }) => (millis - start) / minute)
              .sort((x, y) => x - y),
            arrivals.filter((one) => one.series === series).map(({ at }) => at),
            stream
          )
          assert.strictEqual(memory.stateOf(stream)?.time, iso(start + 89 * minute))
          assert.deepStrictEqual(memory.stateOf(stream)?.read, [[iso(start), iso(start + 89 * minute)]])
        }
      }),
    { arbitrary: { runs: runs(4, 40) }, timeout: 120_000 }
  )
})
