import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { type Backend, type Commit, openWriter } from "../../src/destinations/CommitPolicy.ts"
import { DestinationError, type SyncMode, syncModes } from "../../src/destinations/Destination.ts"
import type { StreamManifest } from "../../src/destinations/manifest.ts"
import { type StreamKind, streamKinds } from "../../src/samples/Layout.ts"
import type { SampleBlock } from "../../src/samples/Sample.ts"
import { encodeStreamState, StreamState } from "../../src/sync/StreamState.ts"
import { formatTime } from "../../src/text/formatTime.ts"
import { floats, seriesOf, start } from "./drive.ts"

const refreshModes = syncModes.filter((mode) => mode.startsWith("full"))
const incrementalModes = syncModes.filter((mode) => !mode.startsWith("full"))

const stateAt = (point: number, isRefresh = false) =>
  new StreamState({
    time: formatTime(start + point * 60_000),
    step: 60,
    version: 1,
    ...(isRefresh ? { full_refresh: true as const } : {})
  })
const encoded = (point: number, isRefresh = false) => encodeStreamState(stateAt(point, isRefresh))

const block = (point: number): SampleBlock =>
  floats(seriesOf("up", {}), [[start + point * 60_000, `${point}`]])

const points = (blocks: ReadonlyArray<SampleBlock>) => blocks.map(({ times }) => (times[0]! - start) / 60_000)

/** The calls of a backend. A block is a point and takes 10 bytes. */
interface Persisted extends Omit<Commit, "states"> {
  readonly states: Pick<StreamManifest, "state" | "refreshState">
  readonly points: ReadonlyArray<number>
}

const opened = Effect.fnUntraced(function* (
  mode: SyncMode,
  manifest: Partial<StreamManifest> = {},
  isResumed = false,
  failures: { append?: boolean; persist?: boolean } = {},
  kind: StreamKind = "metric"
) {
  const persisted: Array<Persisted> = []
  /** The kinds of the rows in each of them, and those of a refresh in progress. */
  const kinds: Array<ReadonlyArray<StreamKind>> = []
  const logged: Array<unknown> = []
  let resumesRefresh: boolean | undefined
  let rows: ReadonlyArray<number> = []
  let marked = 0
  const failure = new DestinationError({ message: "The disk is full." })
  const scope = yield* Scope.make()
  const backend: Backend<StreamManifest> = {
    append: (blocks) =>
      Effect.suspend(() => {
        if (failures.append === true) return Effect.fail(failure)
        rows = [...rows, ...points(blocks)]
        return Effect.void
      }),
    mark: () => {
      marked = rows.length
    },
    unpersistedBytes: () => rows.length * 10,
    persist: (commit) =>
      Effect.suspend(() => {
        if (failures.persist === true) return Effect.fail(failure)
        const { kind, nextKind, ...states } = commit.states
        kinds.push(nextKind === undefined ? [kind] : [kind, nextKind])
        persisted.push({ ...commit, states, points: rows.slice(0, marked) })
        rows = rows.slice(marked)
        marked = 0
        return Effect.succeed({ stream: "up", ...commit.states })
      })
  }
  const writer = yield* openWriter(
    {
      manifest: { stream: "up", kind: "metric", nextKind: "metric", ...manifest },
      kind,
      mode,
      isResumed,
      limits: { millis: 5000, bytes: () => 100 }
    },
    (resumes) => {
      resumesRefresh = resumes
      return Effect.succeed(backend)
    }
  ).pipe(Scope.provide(scope))
  const logger = Logger.make(({ message }) => logged.push(message))
  return {
    ...writer,
    put: (point: number, isRefresh = false) =>
      Effect.andThen(writer.write([block(point)]), writer.commit(stateAt(point, isRefresh))),
    close: Scope.close(scope, Exit.void).pipe(Effect.provide(Logger.layer([logger]))),
    persisted,
    kinds,
    logged,
    resumesRefresh
  }
})

