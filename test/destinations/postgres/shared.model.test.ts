/** Parts of several processes in a schema of PostgreSQL. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Scope } from "effect"
import type { Destination } from "../../../src/destinations/Destination.ts"
import { layer, sharedLayer } from "../../../src/destinations/postgres/PostgresSchema.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import type { PartResult } from "../../../src/sync/partState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { choices } from "../../choices.ts"
import * as Postgres from "../../support/postgres.ts"
import { runs } from "../../support/runs.ts"
import { floats, loadedTime, put, seriesOf, start } from "../drive.ts"
import { refuseParts } from "../scenarios.ts"
import { sharedRuns } from "./sharedRuns.ts"

const MINUTE = 60_000

const partOf = (first: number, last: number, isReread = false): PartResult => ({
  grid: { firstMillis: start, lastMillis: start + 10_000 * MINUTE, stepMillis: MINUTE },
  covered: [{ firstMillis: start + first * MINUTE, lastMillis: start + last * MINUTE }],
  isReread,
  details: { selector: "", excluded_labels: "" }
})

/** Writes blocks as a part. */
const write = (part: PartResult, blocks: ReadonlyArray<SampleBlock>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(SharedDestination, ({ openPart }) => openPart("up"))
      yield* writer.write(blocks)
      return yield* writer.commit(part)
    })
  )

const pointsOf = (labels: Readonly<Record<string, string>>, first: number, last: number, value = "1") =>
  floats(
    seriesOf("up", labels),
    Array.from({ length: last - first + 1 }, (_, n) => [start + (first + n) * MINUTE, value] as const)
  )

const optionsOf = (server: Postgres.Postgres, source = "http://mock") => ({
  path: server.urlOf(),
  source,
  labelColumns: true
})

const share = <A, E>(
  server: Postgres.Postgres,
  body: Effect.Effect<A, E, SharedDestination>,
  source = "http://mock"
) => body.pipe(Effect.provide(sharedLayer(optionsOf(server, source))), Effect.provide(NodeServices.layer))

const alone = <A, E>(server: Postgres.Postgres, body: Effect.Effect<A, E, Destination>) =>
  body.pipe(Effect.provide(layer(optionsOf(server))), Effect.provide(NodeServices.layer))

const rowsOf = (server: Postgres.Postgres, sql: string) => Effect.promise(() => server.rows(sql))

const countRows = (server: Postgres.Postgres) =>
  Effect.map(
    rowsOf(server, "SELECT count(*), count(DISTINCT (series_id, time)) AS keys FROM prometheus.up"),
    ([row]) => `${row!.count} ${row!.keys}`
  )

