/** Random processes that write parts into one schema of PostgreSQL at the same time, compared with a slow and obvious model. */

import { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { layer, sharedLayer } from "../../../src/destinations/postgres/PostgresSchema.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import { encodeStreamState, type StreamState } from "../../../src/sync/StreamState.ts"
import type { Choices } from "../../choices.ts"
import type { Postgres } from "../../support/postgres.ts"
import { PartModel, partOf, points, readPart, type Task } from "../partModel.ts"
import { killed } from "../stops.ts"

/** Processes are known by the memory limits of their engines. */
const MEMORY = 64

/** What a statement of a process waits for, or the error that replaces it. */
type OnStatement = (process: number, count: number) => Promise<Error | undefined>

/** Watches the statements of all processes. `onPart` is called before the statement that commits a part. */
const watch = (onStatement: OnStatement, onPart: (process: number) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { create } = DuckDBInstance
      const { connect } = DuckDBInstance.prototype
      const { run } = DuckDBConnection.prototype
      const processOf = new WeakMap<object, number>()
      const counts = new Map<number, number>()
      /** The connections whose transactions commit parts. */
      const ofParts = new WeakSet<object>()
      DuckDBInstance.create = async (path, options) => {
        const instance = await create.call(DuckDBInstance, path, options)
        const limit = Number.parseInt(options?.memory_limit ?? "", 10)
        if (limit >= MEMORY && limit < MEMORY + 10) processOf.set(instance, limit - MEMORY)
        return instance
      }
      DuckDBInstance.prototype.connect = async function () {
        const connection = await connect.call(this)
        const process = processOf.get(this)
        if (process !== undefined) processOf.set(connection, process)
        return connection
      }
      DuckDBConnection.prototype.run = async function (sql, ...rest) {
        const process = processOf.get(this)
        if (process !== undefined) {
          const count = counts.get(process) ?? 0
          counts.set(process, count + 1)
          const error = await onStatement(process, count)
          if (error !== undefined) throw error
          if (sql === "BEGIN") ofParts.delete(this)
          if (sql.includes("tcp_keepalives_idle")) ofParts.add(this)
          // The manifest is locked here, so commits of a stream are in this order.
          if (sql === "COMMIT" && ofParts.has(this)) onPart(process)
        }
        return run.call(this, sql, ...rest)
      }
      return { create, connect, run }
    }),
    ({ connect, create, run }) =>
      Effect.sync(() => {
        DuckDBInstance.create = create
        DuckDBInstance.prototype.connect = connect
        DuckDBConnection.prototype.run = run
      })
  )

const sorted = (rows: Iterable<readonly [string, string]>) => Array.from(rows, (row) => row.join(" ")).sort()

const text = (state: StreamState | undefined) =>
  JSON.stringify(state === undefined ? null : encodeStreamState(state))

/** Processes in some rounds, in a schema of their own. Throws if it differs from the model. */
export const sharedRuns = Effect.fnUntraced(
  function* (server: Postgres, schema: string, choices: Choices) {
    const model = new PartModel()
    const options = (memoryMegabytes: number) => ({
      path: `${server.urlOf()}?schema=${schema}`,
      source: "http://mock",
      labelColumns: true,
      memoryMegabytes
    })
    let value = 0
    const next = () => value++
    for (let round = choices.between(1, 3); round > 0; round--) {
      /** The task that a process commits, until it is committed. */
      const committing = new Map<number, Task>()
      // A statement that waits for a lock occupies one of the four threads of Node.
      const count = choices.between(2, 3)
      const victim = choices.below(count)
      const kind = choices.pick(["kill", "pause", "none"] as const)
      const when = choices.below(120)
      let isKilled = false
      const onStatement: OnStatement = async (process, count) => {
        if (process === victim && count >= when) {
          if (kind === "kill") isKilled = true
          if (kind === "pause" && count === when) await new Promise((resolve) => setTimeout(resolve, 300))
        }
        if (choices.oneIn(4)) await new Promise((resolve) => setTimeout(resolve, choices.below(8)))
        return isKilled && process === victim ? new Error(killed) : undefined
      }
      const onPart = (process: number) => {
        model.commit(committing.get(process)!)
        committing.delete(process)
      }
      /** Half of the parts of a round are the same ones for all processes. */
      const same = choices.below(points)
      const process = (number: number, tasks: number) =>
        Effect.gen(function* () {
          const destination = yield* SharedDestination
          const lengths = yield* destination.partLengths(new Map([["up", 1000 + number]]))
          assert.deepStrictEqual(yield* destination.partLengths(new Map()), lengths)
          for (let n = 0; n < tasks; n++) {
            const state = Option.getOrUndefined(yield* destination.states.load("up"))
            const first = choices.oneIn(2) ? same : choices.below(points)
            const part = partOf(
              first,
              Math.min(points - 1, first + choices.below(5)),
              state !== undefined && choices.oneIn(3)
            )
            const task = readPart(choices, part, next)
            yield* Effect.scoped(
              Effect.gen(function* () {
                const writer = yield* destination.openPart("up")
                for (const block of task.blocks) yield* writer.write([block])
                if (choices.oneIn(8)) return
                committing.set(number, task)
                const isCommitted = yield* writer.commit(task.part)
                assert.strictEqual(isCommitted, !committing.has(number))
                committing.delete(number)
              })
            )
          }
        }).pipe(Effect.provide(sharedLayer(options(MEMORY + number))), Effect.exit)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* watch(onStatement, onPart)
          const exits = yield* Effect.forEach(
            Array.from({ length: count }, (_, number) => process(number, choices.between(1, 3))),
            (body) => body,
            { concurrency: "unbounded" }
          )
          for (const [number, exit] of exits.entries()) {
            if (isKilled && number === victim) continue
            if (Exit.isFailure(exit)) return yield* exit
          }
        })
      )
      // The next process.
      const state = yield* Effect.flatMap(SharedDestination, ({ states }) => states.load("up")).pipe(
        Effect.provide(sharedLayer(options(MEMORY + 20)))
      )
      assert.strictEqual(text(Option.getOrUndefined(state)), text(model.state))
      const rows =
        model.rows.size === 0
          ? []
          : yield* Effect.promise(() =>
              server.rows(
                `SELECT series_id || ' ' || (extract(epoch FROM time) * 1000)::bigint AS key, coalesce(value::bigint::text, 'histogram of ' || (histogram->>'count')) AS value
                 FROM "${schema}".up`
              )
            )
      assert.deepStrictEqual(
        sorted(rows.map(({ key, value }) => [key!, value!] as const)),
        sorted(model.rows)
      )
      const { contents, loaded } = yield* Effect.gen(function* () {
        const destination = yield* Destination
        return {
          contents: yield* destination.contents("up", "current"),
          loaded: yield* destination.states("incremental_append_deduped").load("up")
        }
      }).pipe(Effect.provide(layer(options(MEMORY + 20))))
      assert.strictEqual(contents.rows, model.rows.size)
      assert.strictEqual(text(Option.getOrUndefined(loaded)), text(model.state))
    }
  },
  Effect.scoped,
  Effect.provide(NodeServices.layer)
)
