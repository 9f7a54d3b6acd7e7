/** A run from the mock into a recording destination. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Option, Ref } from "effect"
import { makeMask } from "../../src/config/SecretMask.ts"
import {
  type Contents,
  Destination,
  DestinationError,
  type SyncMode
} from "../../src/destinations/Destination.ts"
import { savedStreams } from "../../src/destinations/manifest.ts"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { Progress, type StreamSummary } from "../../src/run/Progress.ts"
import { type RunOptions, run } from "../../src/run/run.ts"
import type { StreamKind } from "../../src/samples/Layout.ts"
import { decodeState } from "../../src/sync/StateStore.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { drive, onRange, rangeRequests, type Setting, setUp } from "../sync/readMock.ts"

const errorOf = (what: string, isFatal: boolean) =>
  new DestinationError({ message: `${what} fails.`, isFatal })

/** A destination in memory that fails at a given step, and a list of all calls to it and to the progress. */
const watched = (
  failing: string | undefined,
  states: Setting["states"],
  contents: Readonly<Record<string, Contents>>,
  isFatal: boolean,
  kinds: Readonly<Record<string, StreamKind>> = {},
  whileCompleting: NonNullable<Given["whileCompleting"]> = () => Effect.void
) => {
  const calls: Array<string> = []
  const rows = new Map<string, number>()
  const summaries: Array<StreamSummary> = []
  const step = (what: string) =>
    Effect.suspend(() => {
      calls.push(what)
      return what === failing ? Effect.fail(errorOf(what, isFatal)) : Effect.void
    })
  const open = Effect.fnUntraced(function* (stream: string, mode: SyncMode) {
    yield* step(`open ${stream} ${mode}`)
    const pending = yield* Ref.make(0)
    yield* Effect.addFinalizer(() => step(`close ${stream}`).pipe(Effect.ignore))
    return {
      write: (blocks: ReadonlyArray<{ readonly length: number }>) =>
        Effect.andThen(
          step(`write ${stream}`),
          Ref.update(pending, (count) => count + blocks.reduce((sum, { length }) => sum + length, 0))
        ),
      commit: () =>
        step(`commit ${stream}`).pipe(
          Effect.andThen(Ref.getAndSet(pending, 0)),
          Effect.map((count) => void rows.set(stream, (rows.get(stream) ?? 0) + count))
        ),
      complete: Effect.andThen(step(`complete ${stream}`), whileCompleting(stream, calls))
    }
  })
  const destination = Layer.succeed(Destination, {
    bytes: Effect.succeed(42),
    contents: (stream, of) =>
      Effect.succeed(
        (of === "current" ? contents[stream] : undefined) ?? { rows: 0, firstMillis: null, lastMillis: null }
      ),
    streams: () =>
      savedStreams(
        Object.keys({ ...states, ...contents }).map((stream) => ({
          stream,
          kind: kinds[stream] ?? "metric",
          state: states?.[stream]
        }))
      ),
    partLengths: () => new Map(),
    previewCommand: (stream) => `look into ${stream}`,
    states: (kind) => {
      calls.push(`states ${kind}`)
      return { load: (stream) => decodeState(stream, states?.[stream]) }
    },
    open,
    openTable: ({ stream }, mode) => open(stream, mode)
  })
  const progress = Layer.succeed(Progress, {
    begin: (streams) => step(`begin ${streams.join(" ")}`).pipe(Effect.ignore),
    started: (stream, points) => step(`started ${stream} ${points}`).pipe(Effect.ignore),
    wrote: () => Effect.void,
    committed: (stream, points) => step(`committed ${stream} ${points}`).pipe(Effect.ignore),
    retrying: (stream, error) => step(`retrying ${stream} ${error}`).pipe(Effect.ignore),
    ended: (stream) => Effect.sync(() => void summaries.push(stream))
  })
  return { calls, rows, summaries, layer: Layer.merge(destination, progress) }
}

/** The options of a run without its mode. */
interface Given extends Partial<Pick<RunOptions, "isStepGiven" | "mayShrink" | "confirm">> {
  readonly failing?: string
  readonly isFatal?: boolean
  readonly contents?: Readonly<Record<string, Contents>>
  /** The streams of the destination that are not metrics. */
  readonly kinds?: Readonly<Record<string, StreamKind>>
  /** Runs during the completion of a stream, and gets all calls so far. */
  readonly whileCompleting?: (stream: string, calls: ReadonlyArray<string>) => Effect.Effect<void>
}

