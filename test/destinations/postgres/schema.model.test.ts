import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import type { OpenOptions } from "../../../src/destinations/DestinationKind.ts"
import { layer } from "../../../src/destinations/postgres/PostgresSchema.ts"
import * as Postgres from "../../support/postgres.ts"
import { floats, histogramOf, pointsOf, put, putBlocks, seriesOf, start, stateAt } from "../drive.ts"

const use = <A, E>(
  server: Postgres.Postgres,
  body: Effect.Effect<A, E, Destination>,
  options: Partial<OpenOptions> = {}
) =>
  body.pipe(
    Effect.provide(layer({ path: server.urlOf(), source: "http://mock", labelColumns: true, ...options })),
    Effect.provide(NodeServices.layer)
  )

const rowsOf = (server: Postgres.Postgres, sql: string) => Effect.promise(() => server.rows(sql))

describe("a schema of PostgreSQL", () => {
  it.live(
    "keeps each digit of histograms, special values, and texts of labels that columns cannot have",
    () =>
      Effect.gen(function* () {
        const server = yield* Postgres.make()
        const count = "12345678901234567890.5"
        const strange = seriesOf("up", { nul: "a\0b", tab: "\t\\N\r\n\"'", lone: "\ud800", empty: "" })
        yield* use(
          server,
          putBlocks(
            "up",
            "incremental_append_deduped",
            [
              histogramOf(seriesOf("up", { job: "h" }), start, count),
              floats(strange, [
                [start, "-0"],
                [start + 60_000, "NaN"],
                [start + 120_000, "-Inf"]
              ])
            ],
            2
          )
        )
        const [histogram] = yield* rowsOf(
          server,
          "SELECT histogram::text AS text, value FROM prometheus.up WHERE job = 'h'"
        )
        assert.include(histogram!.text, count)
        assert.isNull(histogram!.value)
        assert.deepStrictEqual(
          yield* rowsOf(
            server,
            "SELECT value::text, special_value, tab, lone, other_labels::text AS other FROM prometheus.up WHERE job IS NULL ORDER BY time"
          ),
          [
            ["-0", null],
            [null, "NaN"],
            [null, "-Inf"]
          ].map(([value, special_value]) => ({
            value: value!,
            special_value: special_value!,
            tab: "\t\\N\r\n\"'",
            lone: "\ufffd",
            other: '{"nul":"a\\u0000b"}'
          }))
        )
      }).pipe(Effect.scoped)
  )

  it.live("stops a run that has lost its lock to another one, and keeps what both committed", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      const error = yield* use(
        server,
        Effect.gen(function* () {
          yield* put("up", "incremental_append", 0)
          // Without connections there is no lock.
          yield* Effect.promise(() => server.disconnectClients())
          yield* put("up", "incremental_append", 1)
          yield* use(server, put("up", "incremental_append", 2))
          return yield* Effect.flip(put("up", "incremental_append", 3))
        })
      )
      assert.match(error.message, /is written by another run now, .*This run writes nothing more/)
      assert.propertyVal(error, "isFatal", true)
      const rows = yield* rowsOf(server, "SELECT value FROM prometheus.up ORDER BY time")
      assert.deepStrictEqual(
        rows.map(({ value }) => Number(value)),
        [0, 1, 2]
      )
    }).pipe(Effect.scoped)
  )

  it.live("has all rows of a commit or none when the server ends its connection at any statement", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      yield* use(server, put("up", "incremental_append_deduped", 0))
      const counts = new Set<string>()
      for (let delay = 0; delay < 12; delay++) {
        yield* Effect.exit(
          use(
            server,
            Effect.all(
              [
                putBlocks(
                  "up",
                  "incremental_append_deduped",
                  [
                    pointsOf(
                      "up",
                      Array.from({ length: 1000 }, (_, index) => 1 + index)
                    )
                  ],
                  1000
                ),
                Effect.andThen(
                  Effect.sleep(delay * 4),
                  Effect.promise(() => server.disconnectClients())
                )
              ],
              { concurrency: 2 }
            )
          )
        )
        const [row] = yield* rowsOf(
          server,
          `SELECT count(*), count(DISTINCT time) AS times, (SELECT entry::json -> 'state' ->> 'time' FROM prometheus._source_prometheus_streams) AS state
           FROM prometheus.up`
        )
        const { count, state, times } = row!
        assert.strictEqual(count, times)
        assert.include([stateAt(0).time, stateAt(1000).time], state!)
        assert.strictEqual(Number(count), state === stateAt(0).time ? 1 : 1001)
        counts.add(`${count}`)
      }
      yield* use(server, put("up", "incremental_append_deduped", 1001))
      const [row] = yield* rowsOf(server, "SELECT count(DISTINCT time) AS count FROM prometheus.up")
      assert.isAtLeast(Number(row!.count), 2)
    }).pipe(Effect.scoped)
  )

  it.live("shows a dry run what there is, and creates nothing", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      const streams = Effect.map(Destination, ({ streams }) => [...streams().keys()])
      assert.deepStrictEqual(yield* use(server, streams, { readOnly: true }), [])
      assert.deepStrictEqual(
        yield* rowsOf(server, "SELECT nspname FROM pg_namespace WHERE nspname = 'prometheus'"),
        []
      )
      yield* use(server, put("up", "incremental_append", 0))
      assert.deepStrictEqual(yield* use(server, streams, { readOnly: true }), ["up"])
    }).pipe(Effect.scoped)
  )
})
