/** The four sync modes of the setup guide, and their results in the tables of a destination. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { type MockSeries, makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import {
  assertSameRows,
  type Connection,
  Destination,
  linesOf,
  outputOfKilled,
  stateFile
} from "./destination.ts"
import * as rules from "./rules.ts"

/** A stream for each mode, named after it. One connection reads the four together, because users mix modes. */
const modes = [
  { name: "full_refresh_overwrite", sync: "full_refresh", destination: "overwrite" },
  { name: "full_refresh_append", sync: "full_refresh", destination: "append" },
  { name: "incremental_append", sync: "incremental", destination: "append" },
  { name: "incremental_append_dedup", sync: "incremental", destination: "append_dedup" }
] as const

/** The server's data for every metric: by series, the value at each minute since `start`. */
type Content = Readonly<Record<string, ReadonlyMap<number, number>>>

/** The minutes of an inclusive range, with values that identify series and minute. */
const minutes = (from: number, to: number, offset: number): ReadonlyMap<number, number> =>
  new Map(Array.from({ length: to - from + 1 }, (_, i) => [from + i, offset + (from + i) / 4] as const))

const seriesOf = (content: Content): ReadonlyArray<MockSeries> =>
  modes.flatMap(({ name }) =>
    Object.entries(content).map(([n, values]) =>
      makeSeries(
        { __name__: name, n },
        Array.from(values, ([at, value]) => [start + at * minute, value] as const)
      )
    )
  )

/** The key and the value of every sample in an inclusive range of minutes. */
const samplesBetween = (content: Content, first: number, last: number) =>
  Object.entries(content).flatMap(([n, values]) =>
    [...values]
      .filter(([at]) => at >= first && at <= last)
      .map(([at, value]) => [`${n} ${iso(start + at * minute)}`, value] as const)
  )

/** One sync: the server's data, its clock in minutes since `start`, and the last minute that is read. */
interface Sync {
  readonly content: Content
  readonly now: number
  readonly last: number
  readonly endDate?: string
}

interface Story {
  readonly what: string
  readonly hideFuture: boolean
  readonly lookback: number
  readonly syncs: ReadonlyArray<Sync>
  /** Whether no samples disappear or arrive too late: then deduped history equals the server's final data. */
  readonly isWhole: boolean
}

const steady: Content = { a: minutes(0, 130, 0), b: minutes(0, 130, 1000), short: minutes(50, 61, 2000) }

const without = (values: ReadonlyMap<number, number>, from: number, to: number) =>
  new Map([...values].filter(([at]) => at < from || at > to))

const stories: ReadonlyArray<Story> = [
  {
    // Samples younger than the settle delay of one minute are left to the next sync.
    what: "time passes",
    hideFuture: true,
    lookback: 0,
    isWhole: true,
    syncs: [
      { content: steady, now: 40.5, last: 39 },
      { content: steady, now: 81, last: 80 },
      { content: steady, now: 120.99, last: 119 }
    ]
  },
  {
    what: "end_date is moved",
    hideFuture: false,
    lookback: 0,
    isWhole: true,
    syncs: [35, 90, 130].map((last) => ({
      content: steady,
      now: 10_000,
      last,
      endDate: iso(start + last * minute)
    }))
  },
  {
    what: "the server gains new samples and series, loses series, and drops its oldest samples",
    hideFuture: false,
    lookback: 0,
    isWhole: false,
    syncs: [
      { content: { a: minutes(0, 40, 0), gone: minutes(0, 40, 500) }, now: 41, last: 40 },
      { content: { a: minutes(10, 80, 0), added: minutes(20, 80, 1000) }, now: 81, last: 80 },
      { content: { a: minutes(20, 120, 0), added: minutes(20, 120, 1000) }, now: 121, last: 120 }
    ]
  },
  {
    what: "samples arrive late or are corrected, within the look-back window",
    hideFuture: false,
    lookback: 15,
    isWhole: true,
    syncs: [
      { content: { a: without(minutes(0, 40, 0), 30, 33), b: minutes(0, 40, 1000) }, now: 41, last: 40 },
      {
        content: {
          a: without(minutes(0, 80, 0), 70, 80),
          // From minute 35 on, the values differ from the first sync.
          b: new Map([...minutes(0, 34, 1000), ...minutes(35, 80, 3000)]),
          late: minutes(26, 40, 2000)
        },
        now: 81,
        last: 80
      },
      {
        content: {
          a: minutes(0, 120, 0),
          b: new Map([...minutes(0, 34, 1000), ...minutes(35, 120, 3000)]),
          late: minutes(26, 40, 2000)
        },
        now: 121,
        last: 120
      }
    ]
  },
  {
    what: "samples arrive later than the look-back window",
    hideFuture: false,
    lookback: 5,
    isWhole: false,
    syncs: [
      { content: { a: without(minutes(0, 40, 0), 30, 39) }, now: 41, last: 40 },
      { content: { a: minutes(0, 80, 0) }, now: 81, last: 80 },
      { content: { a: minutes(0, 120, 0) }, now: 121, last: 120 }
    ]
  }
]

