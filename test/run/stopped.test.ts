/** A run that is stopped while DuckDB runs a statement. */
import { join } from "node:path"
import { DuckDBConnection } from "@duckdb/node-api"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Destination } from "../../src/destinations/Destination.ts"
import * as DuckDBFile from "../../src/destinations/duckdb/DuckDBFile.ts"
import * as ParquetFolder from "../../src/destinations/parquet/ParquetFolder.ts"
import { floats, seriesOf, start, temporaryFolder } from "../destinations/drive.ts"

const about = { source: "http://mock", labelColumns: true }

/** Reports the first statement from now on, and counts connections that are closed during a statement. */
const watchConnections = Effect.gen(function* () {
  const { closeSync, run } = DuckDBConnection.prototype
  const begun = Deferred.makeUnsafe<void>()
  const atWork = new Set<DuckDBConnection>()
  const counts = { closed: 0, closedAtWork: 0 }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      DuckDBConnection.prototype.run = async function (...args) {
        atWork.add(this)
        Deferred.doneUnsafe(begun, Effect.void)
        try {
          return await run.apply(this, args)
        } finally {
          atWork.delete(this)
        }
      }
      DuckDBConnection.prototype.closeSync = function () {
        counts.closed++
        // Closing it would crash DuckDB.
        if (atWork.has(this)) counts.closedAtWork++
        else closeSync.apply(this)
      }
    }),
    () => Effect.sync(() => Object.assign(DuckDBConnection.prototype, { closeSync, run }))
  )
  return { begun, counts }
})

describe("a stop", () => {
  it.live("while a database is being opened waits for DuckDB's statement", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryFolder, "data")
      const { begun, counts } = yield* watchConnections
      const opening = yield* Effect.forkChild(
        Effect.void.pipe(
          Effect.provide(DuckDBFile.layer({ path, ...about })),
          Effect.provide(NodeServices.layer)
        ),
        { startImmediately: true }
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(opening)
      assert.deepStrictEqual(counts, { closed: 1, closedAtWork: 0 })
    }).pipe(Effect.scoped)
  )

  it.live.each(["duckdb", "parquet"] as const)("while a stream is being written waits, too: %s", (format) =>
    Effect.gen(function* () {
      const path = join(yield* temporaryFolder, "data")
      const layer =
        format === "duckdb" ? DuckDBFile.layer({ path, ...about }) : ParquetFolder.layer({ path, ...about })
      yield* Effect.gen(function* () {
        const destination = yield* Destination
        const { begun, counts } = yield* watchConnections
        const writing = yield* Effect.forkChild(
          Effect.scoped(
            Effect.flatMap(destination.open("up", "incremental_append"), (writer) =>
              writer.write([floats(seriesOf("up", {}), [[start, "1"]])])
            )
          ),
          { startImmediately: true }
        )
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(writing)
        assert.deepStrictEqual(counts, { closed: 1, closedAtWork: 0 })
      }).pipe(Effect.scoped, Effect.provide(layer), Effect.provide(NodeServices.layer))
    })
  )
})
