/** Several processes write parts of one stream to a DuckLake at the same time. One is killed before one of its statements. */

import { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Option } from "effect"
import { sharedLayer } from "../../../src/destinations/ducklake/DuckLake.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import { type PartResult, withPart } from "../../../src/sync/partState.ts"
import { encodeStreamState, type StreamState } from "../../../src/sync/StreamState.ts"
import type { Choices } from "../../choices.ts"
import { floats, histogramOf, seriesOf } from "../drive.ts"
import { filesIn, MINUTE, newLake, optionsOf, partOf, rowsIn } from "./sharedLakes.ts"

const POINTS = 40

/** A process has its own limit of memory, by which its connections are known. */
const memoryOf = (process: number): number => 100 + process

/** Statements of DuckDB by process, until `restore`. `before` may throw. */
export const watchStatements = (before: (process: number, sql: string) => void) => {
  const { connect } = DuckDBInstance.prototype
  const { create } = DuckDBInstance
  const { run } = DuckDBConnection.prototype
  const processes = new WeakMap<object, number>()
  DuckDBInstance.create = async (path, options) => {
    const instance = await create.call(DuckDBInstance, path, options)
    processes.set(instance, Number.parseInt(options?.memory_limit ?? "", 10) - memoryOf(0))
    return instance
  }
  DuckDBInstance.prototype.connect = async function () {
    const connection = await connect.call(this)
    processes.set(connection, processes.get(this) ?? -1)
    return connection
  }
  DuckDBConnection.prototype.run = async function (sql, ...rest) {
    before(processes.get(this) ?? -1, sql)
    return run.call(this, sql, ...rest)
  }
  return () => {
    DuckDBInstance.create = create
    DuckDBInstance.prototype.connect = connect
    DuckDBConnection.prototype.run = run
  }
}

/** A part that a process writes, and what it has read of it. */
interface Task {
  readonly part: PartResult
  readonly blocks: ReadonlyArray<SampleBlock>
  readonly rows: ReadonlyMap<string, string>
  /** Moments of the test: a commit takes place between them. */
  began: number
  ended: number
  /** Undefined if its process was killed meanwhile. */
  isCommitted: boolean | undefined
}

/** What a part reads: series come and go, and new labels with them. Each value is a new number. */
const readPart = (choices: Choices, part: PartResult, next: () => number): Task => {
  const rows = new Map<string, string>()
  const blocks: Array<SampleBlock> = []
  const [{ firstMillis, lastMillis } = { firstMillis: 0, lastMillis: -1 }] = part.covered
  for (let n = choices.below(4); n > 0; n--) {
    const which = choices.below(4)
    const series = seriesOf("up", {
      n: `${which}`,
      [which % 2 === 0 ? "Case" : "case"]: "x",
      [`only${which}`]: "y"
    })
    const samples: Array<readonly [number, string]> = []
    for (let time = firstMillis; time <= lastMillis; time += MINUTE) {
      const key = `${series.id} ${time}`
      if (choices.oneIn(6) || rows.has(key)) continue
      const value = `${next()}`
      if (choices.oneIn(8)) {
        blocks.push(histogramOf(series, time, value))
        rows.set(key, `histogram of ${value}`)
      } else {
        samples.push([time, value])
        rows.set(key, value)
      }
    }
    if (samples.length > 0) blocks.push(floats(series, samples))
  }
  return { part, blocks: choices.shuffle(blocks), rows, began: 0, ended: 0, isCommitted: undefined }
}

/** Whether a task was over before another one began. */
const isBefore = (a: Task, b: Task): boolean => a.ended < b.began

const text = (state: StreamState | undefined) =>
  JSON.stringify(state === undefined ? null : encodeStreamState(state))

/** The states that committed tasks may have led to: killed ones may have been committed. */
const statesAfter = (tasks: ReadonlyArray<Task>): ReadonlyArray<string> => {
  const sure = tasks.filter(({ isCommitted }) => isCommitted === true)
  const maybe = tasks.filter(({ isCommitted }) => isCommitted === undefined)
  const after = (all: ReadonlyArray<Task>) =>
    text(all.reduce<StreamState | undefined>((state, { part }) => withPart(state, part) ?? state, undefined))
  return Array.from({ length: 2 ** maybe.length }, (_, chosen) =>
    after([...sure, ...maybe.filter((_, index) => (chosen >> index) % 2 === 1)])
  )
}