const runOf = Effect.fnUntraced(function* (
  setting: Setting,
  mode: SyncMode = "incremental_append_deduped",
  { contents = {}, failing, isFatal = false, kinds, whileCompleting, ...options }: Given = {}
) {
  const { mock, services } = yield* setUp(setting)
  const { layer, rows, summaries, calls } = watched(
    failing,
    setting.states,
    contents,
    isFatal,
    kinds,
    whileCompleting
  )
  const logs: Array<string> = []
  const exit = yield* drive(
    Effect.exit(
      run({
        mode,
        source: "a mock",
        destination: "memory:x",
        replacesRows: false,
        hasCharts: false,
        isStepGiven: true,
        mayShrink: false,
        confirm: Option.none(),
        mask: makeMask(["s3cret"]),
        ...options
      })
    )
  ).pipe(
    Effect.provide(Layer.merge(services, layer)),
    Effect.provide(Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))]))
  )
  return { exit, logs, mock, rows, summaries, calls }
})

/** The calls of one stream, with repeated ones as one. */
const storyOf = (calls: ReadonlyArray<string>, stream: string): string =>
  calls
    .filter((what) => what.split(" ")[1] === stream && !what.startsWith("begin "))
    .map((what) => what.split(" ")[0])
    .filter((what, i, all) => what !== all[i - 1])
    .join(" ")