/** The catalog of a sync, numbered from 1, with generations as the platform assigns them. */
const connectionOf = (streams: ReadonlyArray<connector.Stream>, sync: number): Connection => ({
  streams: modes.map(({ destination, name, sync: mode }) => ({
    stream: streams.find((stream) => stream.name === name)!,
    sync_mode: mode,
    destination_sync_mode: destination,
    cursor_field: ["time"],
    primary_key: [["series_id"], ["time"]],
    generation_id: mode === "full_refresh" ? sync : 1,
    minimum_generation_id: destination === "overwrite" ? sync : 0,
    sync_id: sync
  }))
})

/** The expected table of each mode after the given syncs. */
const expectedTables = (lookback: number, syncs: ReadonlyArray<Sync>) => {
  const refreshes = syncs.map(({ content, last }) => samplesBetween(content, 0, last))
  const increments = syncs.map(({ content, last }, i) =>
    samplesBetween(content, i === 0 ? 0 : syncs[i - 1]!.last - lookback + 1, last)
  )
  return {
    full_refresh_overwrite: refreshes.at(-1)!,
    full_refresh_append: refreshes.flat(),
    incremental_append: increments.flat(),
    incremental_append_dedup: [...new Map(increments.flat())]
  }
}

const text = ([key, value]: readonly [string, number]): string => `${key} ${value}`

const tableOf = (destination: Destination, name: string): ReadonlyArray<string> =>
  destination.rows(name).map(({ data }) => text([`${data.n} ${data.time}`, data.value as number]))

describe("the four sync modes, over three syncs", () => {
  for (const { hideFuture, isWhole, lookback, syncs, what } of stories) {
    // The test clock is the server's time, which stands still until it is set.
    it.effect(`match the server's samples in the tables while ${what}`, () =>
      Effect.gen(function* () {
        const { config, mock } = yield* serve([], 1, { hideFuture })
        const files = yield* connector.workspace
        const destination = new Destination()
        // Series appear and disappear, but all have the same labels.
        mock.database = makeDatabase(seriesOf(syncs[0]!.content))
        yield* TestClock.setTime(start + syncs[0]!.now * minute)
        const streams = yield* connector.discover(files, { ...config, end_date: syncs[0]!.endDate })
        for (const [index, { content, endDate, now }] of syncs.entries()) {
          yield* TestClock.setTime(start + now * minute)
          mock.database = makeDatabase(seriesOf(content))
          const settings = { ...config, end_date: endDate, lookback_window: lookback * 60 }
          const connection = connectionOf(streams, index + 1)
          const output = yield* rules.read(files, settings, connection, destination.states)
          assert.strictEqual(output.code, 0)
          destination.load(output.stdout, connection)
          const expected = expectedTables(lookback, syncs.slice(0, index + 1))
          for (const { name } of modes) {
            assertSameRows(tableOf(destination, name), expected[name].map(text), `${name}, sync ${index + 1}`)
          }
        }
        const { content, last } = syncs.at(-1)!
        const expected = samplesBetween(content, 0, last).map(text)
        assertSameRows(tableOf(destination, "full_refresh_overwrite"), expected, "a refresh is the server's")
        if (isWhole) {
          assertSameRows(
            tableOf(destination, "incremental_append_dedup"),
            expected,
            "the history is the server's"
          )
        }
      })
    )
  }

  it.live("resume from each other's states without loss, so that a stream's mode may be changed", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 300, 3), 300, { maxSamples: 200 })
      const files = yield* connector.workspace
      const streams = yield* connector.discover(files, config)
      const read = (mode: "full_refresh" | "incremental", states?: unknown) =>
        rules.read(files, config, connector.configure(streams, mode), states)
      const refresh = yield* read("full_refresh")
      const increment = yield* read("incremental")
      for (const [mode, state] of [
        ["incremental", refresh.states.at(-1)!],
        ["incremental", refresh.states[0]!],
        ["full_refresh", increment.states.at(-1)!],
        ["full_refresh", increment.states[0]!]
      ] as const) {
        const output = yield* read(mode, stateFile([state]))
        assert.strictEqual(connector.byKey(output.records).size, 900, JSON.stringify([mode, state]))
      }
    })
  )
})

