/** The load budget that processes share in a real PostgreSQL: the same as in memory, also if several book at once. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger } from "effect"
import { layerLoadAccount } from "../../src/cluster/loadAccount.ts"
import {
  type LoadAccount,
  REQUEST_CREDIT_MILLIS,
  SharedLoadAccount
} from "../../src/prometheus/load/LoadAccount.ts"
import { makeLoadBudget } from "../../src/prometheus/load/LoadBudget.ts"
import { preciseMillis } from "../../src/prometheus/load/preciseMillis.ts"
import * as Postgres from "../support/postgres.ts"

const settings = { source: "http://prometheus", destination: "parquet:data" }

/** The account of a process that has just started. */
const open = (url: string, of = settings) =>
  Effect.map(
    Layer.build(layerLoadAccount({ address: { url, text: "the database" }, settings: of }, "worker")),
    (context): LoadAccount => Context.get(context as Context.Context<unknown>, SharedLoadAccount)!
  )

const request = (requestMillis: number) => ({ requestMillis, sampleMillis: 0 })

describe("a shared load account", () => {
  it.live("gives each request its own place, from any client", () =>
    Effect.gen(function* () {
      const url = (yield* Postgres.make()).urlOf()
      const accounts = yield* Effect.all([open(url), open(url), open(url)])
      const bookings = yield* Effect.forEach(
        Array.from({ length: 30 }, (_, i) => accounts[i % 3]!),
        (account) => account.book(request(60_000)),
        { concurrency: "unbounded" }
      )
      const waits = bookings.map(({ waitMillis }) => waitMillis).sort((a, b) => a - b)
      for (const [place, wait] of waits.entries()) {
        assert.isAtMost(wait, place * 60_000)
        // What passed meanwhile, even on a busy machine.
        assert.isAbove(wait, place * 60_000 - 30_000 - REQUEST_CREDIT_MILLIS)
      }
      const others = yield* open(url, { ...settings, destination: "parquet:other" })
      assert.strictEqual((yield* others.book(request(60_000))).waitMillis, 0)
    }).pipe(Effect.scoped, Effect.provide([NodeFileSystem.layer, Logger.layer([])]))
  )

  it.live("has requests wait for samples, but not for those of later ones", () =>
    Effect.gen(function* () {
      const url = (yield* Postgres.make()).urlOf()
      const account = yield* open(url)
      const samples = yield* account.book({ requestMillis: 1000, sampleMillis: 600_000 })
      assert.isFalse(samples.isBooked)
      assert.isAtMost(samples.waitMillis, 600_000)
      assert.isAbove(samples.waitMillis, 540_000)
      const other = yield* open(url)
      assert.isFalse((yield* other.book(request(1000))).isBooked)
      const waited = yield* account.book({ ...request(1000), hasWaited: true })
      assert.deepStrictEqual(waited, { isBooked: true, waitMillis: 0 })
      // Fewer arrived than expected.
      yield* account.book({ requestMillis: 0, sampleMillis: -600_000, hasWaited: true })
      assert.isTrue((yield* other.book(request(1000))).isBooked)
    }).pipe(Effect.scoped, Effect.provide([NodeFileSystem.layer, Logger.layer([])]))
  )

  it.live(
    "holds over several processes, through restarts of the database and after its table was emptied",
    () =>
      Effect.gen(function* () {
        const postgres = yield* Postgres.make()
        const url = postgres.urlOf()
        const limits = { maxRequestsPerSecond: 20, maxSamplesPerSecond: undefined }
        const budgets = yield* Effect.forEach([1, 2], () =>
          Effect.flatMap(open(url), (account) => makeLoadBudget(limits, account))
        )
        const sent: Array<number> = []
        const send = Effect.fnUntraced(function* (index: number) {
          if (index === 10)
            yield* Effect.promise(() => postgres.psql("DELETE FROM source_prometheus_cluster.budgets"))
          if (index === 20) yield* Effect.promise(() => postgres.disconnectClients())
          if (index === 30) yield* Effect.promise(() => postgres.restart("kill"))
          yield* budgets[index % 2]!.admit()
          sent.push(yield* preciseMillis)
        })
        yield* Effect.forEach(
          Array.from({ length: 40 }, (_, i) => i),
          send,
          { concurrency: 6 }
        )
        const seconds = (sent.at(-1)! - sent[0]!) / 1000
        assert.isAtMost(sent.length, 20 * (seconds + 2 * (REQUEST_CREDIT_MILLIS / 1000)) + 2)
      }).pipe(Effect.scoped, Effect.provide([NodeFileSystem.layer, Logger.layer([])]))
  )
})