describe("run", () => {
  it.effect("writes, commits and completes each stream, and returns a summary", () =>
    Effect.gen(function* () {
      const series = [...gauge("a", 20, 3), ...gauge("b", 20)]
      const { exit, rows, summaries, calls } = yield* runOf({ series, points: 20 })
      const summary = yield* exit
      assert.include(calls, "begin a b")
      assert.include(calls, "open a incremental_append_deduped")
      assert.include(calls, "started a 20")
      assert.include(calls, "committed a 20")
      for (const name of ["a", "b"]) {
        assert.strictEqual(storyOf(calls, name), "open started write commit committed complete close")
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
        previewCommand: "look into a"
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

  it.effect("keeps the committed rows of a stream that fails, and continues with the others", () =>
    Effect.gen(function* () {
      const faults = onRange(({ from, metric }) =>
        metric === "a" && from > 0 ? { status: 422, body: "no" } : undefined
      )
      const series = [...gauge("a", 100), ...gauge("b", 100)]
      const { exit, rows, calls } = yield* runOf({ series, points: 100, mock: { faults } })
      const { rows: all, streams } = yield* exit
      assert.match(streams[0]?.error ?? "", /422/)
      assert.strictEqual(streams[1]?.error, undefined)
      assert.strictEqual(rows.get("a"), streams[0]?.rows)
      assert.isTrue((rows.get("a") ?? 0) > 0 && (rows.get("a") ?? 0) < 100)
      assert.strictEqual(rows.get("b"), 100)
      assert.strictEqual(all, 100 + rows.get("a")!)
      assert.notInclude(calls, "complete a")
      assert.include(calls, "close a")
    })
  )

  it.effect("previews a stream that did not fail, even if nothing is new", () =>
    Effect.gen(function* () {
      const faults = onRange(({ metric }) => (metric === "a" ? { status: 422, body: "no" } : undefined))
      const late = gauge("b", 1).map((one) => ({ ...one, times: one.times.map(() => start + 1) }))
      const { exit } = yield* runOf({ series: [...gauge("a", 1), ...late], points: 1, mock: { faults } })
      const { previewCommand, rows } = yield* exit
      assert.deepStrictEqual({ previewCommand, rows }, { previewCommand: "look into b", rows: 0 })
    })
  )

  it.effect("previews a stream whose values change, and does not count a gap as a change", () =>
    Effect.gen(function* () {
      const values = (name: string, ...values: ReadonlyArray<number>) =>
        makeSeries(
          { __name__: name },
          values.map((value, i) => [start + i * minute, value])
        )
      const series = [values("a", NaN, 1, 1), values("b", NaN, 1, 2)]
      const { exit } = yield* runOf({ series, points: 3 })
      assert.strictEqual((yield* exit).previewCommand, "look into b")
    })
  )

  it.effect("reports retries", () =>
    Effect.gen(function* () {
      const faults = onRange(({ attempt }) => (attempt === 1 ? { status: 503, body: "later" } : undefined))
      const { exit, calls } = yield* runOf({ series: gauge("a", 5), points: 5, mock: { faults } })
      const { streams } = yield* exit
      assert.isTrue(calls.some((what) => /^retrying a .*HTTP 503/.test(what)))
      assert.deepInclude(streams[0], { retries: 1, rows: 5, error: undefined })
    })
  )

  it.effect("masks secrets that a server repeats in its errors", () =>
    Effect.gen(function* () {
      const faults = onRange(({ attempt }) => ({ status: attempt === 1 ? 503 : 422, body: "It is s3cret." }))
      const { exit, calls, summaries } = yield* runOf({ series: gauge("a", 5), points: 5, mock: { faults } })
      const { streams } = yield* exit
      assert.deepStrictEqual(streams, summaries)
      assert.include(streams[0]?.error, "****")
      assert.isTrue(calls.some((what) => what.startsWith("retrying a ")))
      assert.notInclude(JSON.stringify([calls, streams]), "s3cret")
    })
  )

  const failures = ["open a incremental_append", "write a", "commit a", "complete a"]

  it.effect.each(failures)("ends if the destination is lost at %j, and releases all streams", (failing) =>
    Effect.gen(function* () {
      const series = [...gauge("a", 50), ...gauge("b", 50)]
      const given = { failing, isFatal: true }
      const { exit, calls } = yield* runOf({ series, points: 50 }, "incremental_append", given)
      assert.deepStrictEqual(exit, Exit.fail(errorOf(failing, true)))
      const opened = calls.filter((what) => what.startsWith("open ") && what !== failing)
      const closed = calls.filter((what) => what.startsWith("close "))
      assert.deepStrictEqual(
        closed.map((what) => what.split(" ")[1]).sort(),
        opened.map((what) => what.split(" ")[1]).sort()
      )
    })
  )

  it.effect.each(failures)("fails only the stream for which the destination fails at %j", (failing) =>
    Effect.gen(function* () {
      const series = [...gauge("a", 5000), ...gauge("b", 50)]
      const { exit, mock, rows, calls } = yield* runOf({ series, points: 5000 }, "incremental_append", {
        failing
      })
      const { streams } = yield* exit
      assert.deepStrictEqual(
        streams.map(({ error, name }) => ({ error, name })),
        [
          { name: "a", error: `${failing} fails.` },
          { name: "b", error: undefined }
        ]
      )
      assert.strictEqual(rows.get("b"), 50)
      assert.strictEqual(streams[0]?.rows, rows.get("a") ?? 0)
      if (failing !== "open a incremental_append") assert.include(calls, "close a")
      assert.notInclude(calls.slice(calls.indexOf(failing) + 1), "write a")
      const windows = rangeRequests(mock).filter(({ params }) => params.get("query")?.includes('"a"'))
      if (failing !== "complete a") {
        assert.isBelow(
          Number(windows.at(-1)?.params.get("end") ?? 0),
          start / 1000 + 4999 * 60,
          "no one reads it"
        )
      }
    })
  )

  it.effect("reads other streams while one is being completed", () =>
    Effect.gen(function* () {
      const { exit, calls } = yield* runOf(
        { series: [...gauge("a", 5), ...gauge("b", 5000)], points: 5000 },
        "incremental_append",
        {
          whileCompleting: (stream, calls) =>
            Effect.gen(function* () {
              const before = calls.length
              while (stream === "a" && !calls.includes("commit b", before)) yield* Effect.yieldNow
            })
        }
      )
      assert.strictEqual((yield* exit).rows, 5005)
      assert.isBelow(calls.indexOf("complete a"), calls.lastIndexOf("commit b"))
    })
  )

  it.effect("reads a refresh in its mode", () =>
    Effect.gen(function* () {
      const { exit, calls } = yield* runOf({ series: gauge("a", 5), points: 5 }, "full_refresh_overwrite")
      assert.strictEqual((yield* exit).mode, "full_refresh_overwrite")
      assert.include(calls, "open a full_refresh_overwrite")
    })
  )

  it.effect("says in the summary why a stream has no rows", () =>
    Effect.gen(function* () {
      const between = makeSeries({ __name__: "between" }, [[start + 30_000, 1]])
      const { exit, summaries } = yield* runOf({ series: [...gauge("a", 5), between], points: 5 })
      yield* exit
      assert.match(
        summaries.find(({ name }) => name === "between")!.notice!,
        /^It has a sample at 2026-01-01T00:00:30Z, but no point of the step of 1 min shows one/
      )
      assert.isUndefined(summaries.find(({ name }) => name === "a")!.notice)
    })
  )

  it.effect("warns of streams that the server has no longer, if they are selected", () =>
    Effect.gen(function* () {
      const states = Object.fromEntries(
        ["a", "b", "old", "other"].map((name) => [name, { time: iso(start + minute), step: 60, version: 1 }])
      )
      const config = { metrics: { exclude: ["other"] } }
      const { exit, logs } = yield* runOf({ series: gauge("a", 5), points: 5, states, config })
      yield* exit
      assert.deepStrictEqual(
        logs.filter((log) => log.includes("any more")),
        [
          "memory:x has 2 metrics that the server does not have in the range any more: b, old. They were removed or renamed, or the data has expired. Existing rows stay."
        ]
      )
    })
  )

  it.effect(
    "says what other streams of earlier runs are, and which groups have lost all of their metrics",
    () =>
      Effect.gen(function* () {
        const kinds: Given["kinds"] = { q: "query", g: "group", empty: "group", prometheus_rules: "table" }
        const state = { time: iso(start + minute), step: 60, version: 1 }
        const states = Object.fromEntries(["a", ...Object.keys(kinds)].map((name) => [name, state]))
        const config = { groups: [{ name: "empty", metrics: { include: ["lost_*"] } }] }
        const { exit, logs } = yield* runOf({ series: gauge("a", 5), points: 5, states, config }, undefined, {
          kinds
        })
        yield* exit
        assert.deepStrictEqual(
          logs.filter((log) => log.startsWith("memory:x has")),
          [
            "memory:x has 1 group whose metrics the server does not have in the range any more: empty. The metrics were removed or renamed, or the data has expired. Existing rows stay.",
            "memory:x has 3 streams of earlier runs that this one does not define: group g, table prometheus_rules, query q. Existing rows stay."
          ]
        )
      })
  )

  it.effect("fails if there is nothing to read", () =>
    Effect.gen(function* () {
      const { exit } = yield* runOf({ series: [], points: 5 })
      assert.isTrue(Exit.isFailure(exit))
      assert.match(JSON.stringify(exit), /No metric of/)
    })
  )

  it.effect("reports what was saved when it is stopped, and that the same command resumes", () =>
    Effect.gen(function* () {
      const { services } = yield* setUp({ series: gauge("a", 3000, 2), points: 3000 })
      const { layer, calls } = watched(undefined, undefined, {}, false)
      const logs: Array<string> = []
      const fiber = yield* run({
        mode: "incremental_append",
        source: "a mock",
        destination: "memory:x",
        replacesRows: false,
        hasCharts: false,
        isStepGiven: true,
        mayShrink: false,
        confirm: Option.none(),
        mask: makeMask([])
      }).pipe(
        Effect.provide(Layer.merge(services, layer)),
        Effect.provide(Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))])),
        Effect.forkChild
      )
      while (!calls.includes("committed a 32")) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.match(
        logs.at(-1) ?? "",
        /^Stopped: \d+ new rows of 1 stream are saved in memory:x\. The same command resumes from there\.$/
      )
    })
  )
})

