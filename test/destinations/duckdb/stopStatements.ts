/** Stops a run at one of its statements. */
import { cpSync, existsSync } from "node:fs"
import { DuckDBConnection } from "@duckdb/node-api"
import { Effect, FileSystem, Layer } from "effect"
import { killed, type Stop } from "../stops.ts"

/** Replaces a statement by an error if `errorOf` returns one. */
const watchStatements = (errorOf: (sql: string) => Error | undefined) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.gen(function* () {
      const { run } = DuckDBConnection.prototype
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          DuckDBConnection.prototype.run = function (...args) {
            const error = errorOf(args[0])
            return error === undefined ? run.apply(this, args) : Promise.reject(error)
          }
        }),
        () =>
          Effect.sync(() => {
            DuckDBConnection.prototype.run = run
          })
      )
      return yield* FileSystem.FileSystem
    })
  )

/** Kills a run before a statement with this beginning: the files are copied, and nothing is done any more. */
export const killBeforeStatement =
  (beginning: string): Stop =>
  (folder, at, onStop) =>
    Layer.suspend(() => {
      let count = 0
      let isKilled = false
      return watchStatements((sql) => {
        if (!isKilled && sql.startsWith(beginning) && count++ === at && existsSync(folder)) {
          const copy = `${folder}.killed`
          cpSync(folder, copy, { recursive: true })
          onStop(copy)
          isKilled = true
        }
        return isKilled ? new Error(killed) : undefined
      })
    })

/** Kills a run before a statement with this beginning, in place: nothing more is done, and nothing uncommitted is left. */
export const stopStatements =
  (beginning: string): Stop =>
  (folder, at, onStop) =>
    Layer.suspend(() => {
      let count = 0
      let isKilled = false
      return watchStatements((sql) => {
        if (!isKilled && sql.startsWith(beginning) && count++ === at) {
          onStop(folder)
          isKilled = true
        }
        return isKilled ? new Error(killed) : undefined
      })
    })

/** Fills the disk: that statement and all later ones fail if they need space. */
export const failStatements =
  (needSpace: RegExp): Stop =>
  (folder, at, onStop) =>
    Layer.suspend(() => {
      let count = 0
      return watchStatements((sql) => {
        if (count++ < at || !needSpace.test(sql)) return undefined
        onStop(folder)
        return new Error('IO Error: Could not write file "data.duckdb.wal": No space left on device')
      })
    })
