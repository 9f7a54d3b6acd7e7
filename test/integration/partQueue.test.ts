/** The queue of parts and its workers, on a real PostgreSQL. */

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import { type PartDone, PartFailed, PartQueue } from "../../src/cluster/PartQueue.ts"
import { layerPartQueue } from "../../src/cluster/submitParts.ts"
import { groupOf } from "../../src/cluster/syncSettings.ts"
import { work } from "../../src/cluster/work.ts"
import type { SyncPart } from "../../src/sync/parts.ts"
import * as Postgres from "../support/postgres.ts"

const grid = { firstMillis: 0, lastMillis: 3_600_000, stepMillis: 60_000 }

const partOf = (stream: string): SyncPart => ({
  stream,
  range: grid,
  reason: "start",
  slot: 0,
  grid,
  isReread: false,
  lookbackMillis: 0,
  details: { selector: "", excluded_labels: "" }
})

const done = (rows: number): PartDone => ({ rows, series: 1, span: [0, 60_000], retries: 0 })

describe("PartQueue", () => {
  it.live("has each part executed, failed ones again if that may help, and keeps nothing of them", () =>
    Effect.gen(function* () {
      const postgres = yield* Postgres.make()
      const url = postgres.urlOf()
      const options = (step: string) => ({
        address: { url, text: "the database" },
        settings: { source: "http://prometheus", destination: "parquet:data", step }
      })
      const executed: Array<string> = []
      const execute = (worker: string) => (part: SyncPart) =>
        Effect.gen(function* () {
          const before = executed.filter((text) => text.startsWith(`${part.stream} `)).length
          executed.push(`${part.stream} ${worker}`)
          if (part.stream === "lost" || (part.stream === "late" && before === 0)) {
            const isTransient = part.stream === "late"
            return yield* new PartFailed({ message: `${part.stream} failed`, isTransient, isFatal: false })
          }
          return done(part.stream.length)
        })
      const workers = yield* Effect.forEach(["a", "b"], (name) =>
        Effect.forkScoped(work(options("1m"), 2, execute(name)))
      )
      const streams = Array.from({ length: 30 }, (_, i) => `stream_${i}`)
      const retried: Array<string> = []
      yield* Effect.gen(function* () {
        const queue = yield* PartQueue
        const results = yield* Effect.forEach(
          [...streams, "late"],
          (stream) =>
            queue.submit(partOf(stream), {
              onRetry: ({ message }) => Effect.sync(() => retried.push(message))
            }),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          results,
          [...streams, "late"].map((stream) => done(stream.length))
        )
        const failed = yield* Effect.flip(queue.submit(partOf("lost")))
        assert.deepStrictEqual(
          [failed._tag, failed.message, failed.isTransient],
          ["PartFailed", "lost failed", false]
        )
        const unwanted = yield* queue.submit(partOf("unwanted"), { isWanted: () => false })
        assert.isUndefined(unwanted)
        // A worker with other settings would never get a part.
        const refused = yield* Effect.flip(work(options("5m"), 1, execute("c")))
        assert.match(refused.message, /step is 1m there and 5m here\. Start the worker with the same flags/)
        yield* queue.end
      }).pipe(Effect.provide(layerPartQueue(options("1m"))))
      assert.deepStrictEqual(retried, ["late failed"])
      assert.lengthOf(executed, streams.length + 3)
      yield* Effect.forEach(workers, Fiber.interrupt, { concurrency: "unbounded" })

      const count = (table: string) =>
        Effect.promise(() => postgres.psql(`SELECT count(*) FROM source_prometheus_cluster.${table}`))
      const tables = (yield* Effect.promise(() =>
        postgres.psql(
          "SELECT tablename FROM pg_tables WHERE schemaname = 'source_prometheus_cluster' AND tablename ~ '(_messages|_replies|_locks|_runners|^syncs|^workers)$'"
        )
      ))
        .trim()
        .split("\n")
      assert.isAtLeast(tables.length, 6)
      for (const table of tables) assert.strictEqual((yield* count(table)).trim(), "0", table)
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.scoped)
  )

  it.live("has a part executed soon that a worker took from the database and lost", () =>
    Effect.gen(function* () {
      const postgres = yield* Postgres.make()
      const logs: Array<string> = []
      /** Submits a part of a group. Messages count as taken after these statements, until `until`. */
      const submit = Effect.fnUntraced(function* (name: string, statements: string, until?: () => boolean) {
        const settings = { source: "http://prometheus", destination: `parquet:${name}` }
        const options = { address: { url: postgres.urlOf(), text: "the database" }, settings }
        const table = `source_prometheus_cluster.${groupOf(settings)}_messages`
        yield* Effect.forkScoped(work(options, 1, () => Effect.succeed(done(1))))
        const result = yield* Effect.gen(function* () {
          const queue = yield* PartQueue
          // A worker that has just begun takes all messages.
          while ((yield* queue.workers).count === 0) yield* Effect.sleep("100 millis")
          yield* Effect.sleep("3 seconds")
          yield* Effect.promise(() =>
            postgres.psql(
              `CREATE TRIGGER take BEFORE ${statements} ON ${table} FOR EACH ROW EXECUTE FUNCTION take()`
            )
          )
          const result = yield* Effect.forkScoped(queue.submit(partOf("a")))
          while (until?.() === false) yield* Effect.sleep("100 millis")
          if (until !== undefined) yield* Effect.promise(() => postgres.psql(`DROP TRIGGER take ON ${table}`))
          const value = yield* Fiber.join(result)
          yield* queue.end
          return value
        }).pipe(Effect.provide(layerPartQueue(options)))
        assert.deepStrictEqual(result, done(1))
      })
      yield* Effect.promise(() =>
        postgres.psql(
          "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.last_read = now(); RETURN NEW; END $$"
        )
      )
      yield* Effect.all(
        [
          submit("a", "INSERT"),
          // Here it does not help that the worker gives up what it took.
          submit("b", "INSERT OR UPDATE", () =>
            logs.some((text) => text.includes("starts all its parts again"))
          )
        ],
        { concurrency: "unbounded" }
      ).pipe(
        Effect.provide(Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))])),
        Effect.timeout("90 seconds")
      )
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.scoped)
  )
})
