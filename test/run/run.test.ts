/** A run over the mock into a destination that is watched. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Ref } from "effect"
import type { SampleBlock } from "../../src/prometheus/Sample.ts"
import { Destination, DestinationError, type SyncMode } from "../../src/run/Destination.ts"
import { Progress, type StreamSummary } from "../../src/run/Progress.ts"
import { run } from "../../src/run/run.ts"
import { decodeFrom } from "../../src/sync/StateStore.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { drive, onRange, type Setting, setUp } from "../sync/readMock.ts"

/** A destination in memory, which fails where it is told to, and a list of all that it and the progress are told. */
const watched = (failing: string | undefined, states: Setting["states"]) => {
  const told: Array<string> = []
  const rows = new Map<string, number>()
  const summaries: Array<StreamSummary> = []
  const step = (what: string) =>
    Effect.suspend(() => {
      told.push(what)
      return what === failing ? Effect.fail(new DestinationError({ message: `${what} fails.` })) : Effect.void
    })
  const destination = Layer.succeed(Destination, {
    bytes: Effect.succeed(42),
    contents: () => Effect.succeed({ rows: 0, firstMillis: null, lastMillis: null }),
    lookInto: (stream) => `look into ${stream}`,
    states: (kind) => {
      told.push(`states ${kind}`)
      return {
        load: (stream) => decodeFrom(new Map(Object.entries(states ?? {})), stream),
        save: () => Effect.void
      }
    },
    open: Effect.fnUntraced(function* (stream: string, mode: SyncMode) {
      yield* step(`open ${stream} ${mode}`)
      const pending = yield* Ref.make(0)
      yield* Effect.addFinalizer(() => step(`close ${stream}`).pipe(Effect.ignore))
      return {
        write: (blocks: ReadonlyArray<SampleBlock>) =>
          Effect.andThen(
            step(`write ${stream}`),
            Ref.update(pending, (count) => count + blocks.reduce((sum, { length }) => sum + length, 0))
          ),
        commit: () =>
          step(`commit ${stream}`).pipe(
            Effect.andThen(Ref.getAndSet(pending, 0)),
            Effect.map((count) => void rows.set(stream, (rows.get(stream) ?? 0) + count))
          ),
        complete: step(`complete ${stream}`)
      }
    })
  })
  const progress = Layer.succeed(Progress, {
    begin: ({ streams }) => step(`begin ${streams.join(" ")}`).pipe(Effect.ignore),
    started: (stream, points) => step(`started ${stream} ${points}`).pipe(Effect.ignore),
    wrote: () => Effect.void,
    committed: (stream, points) => step(`committed ${stream} ${points}`).pipe(Effect.ignore),
    retrying: (stream) => step(`retrying ${stream}`).pipe(Effect.ignore),
    ended: (stream) => Effect.sync(() => void summaries.push(stream)),
    finish: () => step("finish").pipe(Effect.ignore)
  })
  return { told, rows, summaries, layer: Layer.merge(destination, progress) }
}

const runOf = Effect.fnUntraced(function* (
  setting: Setting,
  mode: SyncMode = "incremental_append_deduped",
  failing?: string
) {
  const { services } = yield* setUp(setting)
  const { layer, rows, summaries, told } = watched(failing, setting.states)
  const exit = yield* drive(
    Effect.exit(run({ mode, source: "a mock", destination: "memory:x", hasCharts: false }))
  ).pipe(Effect.provide(Layer.merge(services, layer)))
  return { exit, rows, summaries, told }
})

/** What of all was told of one stream, runs of the same as one. */
const storyOf = (told: ReadonlyArray<string>, stream: string): string =>
  told
    .filter((what) => what.split(" ")[1] === stream && !what.startsWith("begin "))
    .map((what) => what.split(" ")[0])
    .filter((what, i, all) => what !== all[i - 1])
    .join(" ")