describe("a full refresh", () => {
  type Generation = number | null | undefined

  const refresh = (streams: ReadonlyArray<connector.Stream>, generation: Generation): Connection => ({
    streams: connector.configure(streams, "full_refresh").streams.map((stream) => ({
      ...stream,
      sync_mode: "full_refresh",
      destination_sync_mode: "overwrite",
      generation_id: generation,
      minimum_generation_id: generation,
      sync_id: generation
    }))
  })

  const complete = { __ab_full_refresh_sync_complete: true }

  /** The records of each stream in a read, as text. */
  const recordsOf = (output: connector.Output): ReadonlyMap<string, ReadonlyArray<string>> => {
    const records = new Map<string, Array<string>>([
      ["m", []],
      ["n", []]
    ])
    for (const line of linesOf(output.stdout)) {
      if (line.type === "RECORD") records.get(line.stream)!.push(line.row.text)
    }
    return records
  }

  const destinationOf = (output: connector.Output, connection: Connection): Destination => {
    const destination = new Destination()
    destination.load(output.stdout, connection)
    return destination
  }

  const cases: ReadonlyArray<{ saved: Generation; next: Generation; resumes: boolean }> = [
    { saved: 7, next: 7, resumes: true },
    { saved: 0, next: 0, resumes: true },
    { saved: null, next: undefined, resumes: true },
    { saved: undefined, next: undefined, resumes: true },
    { saved: 7, next: 8, resumes: false },
    { saved: 7, next: null, resumes: false },
    { saved: undefined, next: 7, resumes: false }
  ]

  it.live("resumes in the same generation after a kill, and restarts in another one or when complete", () =>
    Effect.gen(function* () {
      let isStuck = false
      // A window has 40 minutes of `m` and 120 of `n`. While stuck, windows that begin after minute 200 get no response.
      const { config } = yield* serve([...gauge("m", 400, 3), ...gauge("n", 400, 1)], 400, {
        maxSamples: 120,
        faults: ({ params, path }) =>
          isStuck &&
          path === "/api/v1/query_range" &&
          Number(params.get("start")) * 1000 > start + 200 * minute
            ? { delayMillis: Number.POSITIVE_INFINITY }
            : undefined
      })
      const files = yield* connector.workspace
      const streams = yield* connector.discover(files, config)
      const everything = yield* rules.read(files, config, refresh(streams, 1))
      assert.strictEqual(connector.byKey(everything.records).size, 4 * 400)
      const all = recordsOf(everything)

      for (const { next, resumes, saved } of cases) {
        const what = `generation ${saved}, then ${next}`
        isStuck = true
        const first = refresh(streams, saved)
        const killed = yield* killedAtState(files, config, first, "m", 3)
        rules.checkLines(killed)
        rules.checkRead(killed, first)
        const destination = destinationOf(killed, first)
        const stored = new Map(
          streams.map(({ name }) => [name, destination.rows(name).map(({ text }) => text)] as const)
        )
        assert.isAbove(stored.get("m")!.length, 0)

        isStuck = false
        const second = refresh(streams, next)
        const output = yield* rules.read(files, config, second, destination.states)
        assert.strictEqual(output.code, 0)
        const rest = recordsOf(output)
        for (const { name } of streams) {
          const had = resumes ? stored.get(name)! : []
          assertSameRows([...had, ...rest.get(name)!], all.get(name)!, `${name}: ${what}`)
          const last = output.states.findLast(({ stream }) => stream.stream_descriptor.name === name)
          assert.deepStrictEqual(last?.stream.stream_state, complete, what)
        }
        // The table contains both attempts of the same generation, or only the second one.
        destination.load(output.stdout, second)
        for (const { name } of typeof next === "number" ? streams : []) {
          const rows = destination.rows(name).map(({ text }) => text)
          assertSameRows(rows, all.get(name)!, `the table ${name}: ${what}`)
        }
      }

      const { states } = destinationOf(everything, refresh(streams, 1))
      for (const generation of [undefined, 1]) {
        const again = yield* rules.read(files, config, refresh(streams, generation), states)
        assert.strictEqual(connector.byKey(again.records).size, 4 * 400)
      }
    })
  )
})

it.live("generation and sync IDs may be null or absent in an incremental sync", () =>
  Effect.gen(function* () {
    const { config } = yield* serve(gauge("m", 50, 2), 50)
    const files = yield* connector.workspace
    const streams = yield* connector.discover(files, config)
    for (const number of [undefined, null, 12]) {
      const catalog = {
        streams: connector.configure(streams, "incremental").streams.map((stream) => ({
          ...stream,
          generation_id: number,
          minimum_generation_id: number,
          sync_id: number
        }))
      }
      const output = yield* rules.read(files, config, catalog)
      assert.strictEqual(output.records.length, 100)
      assert.deepStrictEqual(output.states.at(-1)?.stream.stream_state, {
        time: iso(start + 49 * minute),
        step: 60,
        version: 1
      })
    }
  })
)

/** Starts a read and kills it at the n-th STATE of a stream. */
const killedAtState = Effect.fnUntraced(function* (
  files: connector.Workspace,
  config: object,
  catalog: object,
  stream: string,
  n: number
) {
  const args = ["read", "--config", files.write("config.json", config)]
  const running = yield* child.start([...args, "--catalog", files.write("catalog.json", catalog)])
  let states = 0
  yield* running.waitFor((message) => {
    if (message.type !== "STATE") return false
    const { stream_descriptor } = (message.state as connector.StateOfStream).stream
    if (stream_descriptor.name === stream) states++
    return states === n
  })
  running.kill("SIGKILL")
  const result = yield* running.result
  assert.strictEqual(result.signal, "SIGKILL")
  return outputOfKilled(result)
})
