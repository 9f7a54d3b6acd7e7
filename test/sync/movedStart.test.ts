/** Reads whose states record the range: after a moved start they read the missing points, and nothing twice. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref, Schema, Stream } from "effect"
import { read } from "../../src/sync/Read.ts"
import type { ReadEvent } from "../../src/sync/ReadEvent.ts"
import { encodeStreamState, type StreamState } from "../../src/sync/StreamState.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import { checkpoints, drive, exact, fullRefresh, incremental, minutesOf, numbers, setUp } from "./readMock.ts"

/** Small windows, so that a read can be stopped between them. */
const smallWindows = { mock: { ...exact, maxSamples: 7 } }

/** One sync of some points from a minute on. `windowsRead` ends it after this number of checkpoints. */
const sync = Effect.fnUntraced(function* (given: {
  readonly from: number
  readonly points: number
  readonly state?: StreamState | undefined
  readonly windowsRead?: number
  readonly config?: object
  readonly isRefresh?: boolean
}) {
  const { services } = yield* setUp({
    ...smallWindows,
    series: gauge("m", 60, 1),
    points: given.points,
    config: { start_date: iso(start + given.from * minute), ...given.config },
    states: given.state === undefined ? {} : { m: encodeStreamState(given.state) }
  })
  const seen = yield* Ref.make(0)
  const events = read(given.isRefresh === true ? fullRefresh("m") : incremental("m"), {
    detailedStates: true
  })
  const collected = yield* Effect.provide(
    drive(
      Stream.runCollect(
        given.windowsRead === undefined
          ? events
          : Stream.takeUntil(events, (event) =>
              event._tag === "Checkpoint"
                ? Effect.runSync(Ref.updateAndGet(seen, (count) => count + 1)) >= given.windowsRead!
                : false
            )
      )
    ),
    services
  )
  return { events: collected, state: checkpoints(collected).at(-1) }
})

/** The committed minutes. A stop loses everything after the last checkpoint. */
const committed = (events: ReadonlyArray<ReadEvent>) =>
  minutesOf(events.slice(0, events.findLastIndex(({ _tag }) => _tag === "Checkpoint") + 1))

