/**
 * Checkpoints are reliable: for every STATE of a long read of several streams, a new read from exactly that state emits
 * exactly the remaining records.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { MockRequest } from "../../src/mock/http.ts"
import * as connector from "../support/connector.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { pointsOf, refusal, serve } from "../support/mockServer.ts"
import { assertSameRows, linesOf, stateFile } from "./destination.ts"
import * as rules from "./rules.ts"

/** Different numbers of series, so that streams progress at different speeds and their states interleave. */
const SERIES = { one: 1, two: 2, three: 3, five: 5, eight: 8, four: 4 }
const MINUTES = 86

/** The samples that a query may load: so few that windows stay small, 5 points for `eight`. */
const MAX_SAMPLES = 44

/** How the server handles queries that are too large. `attempt` counts repeats of the same query. */
const servers = {
  "refuses queries for their size": () => refusal,
  "cuts responses and then refuses them for their size": (attempt: number) =>
    attempt === 1 ? { cutAfterBytes: 700 } : refusal
}

const isTooLarge = (request: MockRequest): boolean => {
  const [, name] = /"(\w+)"/.exec(request.params.get("query") ?? "") ?? []
  return pointsOf(request) * (SERIES[name as keyof typeof SERIES] ?? 0) > MAX_SAMPLES
}

/** A finished read, in retrospect. */
interface Completeness {
  /** The records of each stream, in the order in which they were emitted. */
  readonly records: ReadonlyMap<string, ReadonlyArray<string>>
  readonly checkpoints: ReadonlyArray<Checkpoint>
}

/** A moment right after a STATE. */
interface Checkpoint {
  /** What the platform has at that moment: the latest state of each stream that has one. */
  readonly states: ReadonlyArray<connector.StateOfStream>
  /** How many records of each stream its latest state covers. */
  readonly done: ReadonlyMap<string, number>
}

const lookBack = (output: connector.Output): Completeness => {
  const records = new Map<string, Array<string>>(Object.keys(SERIES).map((name) => [name, []]))
  const latest = new Map<string, connector.StateOfStream>()
  const done = new Map<string, number>()
  const checkpoints: Array<Checkpoint> = []
  for (const line of linesOf(output.stdout)) {
    if (line.type === "RECORD") records.get(line.stream)!.push(line.row.text)
    if (line.type !== "STATE") continue
    latest.set(line.stream, line.state)
    const isComplete = line.state.stream.stream_state.__ab_full_refresh_sync_complete === true
    // A complete refresh restarts from the beginning.
    done.set(line.stream, isComplete ? 0 : records.get(line.stream)!.length)
    checkpoints.push({ states: [...latest.values()], done: new Map(done) })
  }
  return { records, checkpoints }
}

const cases = [
  { mode: "incremental", server: "refuses queries for their size", generation: undefined, least: 60 },
  { mode: "full_refresh", server: "refuses queries for their size", generation: 3, least: 60 },
  {
    mode: "incremental",
    server: "cuts responses and then refuses them for their size",
    generation: undefined,
    // If a window was emitted in part, only its end can be a state.
    least: 15
  }
] as const

describe("every STATE", () => {
  for (const { generation, least, mode, server } of cases) {
    const name = `of a read in the mode ${mode} leaves exactly the rest, where a server ${server}`
    it.live(
      name,
      () =>
        Effect.gen(function* () {
          // The rest is read without limits, in different windows: a state must not depend on them.
          let isLimited = true
          const { config } = yield* serve(
            Object.entries(SERIES).flatMap(([name, count]) => gauge(name, MINUTES, count)),
            MINUTES,
            {
              faults: (request, attempt) =>
                isLimited && isTooLarge(request) ? servers[server](attempt) : undefined
            }
          )
          const files = yield* connector.workspace
          const streams = yield* connector.discover(files, config)
          const catalog = {
            streams: connector
              .configure(streams, mode)
              .streams.map((stream) => ({ ...stream, generation_id: generation }))
          }
          const output = yield* rules.read(files, config, catalog)
          isLimited = false
          assert.strictEqual(output.code, 0)
          // Throws if a record occurs twice.
          assert.strictEqual(connector.byKey(output.records).size, 23 * MINUTES)
          const { checkpoints, records } = lookBack(output)
          assert.isAtLeast(checkpoints.length, least)
          assertInterleaved(output)
          assertStates(output, generation)

          const resume = Effect.fnUntraced(function* ({ done, states }: Checkpoint, index: number) {
            const own = yield* connector.workspace
            const rest = yield* connector.read(own, config, catalog, stateFile(states))
            assert.deepStrictEqual([rest.code, rest.stderr], [0, ""])
            const printed = lookBack(rest).records
            for (const [name, all] of records) {
              assertSameRows(
                printed.get(name)!,
                all.slice(done.get(name) ?? 0),
                `${name}, after STATE ${index + 1}: ${JSON.stringify(states)}`
              )
            }
          }, Effect.scoped)
          yield* Effect.forEach(checkpoints, resume, { concurrency: 3, discard: true })
        }),
      // One process for each of them.
      300_000
    )
  }
})

/** Streams must be read concurrently, or the test shows less than it claims: most have another's STATE between their own. */
const assertInterleaved = ({ states }: connector.Output): void => {
  const names = states.map(({ stream }) => stream.stream_descriptor.name)
  const interrupted = Object.keys(SERIES).filter((name) =>
    names.slice(names.indexOf(name), names.lastIndexOf(name)).some((other) => other !== name)
  )
  assert.isAtLeast(interrupted.length, 4)
}

/** Each state has these keys and no others, lies on the grid, and is later than the one before. */
const assertStates = ({ states }: connector.Output, generation: number | undefined): void => {
  for (const name of Object.keys(SERIES)) {
    const own = states
      .filter(({ stream }) => stream.stream_descriptor.name === name)
      .map(({ stream }) => stream.stream_state)
    if (generation !== undefined) {
      assert.deepStrictEqual(own.pop(), { __ab_full_refresh_sync_complete: true })
    }
    let before = start - minute
    for (const state of own) {
      const { time } = state
      assert.deepStrictEqual(state, {
        time,
        step: 60,
        version: 1,
        ...(generation === undefined ? {} : { full_refresh: true, generation_id: generation })
      })
      assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$/)
      const millis = Date.parse(String(time))
      assert.isAbove(millis, before)
      before = millis
    }
    assert.strictEqual(before, start + (MINUTES - 1) * minute, "the last state is the end")
  }
}