describe("a schema of PostgreSQL that several processes write", () => {
  const scope = Scope.makeUnsafe()
  let shared: Postgres.Postgres
  let schemas = 0
  beforeAll(async () => {
    shared = await Effect.runPromise(Scope.provide(Postgres.make(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.live.prop(
    "has the rows and the state of all committed parts after kills and pauses at random times",
    [choices],
    ([choices]) => sharedRuns(shared, `runs_${schemas++}`, choices),
    { arbitrary: { runs: runs(4, 40) }, timeout: 240_000 }
  )

  it.live("has columns that all processes agree on, in the order in which they were first seen", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      const one = { Case: "1", time: "noon", é: "x" }
      const two = { case: "2", CASE: "3", time: "night" }
      // Two processes begin when the stream has no columns.
      yield* share(
        server,
        Effect.scoped(
          Effect.gen(function* () {
            const a = yield* Effect.flatMap(SharedDestination, ({ openPart }) => openPart("up"))
            yield* a.write([pointsOf(two, 10, 19), pointsOf(one, 10, 19)])
            yield* share(server, write(partOf(0, 9), [pointsOf(one, 0, 9)]))
            assert.isTrue(yield* a.commit(partOf(10, 19)))
          })
        )
      )
      assert.deepStrictEqual<unknown>(
        yield* rowsOf(
          server,
          `SELECT "Case", label_time, "é", other_labels::text AS other, count(*)::int AS rows FROM prometheus.up GROUP BY 1, 2, 3, 4 ORDER BY 5`
        ),
        [
          { Case: null, label_time: "night", é: null, other: '{"CASE":"3","case":"2"}', rows: 10 },
          { Case: "1", label_time: "noon", é: "x", other: null, rows: 20 }
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.live("has the metric of a group in a column, and all labels in one object", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      yield* Effect.gen(function* () {
        // A part without samples creates the table.
        assert.isTrue(yield* write(partOf(0, 9), []))
        assert.isTrue(yield* write(partOf(10, 19), [pointsOf({ job: "a" }, 10, 19), pointsOf({}, 10, 19)]))
        assert.isTrue(yield* write(partOf(10, 29, true), [pointsOf({ job: "a" }, 10, 29, "7")]))
      }).pipe(
        Effect.provide(sharedLayer({ ...optionsOf(server), kindOf: () => "group" })),
        Effect.provide(NodeServices.layer)
      )
      yield* share(server, refuseParts)
      assert.deepStrictEqual<unknown>(
        yield* rowsOf(
          server,
          "SELECT metric, labels::text AS labels, value, count(*)::int AS rows FROM prometheus.up GROUP BY 1, 2, 3 ORDER BY 4"
        ),
        [
          { metric: "up", labels: "{}", value: 1, rows: 10 },
          { metric: "up", labels: '{"job":"a"}', value: 7, rows: 20 }
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.live("replaces the rows that are read again, and leaves those that are the same", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      const places = Effect.map(
        rowsOf(server, "SELECT string_agg(ctid::text, ' ' ORDER BY time) AS places FROM prometheus.up"),
        ([row]) => row!.places
      )
      yield* share(
        server,
        Effect.gen(function* () {
          assert.isTrue(yield* write(partOf(0, 9), [pointsOf({ job: "a" }, 0, 9)]))
          const before = yield* places
          assert.isFalse(yield* write(partOf(0, 9), [pointsOf({ job: "a" }, 0, 9, "7")]))
          assert.isTrue(yield* write(partOf(0, 9, true), [pointsOf({ job: "a" }, 0, 9)]))
          assert.strictEqual(yield* places, before)
          assert.isTrue(yield* write(partOf(5, 14, true), [pointsOf({ job: "a" }, 7, 14, "2")]))
          const { bytes, previewCommand, states, streams } = yield* SharedDestination
          assert.deepStrictEqual([...(yield* streams).keys()], ["up"])
          assert.isAbove(yield* bytes, 0)
          assert.match(previewCommand("up"), /^psql -d .*"prometheus"\."up"/)
          const state = Option.getOrThrow(yield* states.load("up"))
          assert.strictEqual(state.time, formatTime(start + 14 * MINUTE))
        })
      )
      const [row] = yield* rowsOf(
        server,
        "SELECT string_agg(value::text, '' ORDER BY time) AS values FROM prometheus.up"
      )
      assert.strictEqual(row!.values, "1111111".padEnd(15, "2"))
    }).pipe(Effect.scoped)
  )

  it.live("commits a part that all processes read at once exactly once", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      const outcomes = yield* Effect.forEach(
        [1, 2, 3, 4],
        (n) => share(server, write(partOf(0, 99), [pointsOf({ job: "a", [`l${n}`]: "x" }, 0, 99, `${n}`)])),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(outcomes.filter(Boolean), 1)
      assert.strictEqual(yield* countRows(server), "100 100")
    }).pipe(Effect.scoped)
  )

  it.live("is written by runs of any mode before and after", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      yield* share(server, write(partOf(0, 9), [pointsOf({ job: "a" }, 0, 9)]))
      yield* alone(
        server,
        Effect.gen(function* () {
          assert.strictEqual(yield* loadedTime("incremental_append_deduped"), formatTime(start + 9 * MINUTE))
          yield* put("up", "incremental_append_deduped", 9, 10)
          // Rows are repeated now.
          yield* put("up", "incremental_append", 10, 11)
        })
      )
      assert.strictEqual(yield* countRows(server), "13 12")
      yield* share(
        server,
        Effect.gen(function* () {
          assert.strictEqual(yield* countRows(server), "12 12")
          assert.isTrue(yield* write(partOf(12, 19), [pointsOf({ job: "a" }, 12, 19)]))
        })
      )
      assert.strictEqual(yield* countRows(server), "20 20")
      yield* alone(server, put("up", "full_refresh_overwrite", 1, 2))
      yield* share(server, write(partOf(3, 4), [pointsOf({ job: "a" }, 3, 4)]))
      assert.strictEqual(yield* countRows(server), "4 4")
    }).pipe(Effect.scoped)
  )

  it.live("refuses a run at the same time, and data of another source", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      yield* share(
        server,
        Effect.gen(function* () {
          const refused = yield* Effect.flip(alone(server, Effect.void))
          assert.match(refused.message, /is in use by process \d+ .*\. Wait for its end/)
          yield* write(partOf(0, 9), [pointsOf({ job: "a" }, 0, 9)])
        })
      )
      const other = yield* Effect.flip(share(server, Effect.void, "http://else"))
      assert.match(other.message, /holds data of http:\/\/mock, and this is http:\/\/else/)
      const during = yield* alone(server, Effect.flip(share(server, Effect.void)))
      assert.match(during.message, /is in use by process \d+ /)
    }).pipe(Effect.scoped)
  )

  it.live("continues after lost connections, until a run has taken the schema over", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      const disconnect = Effect.promise(() => server.disconnectClients())
      yield* share(
        server,
        Effect.gen(function* () {
          assert.isTrue(yield* write(partOf(0, 9), [pointsOf({ job: "a" }, 0, 9)]))
          yield* disconnect
          assert.isTrue(yield* write(partOf(10, 19), [pointsOf({ job: "a" }, 10, 19)]))
          assert.strictEqual(yield* countRows(server), "20 20")
          yield* disconnect
          yield* alone(server, put("up", "incremental_append_deduped", 20))
          const error = yield* Effect.flip(write(partOf(30, 39), [pointsOf({ job: "b", more: "x" }, 30, 39)]))
          assert.match(error.message, /is written by another run now/)
          assert.propertyVal(error, "isFatal", true)
        })
      )
      assert.strictEqual(yield* countRows(server), "21 21")
    }).pipe(Effect.scoped)
  )
})