describe("a start that was moved", () => {
  it.effect("back: earlier points are read and added", () =>
    Effect.gen(function* () {
      const first = yield* sync({ from: 20, points: 30 })
      assert.deepStrictEqual(minutesOf(first.events), numbers(20, 29))
      assert.deepStrictEqual(
        { ...first.state },
        {
          time: iso(start + 29 * minute),
          step: 60,
          version: 1,
          read: [[iso(start + 20 * minute), iso(start + 29 * minute)]],
          selector: "",
          excluded_labels: ""
        }
      )
      const second = yield* sync({ from: 5, points: 40, state: first.state })
      assert.deepStrictEqual(minutesOf(second.events), [...numbers(5, 19), ...numbers(30, 39)])
      assert.deepStrictEqual(second.state?.read, [[iso(start + 5 * minute), iso(start + 39 * minute)]])
      const started = second.events[0]
      assert.strictEqual(started?._tag === "Started" ? started.points : 0, 25)
      assert.deepStrictEqual(
        second.events.flatMap((event) => (event._tag === "Checkpoint" ? [event.points] : [])).at(-1),
        25
      )
      const third = yield* sync({ from: 5, points: 40, state: second.state })
      assert.deepStrictEqual(minutesOf(third.events), [])
    })
  )

  it.effect("back, and stopped midway: the state keeps its time, and the next sync reads the rest", () =>
    Effect.gen(function* () {
      const first = yield* sync({ from: 20, points: 30 })
      const stopped = yield* sync({ from: 0, points: 30, state: first.state, windowsRead: 1 })
      assert.strictEqual(stopped.state?.time, iso(start + 29 * minute))
      assert.strictEqual(stopped.state?.read?.length, 2)
      const second = yield* sync({ from: 0, points: 30, state: stopped.state })
      assert.deepStrictEqual(
        [...committed(stopped.events), ...minutesOf(second.events)].sort((a, b) => a - b),
        numbers(0, 19)
      )
    })
  )

  it.effect("forward: the gap stays until the start is moved back", () =>
    Effect.gen(function* () {
      const first = yield* sync({ from: 0, points: 10 })
      const second = yield* sync({ from: 20, points: 30, state: first.state })
      assert.deepStrictEqual(minutesOf(second.events), numbers(20, 29))
      const third = yield* sync({ from: 0, points: 30, state: second.state })
      assert.deepStrictEqual(minutesOf(third.events), numbers(10, 19))
      assert.deepStrictEqual(third.state?.read, [[iso(start), iso(start + 29 * minute)]])
    })
  )

  it.effect("back: only the look-back window is read again", () =>
    Effect.gen(function* () {
      const first = yield* sync({ from: 20, points: 30 })
      const second = yield* sync({
        from: 10,
        points: 32,
        state: first.state,
        config: { lookback_window: 180 }
      })
      assert.deepStrictEqual(minutesOf(second.events), [...numbers(10, 19), ...numbers(27, 31)])
    })
  )

  it.effect("in a stopped refresh: back resumes it, forward restarts it", () =>
    Effect.gen(function* () {
      const stopped = yield* sync({ from: 10, points: 30, isRefresh: true, windowsRead: 2 })
      const before = committed(stopped.events)
      const earlier = yield* sync({ from: 5, points: 30, isRefresh: true, state: stopped.state })
      assert.deepStrictEqual(
        [...before, ...minutesOf(earlier.events)].sort((a, b) => a - b),
        numbers(5, 29)
      )
      const laterStart = yield* sync({ from: 12, points: 30, isRefresh: true, state: stopped.state })
      assert.deepStrictEqual(minutesOf(laterStart.events), numbers(12, 29))
    })
  )

  const Point = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))
  it.effect.prop(
    "any number of times, with any stops: no point is committed twice, and the last sync omits none",
    [
      Schema.Array(
        Schema.Struct({
          from: Point,
          points: Point,
          windowsRead: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 }))
        })
      ).check(Schema.isMaxLength(6))
    ],
    ([syncs]) =>
      Effect.gen(function* () {
        let state: StreamState | undefined
        const all: Array<number> = []
        // The points are in the order of time.
        let points = 1
        for (const { from, points: more, windowsRead } of syncs) {
          points = Math.max(points, more)
          const stopped = yield* sync({ from, points, state, windowsRead })
          all.push(...committed(stopped.events))
          state = stopped.state ?? state
        }
        const last = yield* sync({ from: 0, points: 40, state })
        all.push(...minutesOf(last.events))
        assert.deepStrictEqual(
          all.sort((a, b) => a - b),
          numbers(0, 39)
        )
      }),
    { arbitrary: { runs: runs(10, 100) }, timeout: 60_000 }
  )
})

describe("a stream that is abandoned", () => {
  it.effect("makes no more requests, and the others are read to their ends", () =>
    Effect.gen(function* () {
      const { mock, services } = yield* setUp({
        ...smallWindows,
        series: [...gauge("m", 60, 1), ...gauge("n", 60, 1)],
        points: 60
      })
      const gone = new Set<string>()
      const events = yield* Effect.provide(
        drive(
          Stream.runCollect(
            read(incremental("m", "n"), { isAbandoned: (stream) => gone.has(stream) }).pipe(
              Stream.tap((event) => Effect.sync(() => event._tag === "Checkpoint" && gone.add("m")))
            )
          )
        ),
        services
      )
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "Completed" ? [event.stream] : [])),
        ["n"]
      )
      const asked = mock.requests.filter(({ params }) => params.get("query")?.includes('"m"'))
      assert.isBelow(asked.length, 12)
      assert.strictEqual(minutesOf(events.filter(({ stream }) => stream === "n")).length, 60)
    })
  )
})
