/**
 * A real Prometheus that is read by machines with wrong clocks. Only the server's clock counts. The server has samples
 * of the next minutes too, so a sync that trusts another clock reads too much or too little.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { iso, minute } from "../support/gauge.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { recordKey, referenceRecords } from "../support/referenceRecords.ts"
import { clockOff, refusesServer, withoutOwnTime, wrongClocks } from "../support/wrongClock.ts"

const STEP = 5

/** A server with a sample every five seconds, from half an hour ago to ten minutes from now. */
const live = Effect.gen(function* () {
  const server = yield* RealPrometheus.make({ remoteWriteReceiver: true })
  const start = Math.floor(Date.now() / minute - 30) * minute
  yield* server.remoteWrite(
    ["a", "b"].map((host) => ({
      labels: { __name__: "live", host },
      samples: Array.from({ length: (40 * 60) / STEP }, (_, i) => [start + i * STEP * 1000, i] as const)
    }))
  )
  const config = { base_url: server.baseUrl, start_date: iso(start), step: STEP }
  /** The time of the server's clock. */
  const now = Effect.map(
    server.get("/api/v1/query", { query: "time()" }),
    (response) => (response as { data: { result: readonly [number, string] } }).data.result[0] * 1000
  )
  return { config, now, server, start }
})

/** The last point of the grid that has settled at a given time. */
const settledAt = (millis: number, delaySeconds: number): number =>
  Math.floor((millis / 1000 - delaySeconds) / STEP) * STEP * 1000

describe("a real Prometheus", { concurrent: true }, () => {
  it.effect("is read up to its own current time by machines with different clocks", () =>
    Effect.gen(function* () {
      const { config, now, server, start } = yield* live
      const files = yield* connector.workspace
      const catalog = connector.configure(yield* connector.discover(files, config), "incremental")
      const turns = [{ nodeOptions: [], off: 0, what: "right" }, ...wrongClocks.map(toTurn)]
      const records: Array<connector.ParsedRecord> = []
      let state: ReadonlyArray<connector.StateOfStream> | undefined
      let last = start - STEP * 1000
      for (const [index, { nodeOptions, off, what }] of turns.entries()) {
        // The settle delay decreases to zero, so that each turn has new points without waiting.
        const settle_delay = (turns.length - 1 - index) * 240
        const before = yield* now
        const output = yield* connector.read(files, { ...config, settle_delay }, catalog, state, {
          nodeOptions
        })
        const after = yield* now
        assert.deepStrictEqual([output.code, output.stderr], [0, ""], what)
        state = output.states
        const end = Date.parse(state.at(-1)!.stream.stream_state.time as string)
        // Usually both bounds are the same point.
        assert.isTrue(
          settledAt(before, settle_delay) <= end && end <= settledAt(after, settle_delay),
          `${what}: ${iso(end)} between ${iso(before)} and ${iso(after)}`
        )
        assert.isAbove(end, last, what)
        const times = output.records.map(({ data }) => Date.parse(data.time as string))
        for (const time of times) assert.isTrue(time > last && time <= end, `${what}: ${iso(time)}`)
        // The clock was really wrong.
        assert.isAbove(Math.abs(output.records[0]!.emittedAt - after), off - 120_000, what)
        records.push(...output.records)
        last = end
      }
      // No record is lost or changed. `byKey` throws if one is repeated.
      const expected = yield* Effect.promise(() =>
        referenceRecords({
          baseUrl: server.baseUrl,
          metric: "live",
          start: start / 1000,
          end: last / 1000,
          step: STEP
        })
      )
      assert.strictEqual(expected.size, 2 * ((last - start) / 1000 / STEP + 1))
      assert.isTrue(expected.has(recordKey({ __name__: "live", host: "b" }, last)))
      assert.deepStrictEqual(new Map([...connector.byKey(records)].sort()), new Map([...expected].sort()))
    })
  )

  it.effect("is checked and discovered in the same way by machines with wrong clocks", () =>
    Effect.gen(function* () {
      const { config } = yield* live
      const files = yield* connector.workspace
      const path = files.write("config.json", config)
      for (const verb of ["check", "discover"]) {
        const right = yield* child.run([verb, "--config", path])
        assert.include(right.stdout, verb === "check" ? '"SUCCEEDED"' : '"name":"live"')
        assert.notMatch(right.stdout, /"level":"WARN"/)
        for (const { error, what } of wrongClocks) {
          const wrong = yield* child.run([verb, "--config", path], { nodeOptions: clockOff(error) })
          assert.deepStrictEqual([wrong.code, wrong.stderr], [0, ""], what)
          // A check cannot know which of the two clocks is wrong.
          if (verb === "check" && refusesServer(error)) {
            assert.match(
              wrong.stdout,
              /"status":"FAILED","message":"The clock of \S+ shows 20\S+, more than a day ahead of this machine's clock \(20/
            )
          } else assert.strictEqual(withoutOwnTime(wrong.stdout), withoutOwnTime(right.stdout), what)
        }
      }
    })
  )
})

const toTurn = ({ error, what }: (typeof wrongClocks)[number]) => ({
  nodeOptions: clockOff(error),
  off: Math.abs(error.millis),
  what
})