/** A state as a run saves it. */
const stateOf = (from: number, to: number, more: object = {}) => ({
  time: iso(start + to * minute),
  step: 60,
  version: 1,
  read: [[iso(start + from * minute), iso(start + to * minute)]],
  selector: "",
  ...more
})

describe("a destination that was filled before", () => {
  const series = [...gauge("a", 600), ...gauge("b", 600)]
  const messageOf = (exit: Exit.Exit<unknown, { readonly message: string }>) =>
    Exit.match(exit, {
      onSuccess: () => "",
      onFailure: (cause) =>
        cause.reasons.map((reason) => (reason._tag === "Fail" ? reason.error.message : "")).join()
    })

  it.effect("refuses rows of another step, and names both steps and the remedies", () =>
    Effect.gen(function* () {
      const states = { a: stateOf(0, 300, { step: 300 }), b: stateOf(0, 300, { step: 300 }) }
      for (const mode of [
        "incremental_append_deduped",
        "incremental_append",
        "full_refresh_append"
      ] as const) {
        const { exit, calls } = yield* runOf({ series, points: 600, states }, mode)
        const message = messageOf(exit)
        assert.include(message, "The step is 1 min, but memory:x has rows of a, b with a step of 5 min.")
        assert.include(message, "--step 5m")
        assert.include(message, "--full-refresh")
        assert.isEmpty(calls.filter((what) => what.startsWith("open ")))
      }
    })
  )

  it.effect("provides the step of a run without one, and logs it first", () =>
    Effect.gen(function* () {
      const states = { a: stateOf(0, 300, { step: 300 }), b: stateOf(0, 300, { step: 300 }) }
      const { exit, logs, rows } = yield* runOf({ series, points: 600, states }, undefined, {
        isStepGiven: false
      })
      assert.strictEqual((yield* exit).stepSeconds, 300)
      assert.strictEqual(logs[0], "No step is given, so the run takes the step of memory:x: 5 min.")
      assert.strictEqual(rows.get("a"), 59)
    })
  )

  it.effect("provides no step that was one stream's own, or that of a table, but that of a group", () =>
    Effect.gen(function* () {
      const own = { own_step: true, step: 300 }
      const states = {
        q: stateOf(0, 300, own),
        overridden: stateOf(0, 300, own),
        prometheus_exemplars: stateOf(0, 300, { step: 1 })
      }
      const kinds = { q: "query", g: "group", prometheus_exemplars: "table" } as const
      const stepWith = (states: NonNullable<Setting["states"]>) =>
        Effect.flatMap(
          runOf({ series, points: 600, states }, undefined, { isStepGiven: false, kinds }),
          ({ exit }) => Effect.map(exit, ({ stepSeconds }) => stepSeconds)
        )
      assert.strictEqual(yield* stepWith(states), 60)
      assert.strictEqual(yield* stepWith({ ...states, g: stateOf(0, 300, { step: 120 }) }), 120)
    })
  )

  it.effect("is not needed for the default step of a first run", () =>
    Effect.gen(function* () {
      const { exit, logs } = yield* runOf({ series, points: 600 }, undefined, { isStepGiven: false })
      assert.strictEqual((yield* exit).stepSeconds, 60)
      assert.isEmpty(logs)
    })
  )

  it.effect("requires a step if its streams have several", () =>
    Effect.gen(function* () {
      const states = { a: stateOf(0, 300, { step: 300 }), b: stateOf(0, 300) }
      const { exit } = yield* runOf({ series, points: 600, states }, undefined, { isStepGiven: false })
      assert.include(messageOf(exit), "have several: 1 min (b), 5 min (a)")
    })
  )

  it.effect("allows another step in a full refresh", () =>
    Effect.gen(function* () {
      const states = { a: stateOf(0, 300, { step: 300 }) }
      const { exit, rows } = yield* runOf({ series, points: 600, states }, "full_refresh_overwrite")
      yield* exit
      assert.strictEqual(rows.get("a"), 600)
    })
  )

  it.effect("logs a different selector, with remedies", () =>
    Effect.gen(function* () {
      const states = { a: stateOf(0, 300, { selector: '{n="0"}' }), b: stateOf(0, 300) }
      const { exit, logs } = yield* runOf({ series, points: 600, states })
      yield* exit
      const warning = logs.find((text) => text.startsWith("The selector is empty")) ?? ""
      assert.include(warning, 'a in memory:x was filled with {n="0"}')
      assert.include(warning, "--full-refresh")
      assert.isFalse(logs.some((text) => text.includes("excluded")))
    })
  )

  it.effect("logs other patterns of a group, in quotes", () =>
    Effect.gen(function* () {
      const states = { all: stateOf(0, 300, { selector: "x*, but not xy" }) }
      const config = { groups: [{ name: "all", metrics: { include: ["a", "b"], exclude: ["c"] } }] }
      const kinds = { all: "group" } as const
      const { exit, logs } = yield* runOf({ series, points: 600, states, config }, undefined, { kinds })
      yield* exit
      assert.match(
        logs.join("\n"),
        /^The group is "a, b, but not c", but all in memory:x was filled with "x\*, but not xy"\. The existing/m
      )
    })
  )

  it.effect("logs different excluded labels, with remedies", () =>
    Effect.gen(function* () {
      const states = { a: stateOf(0, 300, { excluded_labels: "" }), b: stateOf(0, 300) }
      const config = { exclude_labels: ["n"] }
      const { exit, logs } = yield* runOf({ series, points: 600, states, config })
      yield* exit
      const warning = logs.find((text) => text.startsWith("1 label is excluded (n)")) ?? ""
      assert.include(warning, "a in memory:x was filled with a different choice of excluded labels")
    })
  )

  it.effect("gets earlier rows if the start was moved back, and logs it", () =>
    Effect.gen(function* () {
      const states = { a: stateOf(200, 300), b: stateOf(0, 300) }
      const { exit, logs, rows } = yield* runOf({ series, points: 600, states })
      yield* exit
      assert.strictEqual(rows.get("a"), 200 + 299)
      assert.strictEqual(rows.get("b"), 299)
      assert.include(
        logs,
        `The start is before the data of a: missing data from ${iso(start)} to ${iso(start + 199 * minute)} is read and added.`
      )
    })
  )

  const older: Contents = {
    rows: 700,
    firstMillis: start - 100 * minute,
    lastMillis: start + 599 * minute
  }
  const config = { start_date: iso(start - 100 * minute) }

  it.effect("is not replaced by fewer rows: a refresh reports the loss, and reads nothing", () =>
    Effect.gen(function* () {
      const { exit, logs, calls } = yield* runOf({ series, points: 600, config }, "full_refresh_overwrite", {
        contents: { a: older, b: { ...older, rows: 600, firstMillis: start } }
      })
      assert.include(messageOf(exit), "--yes")
      const message = logs.join("\n")
      assert.include(
        message,
        `  a: 100 of 700 rows would be lost, all from ${iso(start - 100 * minute)} to before ${iso(start)}`
      )
      assert.include(message, "In total, at least 100 of 700 rows in 1 stream would be lost.")
      assert.notInclude(message, "  b:")
      assert.isEmpty(calls.filter((what) => what.startsWith("open ")))
    })
  )

  it.effect.each([true, false])("asks the user, who replies %j", (answer) =>
    Effect.gen(function* () {
      const questions: Array<string> = []
      const { exit, logs, rows } = yield* runOf({ series, points: 600, config }, "full_refresh_overwrite", {
        contents: { a: older },
        confirm: Option.some((question) =>
          Effect.sync(() => {
            questions.push(question)
            return answer
          })
        )
      })
      assert.deepStrictEqual(questions, ["Replace the rows anyway?"])
      assert.isTrue(logs.some((text) => text.includes("a: 100 of 700 rows would be lost")))
      assert.strictEqual(Exit.isSuccess(exit), answer)
      assert.strictEqual(rows.get("a"), answer ? 600 : undefined)
    })
  )

  it.effect("is replaced by fewer rows with --yes, without counting first", () =>
    Effect.gen(function* () {
      const { exit, mock, rows } = yield* runOf({ series, points: 600, config }, "full_refresh_overwrite", {
        contents: { a: older },
        mayShrink: true
      })
      yield* exit
      assert.strictEqual(rows.get("a"), 600)
      assert.isFalse(mock.requests.some(({ params }) => params.get("query")?.startsWith("count(")))
    })
  )

  it.effect("is replaced without a question if no row would be lost", () =>
    Effect.gen(function* () {
      const { exit, rows } = yield* runOf({ series, points: 600 }, "full_refresh_overwrite", {
        contents: { a: { rows: 600, firstMillis: start, lastMillis: start + 599 * minute } }
      })
      yield* exit
      assert.strictEqual(rows.get("a"), 600)
    })
  )

  it.effect("is not replaced if the refresh has fewer rows than the server had counted", () =>
    Effect.gen(function* () {
      // It refuses to count, so the loss is only known at the end.
      const { exit, calls } = yield* runOf(
        {
          series,
          points: 600,
          config,
          mock: {
            faults: (request) =>
              request.params.get("query")?.startsWith("count(") === true
                ? { status: 400, body: "no such function" }
                : undefined
          }
        },
        "full_refresh_overwrite",
        { contents: { a: older } }
      )
      const { streams } = yield* exit
      assert.include(streams[0]?.error ?? "", "so the old rows stay. a: 100 of 700 rows would be lost")
      assert.strictEqual(streams[1]?.error, undefined)
      assert.notInclude(calls, "complete a")
      assert.include(calls, "complete b")
    })
  )
})