/** Processes in some rounds. Throws if the DuckLake has other rows than some order of the commits leads to. */
export const sharedRuns = Effect.fnUntraced(function* (choices: Choices) {
  const folder = yield* newLake
  const options = yield* optionsOf(folder)
  const tasks: Array<Task> = []
  let value = 0
  let moment = 0
  let kills = 0
  for (let round = choices.between(1, 3); round > 0; round--) {
    const count = choices.between(2, 4)
    const victim = choices.oneIn(2) ? choices.below(count) : -1
    let left = choices.below(120)
    let isKilled = false
    const kill = new Error("killed")
    const restore = watchStatements((process) => {
      if (process !== victim) return
      if (--left < 0) isKilled = true
      if (isKilled) throw kill
    })
    const process = (number: number, own: number) =>
      Effect.gen(function* () {
        const { openPart, partLengths, states } = yield* SharedDestination
        yield* partLengths(new Map([["up", 1000 + number]]))
        for (let n = 0; n < own; n++) {
          const state = Option.getOrUndefined(yield* states.load("up"))
          const first = choices.below(POINTS)
          const last = Math.min(POINTS - 1, first + choices.below(12))
          const part = partOf(first, last, state !== undefined && choices.oneIn(3))
          const task = readPart(choices, part, () => value++)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const writer = yield* openPart("up")
              for (const block of task.blocks) yield* writer.write([block])
              if (choices.oneIn(8)) return
              tasks.push(task)
              task.began = moment++
              task.ended = Number.POSITIVE_INFINITY
              task.isCommitted = yield* writer.commit(task.part)
              task.ended = moment++
            })
          )
        }
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Layer.provide(
            sharedLayer({ ...options, memoryMegabytes: memoryOf(number) }),
            // A killed process removes nothing.
            Layer.effect(
              FileSystem.FileSystem,
              Effect.map(FileSystem.FileSystem, (files) => ({
                ...files,
                remove: (...args: Parameters<typeof files.remove>) =>
                  number === victim && isKilled ? Effect.void : files.remove(...args)
              }))
            ).pipe(Layer.provide(NodeServices.layer))
          )
        ),
        Effect.exit
      )
    const exits = yield* Effect.forEach(
      Array.from({ length: count }, (_, number) => process(number, choices.between(1, 3))),
      (body) => body,
      { concurrency: "unbounded" }
    ).pipe(Effect.ensuring(Effect.sync(restore)))
    for (const [number, exit] of exits.entries()) {
      if (number === victim && isKilled) kills++
      else if (Exit.isFailure(exit)) return yield* exit
    }
  }

  const { lengths, state } = yield* Effect.gen(function* () {
    const { partLengths, states } = yield* SharedDestination
    return {
      state: Option.getOrUndefined(yield* states.load("up")),
      lengths: yield* partLengths(new Map())
    }
  }).pipe(Effect.provide(sharedLayer(options)), Effect.provide(NodeServices.layer))
  assert.include(statesAfter(tasks), text(state))
  if (tasks.length > 0) assert.isAtLeast(lengths.get("up") ?? 0, 1000)

  const rows = yield* rowsIn(folder)
  const found = new Map(rows)
  assert.strictEqual(found.size, rows.length, "a series has two rows of one time")
  const writers = Map.groupBy(
    tasks
      .filter(({ isCommitted }) => isCommitted !== false)
      .flatMap((task) => [...task.rows.keys()].map((key) => ({ key, task }))),
    ({ key }) => key
  )
  for (const key of found.keys()) assert.isTrue(writers.has(key), key)
  for (const [key, all] of writers) {
    const mine = all.map(({ task }) => task)
    const sure = mine.filter(({ isCommitted }) => isCommitted === true)
    // No later commit may have replaced it.
    const last = mine.filter((task) => !sure.some((other) => isBefore(task, other)))
    const allowed = last.map(({ rows }) => rows.get(key))
    if (sure.length === 0) allowed.push(undefined)
    assert.include(allowed, found.get(key), key)
  }
  if (rows.length > 0 && kills === 0) {
    const { listed, onDisk } = yield* filesIn(folder)
    assert.deepStrictEqual(onDisk, listed)
  }
}, Effect.scoped)
