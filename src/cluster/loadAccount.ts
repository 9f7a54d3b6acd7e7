/** The load budget that all processes of a sync share, in the cluster's database and by its clock. */
import { Effect, type FileSystem, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import {
  type Booking,
  type Charge,
  type LoadAccount,
  REQUEST_CREDIT_MILLIS,
  SAMPLE_CREDIT_MILLIS,
  SharedLoadAccount
} from "../prometheus/load/LoadAccount.ts"
import { asClusterErrors, layerDatabase } from "./clusterDatabase.ts"
import { createTables } from "./clusterTables.ts"
import { layerUntilReachable, outage } from "./outage.ts"
import type { ClusterError, ClusterOptions } from "./PartQueue.ts"
import { groupOf } from "./syncSettings.ts"
import { PATIENCE } from "./timings.ts"

/** Bookings are short statements, one at a time. */
const CONNECTIONS = 1

interface Row {
  readonly now: number
  readonly requests_until: number
  readonly samples_until: number
}

const make = Effect.fnUntraced(function* (
  group: string
): Effect.fn.Return<LoadAccount, SqlError, SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const now = sql.literal("extract(epoch FROM clock_timestamp())::double precision * 1000")
  const open = sql`
    INSERT INTO budgets (name, requests_until, samples_until) VALUES (${group}, ${now}, ${now})
    ON CONFLICT (name) DO NOTHING
  `
  yield* createTables
  yield* open
  const available = yield* outage

  /** One statement: a process that is killed has booked everything or nothing. It is `charged` in SQL. */
  const update = ({ hasWaited = false, requestMillis, sampleMillis }: Charge) => {
    const samples = sql`greatest(samples_until, clock.now - ${SAMPLE_CREDIT_MILLIS}::double precision) + ${sampleMillis}::double precision`
    return sql<Row>`
      UPDATE budgets SET
        samples_until = ${samples},
        requests_until = CASE
          WHEN ${hasWaited}::boolean OR ${samples} <= clock.now
          THEN greatest(requests_until, clock.now - ${REQUEST_CREDIT_MILLIS}::double precision) + ${requestMillis}::double precision
          ELSE requests_until
        END
      FROM (SELECT ${now} AS now) AS clock
      WHERE name = ${group}
      RETURNING clock.now, requests_until, samples_until
    `
  }

  const book = Effect.fnUntraced(function* (charge: Charge): Effect.fn.Return<Booking, SqlError> {
    const { hasWaited = false, requestMillis } = charge
    for (;;) {
      const [row] = yield* update(charge)
      if (row !== undefined) {
        const isBooked = hasWaited || row.samples_until <= row.now
        const wait = isBooked ? row.requests_until - requestMillis - row.now : row.samples_until - row.now
        return { isBooked, waitMillis: Math.max(0, wait) }
      }
      // The tables of a group that was not used for long are dropped.
      yield* open
    }
  })
  return { book: (charge) => available(book(charge)) }
})

/** The account of a sync. While the database is away, no request is sent. */
export const layerLoadAccount = (
  { address, settings }: ClusterOptions,
  role: "submitter" | "worker"
): Layer.Layer<never, ClusterError, FileSystem.FileSystem> =>
  Layer.effect(SharedLoadAccount, asClusterErrors(address)(make(groupOf(settings)))).pipe(
    Layer.provide(layerDatabase(address, CONNECTIONS)),
    layerUntilReachable(role === "submitter" ? PATIENCE : undefined)
  )