describe("a commit", () => {
  it.effect("is pending until so much time has passed since the last persist", () =>
    Effect.gen(function* () {
      const { persisted, put } = yield* opened("incremental_append")
      yield* put(0)
      yield* TestClock.adjust(4999)
      yield* put(1)
      assert.deepStrictEqual(persisted, [])
      yield* TestClock.adjust(1)
      yield* put(2)
      assert.deepStrictEqual(persisted, [
        { kind: "incremental", isComplete: false, states: { state: encoded(2) }, points: [0, 1, 2] }
      ])
      yield* TestClock.adjust(4999)
      yield* put(3)
      assert.strictEqual(persisted.length, 1)
      yield* TestClock.adjust(1)
      yield* put(4)
      assert.deepStrictEqual(persisted[1]?.points, [3, 4])
    })
  )

  it.effect("is persisted when so many bytes wait, and what follows it is not persisted with it", () =>
    Effect.gen(function* () {
      const { commit, persisted, put, write } = yield* opened("incremental_append")
      yield* put(0)
      yield* write([1, 2, 3, 4, 5, 6, 7, 8].map(block))
      assert.deepStrictEqual(persisted, [])
      yield* write([block(9)])
      assert.deepStrictEqual(persisted, [])
      // Ten blocks wait: the one that is pending goes first.
      yield* write([block(10)])
      assert.deepStrictEqual(
        persisted.map(({ points, states }) => [points, states.state]),
        [[[0], encoded(0)]]
      )
      yield* commit(stateAt(10))
      assert.deepStrictEqual(persisted[1]?.points, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    })
  )

  it.effect("is never made without a state, however many rows wait", () =>
    Effect.gen(function* () {
      const { close, persisted, write } = yield* opened("incremental_append")
      for (let point = 0; point < 50; point++) yield* write([block(point)])
      yield* TestClock.adjust("1 hour")
      yield* write([block(50)])
      yield* close
      assert.deepStrictEqual(persisted, [])
    })
  )
})

describe("the end of the scope", () => {
  for (const mode of syncModes) {
    it.effect(`persists what is committed in ${mode}, and nothing after it`, () =>
      Effect.gen(function* () {
        const { close, logged, persisted, put, write } = yield* opened(mode)
        yield* put(0, mode.startsWith("full"))
        yield* write([block(1)])
        yield* close
        assert.deepStrictEqual(
          persisted.map(({ isComplete, points }) => [isComplete, points]),
          [[false, [0]]]
        )
        assert.deepStrictEqual(logged, [])
      })
    )
  }

  it.effect("persists nothing twice", () =>
    Effect.gen(function* () {
      const { close, complete, persisted, put } = yield* opened("incremental_append")
      yield* put(0)
      yield* complete
      yield* close
      assert.strictEqual(persisted.length, 1)
    })
  )

  it.effect("reports what could not be saved", () =>
    Effect.gen(function* () {
      const { close, logged, put } = yield* opened("incremental_append", {}, false, { persist: true })
      yield* put(0)
      yield* close
      assert.deepStrictEqual(logged.flat(), [
        "The last uncommitted samples of up were not saved; the next run reads them again. The disk is full."
      ])
    })
  )
})

describe("a failure", () => {
  it.effect("of an append leaves pending commits to the next run", () =>
    Effect.gen(function* () {
      const failures = { append: false }
      const { close, logged, persisted, put, write } = yield* opened(
        "incremental_append",
        {},
        false,
        failures
      )
      yield* put(0)
      failures.append = true
      assert.strictEqual((yield* Effect.flip(write([block(1)]))).message, "The disk is full.")
      yield* close
      assert.deepStrictEqual(persisted, [])
      assert.deepStrictEqual(logged, [])
    })
  )

  it.effect("of a persist fails the commit or the end that was due, and is not retried", () =>
    Effect.gen(function* () {
      const failures = { persist: true }
      const { close, commit, complete, persisted, put } = yield* opened(
        "incremental_append",
        {},
        false,
        failures
      )
      yield* put(0)
      yield* TestClock.adjust(5000)
      assert.strictEqual((yield* Effect.flip(commit(stateAt(0)))).message, "The disk is full.")
      assert.strictEqual((yield* Effect.flip(complete)).message, "The disk is full.")
      failures.persist = false
      yield* close
      assert.deepStrictEqual(persisted, [])
    })
  )
})

describe("an incremental sync", () => {
  for (const mode of incrementalModes) {
    it.effect(`in ${mode} ends a stopped refresh with its first commit`, () =>
      Effect.gen(function* () {
        const { complete, persisted, put, resumesRefresh } = yield* opened(
          mode,
          { state: encoded(3), refreshState: encoded(1, true) },
          true
        )
        assert.isFalse(resumesRefresh)
        yield* put(4)
        yield* complete
        assert.deepStrictEqual(persisted, [
          { kind: "incremental", isComplete: true, states: { state: encoded(4) }, points: [4] }
        ])
      })
    )

    it.effect(`in ${mode} persists nothing where neither rows nor the state are new`, () =>
      Effect.gen(function* () {
        const same = yield* opened(mode, { state: encoded(3) }, true)
        yield* same.commit(stateAt(3))
        yield* same.complete
        assert.deepStrictEqual(same.persisted, [])
        const later = yield* opened(mode, { state: encoded(3) }, true)
        yield* later.commit(stateAt(4))
        yield* later.complete
        assert.deepStrictEqual(
          later.persisted.map(({ states }) => states),
          [{ state: encoded(4) }]
        )
        const rows = yield* opened(mode, { state: encoded(3) }, true)
        yield* rows.put(3)
        yield* rows.complete
        assert.deepStrictEqual(rows.persisted[0]?.points, [3])
        const stopped = yield* opened(mode, { state: encoded(3), refreshState: encoded(1, true) }, true)
        yield* stopped.commit(stateAt(3))
        yield* stopped.complete
        assert.strictEqual(stopped.persisted.length, 1)
      })
    )
  }

  it.effect("reports its end to the backend, even if all rows are persisted", () =>
    Effect.gen(function* () {
      const { complete, persisted, put } = yield* opened("incremental_append")
      yield* put(0)
      yield* TestClock.adjust(5000)
      yield* put(1)
      yield* complete
      assert.deepStrictEqual(
        persisted.map(({ isComplete, points }) => [isComplete, points]),
        [
          [false, [0, 1]],
          [true, []]
        ]
      )
    })
  )
})

describe("a refresh", () => {
  for (const mode of refreshModes) {
    const ownNext = mode === "full_refresh_overwrite" ? { next: {} } : {}
    const otherNext = mode === "full_refresh_overwrite" ? {} : { next: {} }

    it.effect(`in ${mode} keeps the incremental state until it is complete`, () =>
      Effect.gen(function* () {
        const { complete, persisted, put } = yield* opened(mode, { state: encoded(9) })
        yield* put(0, true)
        yield* TestClock.adjust(5000)
        yield* put(1, true)
        yield* complete
        assert.deepStrictEqual(persisted, [
          {
            kind: "refresh",
            isComplete: false,
            states: { state: encoded(9), refreshState: encoded(1, true) },
            points: [0, 1]
          },
          { kind: "complete_refresh", isComplete: true, states: { state: encoded(1) }, points: [] }
        ])
      })
    )

    it.effect(`in ${mode} resumes one of its own mode, if the read does`, () =>
      Effect.gen(function* () {
        const manifest = { state: encoded(9), refreshState: encoded(3, true), ...ownNext }
        const resumed = yield* opened(mode, manifest, true)
        assert.isTrue(resumed.resumesRefresh)
        // The stopped run had read all of it.
        yield* resumed.complete
        assert.deepStrictEqual(
          resumed.persisted.map(({ states }) => states),
          [{ state: encoded(3) }]
        )
        const restarted = yield* opened(mode, manifest, false)
        assert.isFalse(restarted.resumesRefresh)
        yield* restarted.put(0, true)
        yield* restarted.close
        assert.deepStrictEqual(
          restarted.persisted.map(({ states }) => states),
          [{ state: encoded(9), refreshState: encoded(0, true) }]
        )
      })
    )

    it.effect(`in ${mode} restarts one of the other mode`, () =>
      Effect.gen(function* () {
        const { resumesRefresh } = yield* opened(
          mode,
          { state: encoded(9), refreshState: encoded(3, true), ...otherNext },
          true
        )
        assert.isFalse(resumesRefresh)
      })
    )
  }

  it.effect("that replaces the rows with none forgets what had been read", () =>
    Effect.gen(function* () {
      const overwrite = yield* opened("full_refresh_overwrite", { state: encoded(9) })
      yield* overwrite.complete
      assert.deepStrictEqual(
        overwrite.persisted.map(({ states }) => states),
        [{}]
      )
      const append = yield* opened("full_refresh_append", { state: encoded(9) })
      yield* append.complete
      assert.deepStrictEqual(
        append.persisted.map(({ states }) => states),
        [{ state: encoded(9) }]
      )
    })
  )

  it.effect("has no generation in its state once it is complete", () =>
    Effect.gen(function* () {
      const { commit, complete, persisted } = yield* opened("full_refresh_append")
      yield* commit(new StreamState({ ...stateAt(2, true), generation_id: 7 }))
      yield* complete
      assert.deepStrictEqual(
        persisted.map(({ states }) => states),
        [{ state: encoded(2) }]
      )
    })
  )
})

describe("the span of a commit", () => {
  /** The names, attributes and exits of the spans of an effect, in the order in which they start. */
  const spansOf = Effect.fnUntraced(function* <A, E>(effect: Effect.Effect<A, E>) {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    yield* effect.pipe(Effect.provideService(Tracer.Tracer, tracer), Effect.ignore)
    return spans.map(
      ({ attributes, name, status }): Readonly<Record<string, unknown>> => ({
        name,
        ...Object.fromEntries(attributes),
        exit: status._tag === "Ended" ? status.exit._tag : status._tag
      })
    )
  })

  it.effect("has the stream, the state and the kind, once per persist", () =>
    Effect.gen(function* () {
      const spans = yield* spansOf(
        Effect.gen(function* () {
          const { complete, put } = yield* opened("full_refresh_append")
          yield* put(0, true)
          yield* TestClock.adjust(5000)
          yield* put(1, true)
          yield* complete
        })
      )
      const common = { name: "Destination.commit", stream: "up", time: stateAt(1).time, exit: "Success" }
      assert.deepStrictEqual(spans, [
        { ...common, kind: "refresh", isComplete: false },
        { ...common, kind: "complete_refresh", isComplete: true }
      ])
    })
  )

  it.effect("does not exist where nothing is persisted", () =>
    Effect.gen(function* () {
      const spans = yield* spansOf(
        Effect.gen(function* () {
          const same = yield* opened("incremental_append", { state: encoded(3) }, true)
          yield* same.commit(stateAt(3))
          yield* same.complete
        })
      )
      assert.deepStrictEqual(spans, [])
    })
  )

  it.effect("fails with the persist", () =>
    Effect.gen(function* () {
      const spans = yield* spansOf(
        Effect.gen(function* () {
          const { complete, put } = yield* opened("incremental_append", {}, false, { persist: true })
          yield* put(0)
          yield* complete
        })
      )
      assert.deepStrictEqual(
        spans.map(({ exit, name }) => [name, exit]),
        [["Destination.commit", "Failure"]]
      )
    })
  )
})

describe("the kind of rows", () => {
  it.effect(
    "is that of the stream, and changes only with the last commit of a refresh that replaces rows",
    () =>
      Effect.gen(function* () {
        const manifest: Partial<StreamManifest> = { kind: "metric", state: encoded(9) }
        const { complete, kinds, put } = yield* opened("full_refresh_overwrite", manifest, false, {}, "group")
        yield* TestClock.adjust(5000)
        yield* put(1, true)
        yield* complete
        assert.deepStrictEqual(kinds, [["metric", "group"], ["group"]])
        for (const mode of syncModes) {
          if (mode === "full_refresh_overwrite") continue
          const { complete, kinds, put } = yield* opened(mode, { kind: "query" }, false, {}, "query")
          yield* TestClock.adjust(5000)
          yield* put(1, mode.startsWith("full"))
          yield* complete
          assert.isNotEmpty(kinds)
          assert.isTrue(kinds.every((kind) => kind.join() === "query"))
        }
      })
  )

  it.effect("decides whether a stopped refresh is resumed", () =>
    Effect.gen(function* () {
      const stopped = { kind: "metric", next: {}, refreshState: encoded(1, true) } as const
      for (const kind of streamKinds) {
        const { resumesRefresh } = yield* opened(
          "full_refresh_overwrite",
          { ...stopped, nextKind: "group" },
          true,
          {},
          kind
        )
        assert.strictEqual(resumesRefresh, kind === "group")
      }
    })
  )
})