describe("run", () => {
  it.effect("writes, commits and completes each stream, and sums it up", () =>
    Effect.gen(function* () {
      const series = [...gauge("a", 20, 3), ...gauge("b", 20)]
      const { exit, rows, summaries, told } = yield* runOf({ series, points: 20 })
      const summary = yield* exit
      assert.deepStrictEqual(told.slice(0, 1), ["begin a b"])
      assert.strictEqual(told.at(-1), "finish")
      assert.include(told, "open a incremental_append_deduped")
      assert.include(told, "started a 20")
      assert.include(told, "committed a 20")
      for (const name of ["a", "b"]) {
        assert.strictEqual(storyOf(told, name), "open started write commit committed complete close")
      }
      assert.deepStrictEqual([...rows].sort(), [
        ["a", 60],
        ["b", 20]
      ])
      assert.deepInclude(summary, {
        source: "a mock",
        destination: "memory:x",
        mode: "incremental_append_deduped",
        stepSeconds: 60,
        rows: 80,
        bytes: 42,
        lookInto: "look into a"
      })
      assert.deepStrictEqual(
        summary.streams.map(({ error, name, rows, series, span }) => ({ error, name, rows, series, span })),
        [
          { name: "a", error: undefined, series: 3, rows: 60, span: [start, start + 19 * minute] },
          { name: "b", error: undefined, series: 1, rows: 20, span: [start, start + 19 * minute] }
        ]
      )
      assert.deepStrictEqual(
        [...summaries].sort((a, b) => (a.name < b.name ? -1 : 1)),
        summary.streams
      )
    })
  )

  it.effect("keeps what a stream had committed before it failed, and goes on with the others", () =>
    Effect.gen(function* () {
      const faults = onRange(({ from, metric }) =>
        metric === "a" && from > 0 ? { status: 422, body: "no" } : undefined
      )
      const series = [...gauge("a", 100), ...gauge("b", 100)]
      const { exit, rows, told } = yield* runOf({ series, points: 100, mock: { faults } })
      const { rows: all, streams } = yield* exit
      assert.match(streams[0]?.error ?? "", /422/)
      assert.strictEqual(streams[1]?.error, undefined)
      assert.strictEqual(rows.get("a"), streams[0]?.rows)
      assert.isTrue((rows.get("a") ?? 0) > 0 && (rows.get("a") ?? 0) < 100)
      assert.strictEqual(rows.get("b"), 100)
      assert.strictEqual(all, 100 + rows.get("a")!)
      assert.notInclude(told, "complete a")
      assert.include(told, "close a")
    })
  )

  it.effect("lets people look into a stream that did not fail, also where nothing is new", () =>
    Effect.gen(function* () {
      const faults = onRange(({ metric }) => (metric === "a" ? { status: 422, body: "no" } : undefined))
      const late = gauge("b", 1).map((one) => ({ ...one, times: one.times.map(() => start + 1) }))
      const { exit } = yield* runOf({ series: [...gauge("a", 1), ...late], points: 1, mock: { faults } })
      const { lookInto, rows } = yield* exit
      assert.deepStrictEqual({ lookInto, rows }, { lookInto: "look into b", rows: 0 })
    })
  )

  it.effect("tells of retries", () =>
    Effect.gen(function* () {
      const faults = onRange(({ attempt }) => (attempt === 1 ? { status: 503, body: "later" } : undefined))
      const { exit, told } = yield* runOf({ series: gauge("a", 5), points: 5, mock: { faults } })
      const { streams } = yield* exit
      assert.include(told, "retrying a")
      assert.deepInclude(streams[0], { retries: 1, rows: 5, error: undefined })
    })
  )

  it.effect.each(["open a incremental_append", "write a", "commit a", "complete a"])(
    "ends where the destination fails at %j, and lets go of all streams",
    (failing) =>
      Effect.gen(function* () {
        const series = [...gauge("a", 50), ...gauge("b", 50)]
        const { exit, told } = yield* runOf({ series, points: 50 }, "incremental_append", failing)
        assert.deepStrictEqual(exit, Exit.fail(new DestinationError({ message: `${failing} fails.` })))
        const opened = told.filter((what) => what.startsWith("open ") && what !== failing)
        const closed = told.filter((what) => what.startsWith("close "))
        assert.deepStrictEqual(
          closed.map((what) => what.split(" ")[1]).sort(),
          opened.map((what) => what.split(" ")[1]).sort()
        )
        assert.notInclude(told, "finish")
      })
  )

  it.effect("reads a refresh in its mode", () =>
    Effect.gen(function* () {
      const { exit, told } = yield* runOf({ series: gauge("a", 5), points: 5 }, "full_refresh_overwrite")
      assert.strictEqual((yield* exit).mode, "full_refresh_overwrite")
      assert.include(told, "open a full_refresh_overwrite")
    })
  )

  it.effect("fails where there is nothing to read", () =>
    Effect.gen(function* () {
      const { exit } = yield* runOf({ series: [], points: 5 })
      assert.isTrue(Exit.isFailure(exit))
      assert.match(JSON.stringify(exit), /No metric of/)
    })
  )
})
