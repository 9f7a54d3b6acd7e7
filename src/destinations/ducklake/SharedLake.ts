/** A DuckLake that this process shares with others, and its transactions. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Clock, Effect, Semaphore } from "effect"
import { DestinationError } from "../Destination.ts"
import { type OpenOptions, shapesIn } from "../DestinationKind.ts"
import type { Run, RunQuery } from "../tables/Dialect.ts"
import { textOf } from "../tables/duckdbError.ts"
import { ducklakeDialect } from "./ducklakeDialect.ts"
import { isConflict } from "./lakeError.ts"
import type { attachLake } from "./openLake.ts"

/** How long a transaction is tried again because others were faster. */
const PATIENCE_MILLIS = 600_000

/** The pauses between attempts, which are random. Others need a part of a second for a commit. */
const PAUSE_MILLIS = 30
const MOST_PAUSE_MILLIS = 1500

/** After so many versions of all tables, the catalog is closed and reopened. DuckLake keeps each one in memory until then. */
const VERSIONS_UNTIL_REOPENED = 20

/** What a transaction can do. */
export interface Transaction {
  readonly run: Run
  readonly runQuery: RunQuery
}

/** The end of a transaction. */
export interface Outcome<A> {
  readonly result: A
  /** Whether it is committed, and not rolled back. */
  readonly isDone: boolean
}

export type SharedLake = Effect.Success<ReturnType<typeof shareLake>>

/** Shares an attached DuckLake. */
export const shareLake = Effect.fnUntraced(function* (
  options: OpenOptions & { readonly memoryMegabytes: number },
  lake: Effect.Success<ReturnType<typeof attachLake>>
) {
  const { path } = options
  const { access, attempt, catalog, connection } = lake
  const { shared } = catalog
  if (shared === undefined) return yield* Effect.die(new Error(`${path} cannot be shared.`))
  const renew = access?.renew ?? Effect.void
  /** Nothing uses the catalog while it is reopened. */
  const use = yield* Semaphore.make(2)
  const reads = yield* Semaphore.make(1)
  const writes = yield* Semaphore.make(1)
  let lost: DestinationError | undefined
  const unlessLost = <A>(effect: Effect.Effect<A, DestinationError>) =>
    Effect.suspend(() => (lost === undefined ? Effect.andThen(renew, effect) : Effect.fail(lost)))

  const queryOn =
    (own: DuckDBConnection): RunQuery =>
    async (sql) =>
      (await own.runAndReadAll(sql)).getRowsJS()

  let versions = 0
  let lastVersion = ""
  const reopenIfFull = Effect.suspend(() => {
    if (versions < VERSIONS_UNTIL_REOPENED) return Effect.void
    versions = 0
    return Effect.ignore(Effect.tapError(lake.reopen, (error) => Effect.sync(() => (lost = error)))).pipe(
      use.withPermits(2),
      Effect.uninterruptible
    )
  })

  /** Runs a transaction once. Returns the error of a conflict. */
  const once = async <A>(
    own: DuckDBConnection,
    body: (transaction: Transaction) => Promise<Outcome<A>>
  ): Promise<{ readonly result: A } | { readonly conflict: unknown }> => {
    const runQuery = queryOn(own)
    try {
      await own.run("BEGIN")
      // A lost lock is noticed after this transaction has begun: what another run has committed by then conflicts with it.
      await runQuery(`FROM ${ducklakeDialect.about} LIMIT 0`)
      await catalog.check()
      const version = await shared.schemaVersion()
      if (version !== lastVersion) versions++
      lastVersion = version
      const { isDone, result } = await body({
        run: async (sql) => (await own.run(sql)).rowsChanged,
        runQuery
      })
      await own.run(isDone ? "COMMIT" : "ROLLBACK")
      return { result }
    } catch (error) {
      await own.run("ROLLBACK").catch(() => {})
      if (!(error instanceof DestinationError) && isConflict(error)) return { conflict: error }
      throw error
    }
  }

  return {
    ...lake,
    ...shapesIn(options),
    options,
    shared,
    /** Runs queries, each one in the latest snapshot. */
    query: <A>(body: (runQuery: RunQuery) => Promise<A>): Effect.Effect<A, DestinationError> =>
      unlessLost(attempt(() => body(queryOn(connection)))).pipe(use.withPermits(1), reads.withPermits(1)),
    /**
     * Runs a transaction, again and again if others were faster. It is rolled back if it is not done. It must change the row of a
     * stream in the table of manifests, or the one about the DuckLake: only one of two such transactions is committed. After a
     * conflict, it calls `undone`: then it is certain that nothing was committed.
     */
    transact: <A>(
      own: DuckDBConnection,
      what: string,
      body: (transaction: Transaction) => Promise<Outcome<A>>,
      undone: () => void = () => {}
    ): Effect.Effect<A, DestinationError> =>
      Effect.gen(function* () {
        const end = (yield* Clock.currentTimeMillis) + PATIENCE_MILLIS
        for (let tried = 0; ; tried++) {
          const outcome = yield* unlessLost(attempt(() => once(own, body))).pipe(
            use.withPermits(1),
            Effect.andThen((outcome) => Effect.as(reopenIfFull, outcome)),
            writes.withPermits(1)
          )
          if ("result" in outcome) return outcome.result
          undone()
          if ((yield* Clock.currentTimeMillis) > end) {
            return yield* new DestinationError({
              message: `${path}: other processes commit all the time, so ${what} was not committed within ${PATIENCE_MILLIS / 60_000} minutes: ${textOf(outcome.conflict).split("\n").at(-1)}. Run again with fewer processes: what was committed is kept.`
            })
          }
          const most = Math.min(MOST_PAUSE_MILLIS, PAUSE_MILLIS * 2 ** Math.min(tried, 10))
          yield* Effect.sleep(`${Math.random() * most} millis`)
        }
      })
  }
})
