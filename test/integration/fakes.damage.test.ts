/** Servers whose own data is damaged in places: every record but those that cannot be read, and a word that says where. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import {
  assertFails,
  assertRecords,
  end,
  expectedFrom,
  hour,
  iso,
  metrics,
  minute,
  RECORDS,
  read,
  Source,
  said,
  start,
  stateOf
} from "../support/fakes/basic.ts"
import { fake } from "../support/fakes/fake.ts"
import { type Damage, damaged } from "../support/fakes/faults.ts"

/** The records that can be read: a point cannot if a damaged sample may be its value. */
const readable = (
  expected: ReadonlyMap<string, string>,
  ...places: ReadonlyArray<Damage>
): ReadonlyMap<string, string> =>
  new Map(
    [...expected].filter(([key]) => {
      const [pairs, time] = JSON.parse(key) as [ReadonlyArray<readonly [string, string]>, number]
      const series = Object.fromEntries(pairs)
      return !places.some(
        ({ from, labels = {}, to }) =>
          time >= from &&
          time <= to + 5 * minute &&
          Object.entries(labels).every(([name, value]) => series[name] === value)
      )
    })
  )

const chunk = (fromMinute: number, toMinute: number, more: Omit<Damage, "from" | "to"> = {}): Damage => ({
  from: start + fromMinute * minute,
  to: start + toMinute * minute,
  ...more
})

const total = { __name__: "basic_total", instance: "b" }

/** Where data may be damaged, and before which minute the first hole is. */
const places: ReadonlyArray<readonly [string, ReadonlyArray<Damage>]> = [
  ["one chunk of one series", [chunk(40, 69.75, { labels: total })]],
  ["a chunk at the beginning", [chunk(0, 29.75, { labels: total })]],
  ["a chunk at the end", [chunk(110, 120, { labels: total })]],
  ["one sample", [chunk(60, 60, { labels: total })]],
  ["two chunks of one series", [chunk(20, 24, { labels: total }), chunk(80, 90, { labels: total })]],
  [
    "a chunk of two series at different times",
    [chunk(10, 20, { labels: total }), chunk(60, 70, { labels: { ...total, instance: "c" } })]
  ],
  ["a block of all series of a metric", [chunk(30, 50, { labels: { __name__: "basic_total" } })]],
  ["a series from its beginning to its end", [chunk(0, 120, { labels: total })]]
]

const texts: ReadonlyArray<readonly [number, string]> = [
  [
    422,
    "expanding series: cannot populate chunk 8 from block 01KBZ3V8Y3X6H9QG0ZD8C2M5R7: checksum mismatch expected:8ae0bf4d, actual:3e1c2f9a"
  ],
  [500, "cannot populate chunk 8 from block 01KBZ3V8Y3X6H9QG0ZD8C2M5R7: segment index 0 out of range"],
  [
    422,
    'expanding series: cannot populate chunk 8 from block 01KBZ3V8Y3X6H9QG0ZD8C2M5R7: invalid chunk encoding "<unknown>"'
  ],
  [
    500,
    "expanding series: fetch series for block 01KBZ3V8Y3X6H9QG0ZD8C2M5R7: preload chunks: read chunk: unexpected EOF"
  ]
]

describe("a server with damaged data", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const [index, [name, damages]] of places.entries()) {
      const [status, error] = texts[index % texts.length]!
      const all = damages.map((damage) => ({ ...damage, error, status }))

      it.effect(`costs what cannot be read and nothing else, and the stream ends as failed: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, damaged(...all))
          const output = yield* read(baseUrl)
          const expected = yield* expectedFrom(server)
          const left = readable(expected, ...all)
          assert.isBelow(left.size, expected.size)
          assertRecords(output, left)
          assertFails(output, /1 of 3 streams failed: basic_total\./, /damaged/, /01KBZ3V8Y3X6H9QG0ZD8C2M5R7/)
          // The next sync reads the first hole again, and all after it.
          const firstHole = Math.min(...all.map(({ from }) => from))
          const state = stateOf(output, "basic_total")
          if (state !== undefined) assert.isBelow(state, firstHole)
          for (const metric of ["basic_bytes", "basic_ratio"])
            assert.strictEqual(stateOf(output, metric), end)
        })
      )

      it.effect(`is read past if damaged_data says so, with a warning that says where: ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(server.baseUrl, damaged(...all))
          const output = yield* read(baseUrl, { config: { damaged_data: "skip" } })
          assertRecords(output, readable(yield* expectedFrom(server), ...all))
          assert.deepStrictEqual([output.code, output.errors], [0, []], said(output))
          for (const metric of metrics) assert.strictEqual(stateOf(output, metric), end)
          const warning = output.logs.find((line) => line.startsWith("WARN") && line.includes("basic_total"))
          assert.match(warning ?? "", /damaged/, said(output))
        })
      )
    }

    it.effect("says where the damage is, from and to", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* Source).baseUrl, damaged(chunk(40, 69.75, { labels: total })))
        const output = yield* read(baseUrl)
        assertFails(
          output,
          new RegExp(iso(start + 40 * minute).slice(0, 16)),
          new RegExp(iso(start + 74 * minute).slice(0, 16)),
          /damaged_data/
        )
      })
    )

    it.effect("that is repaired is read completely by the next sync", () =>
      Effect.gen(function* () {
        const server = yield* Source
        let isRepaired = false
        const damage = damaged(chunk(40, 69.75, { labels: total }))
        const { baseUrl } = yield* fake(server.baseUrl, (ask, next) =>
          isRepaired ? next(ask) : damage(ask, next)
        )
        const first = yield* read(baseUrl)
        assert.strictEqual(first.code, 1)
        isRepaired = true
        const last = [
          ...new Map(first.states.map((state) => [state.stream.stream_descriptor.name, state])).values()
        ]
        const second = yield* read(baseUrl, { state: last })
        assert.deepStrictEqual([second.code, second.errors], [0, []], said(second))
        // Append and deduped: a point that is read again replaces its row.
        const rows = new Map([...connector.byKey(first.records), ...connector.byKey(second.records)])
        assert.deepStrictEqual(rows, new Map(yield* expectedFrom(server)))
      })
    )

    it.effect("in a block of all metrics fails each stream, and the records around it are there", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const place = chunk(50, 60)
        const { baseUrl } = yield* fake(server.baseUrl, damaged(place))
        const output = yield* read(baseUrl)
        assertRecords(output, readable(yield* expectedFrom(server), place))
        assertFails(output, /3 of 3 streams failed/, /damaged/)
        assert.strictEqual(output.records.length, 3 * (RECORDS - 3 * 16))
      })
    )

    it.effect("costs few requests: it is found by halving", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl, requestsOf } = yield* fake(server.baseUrl, damaged(chunk(60, 60, { labels: total })))
        yield* read(baseUrl, { names: ["basic_total"] })
        assert.isBelow(requestsOf(/query_range/).length, 150)
      })
    )

    for (const [stepSeconds, from, to] of [
      [15, start + 0.5 * hour, start + 0.75 * hour],
      [900, start, end]
    ] as const) {
      it.effect(`is read around at a step of ${stepSeconds} s`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const place = chunk(35, 38, { labels: total })
          const { baseUrl } = yield* fake(server.baseUrl, damaged(place))
          const output = yield* read(baseUrl, {
            config: { step: stepSeconds, start_date: iso(from), end_date: iso(to) }
          })
          const expected = yield* expectedFrom(server, { from, to, stepSeconds })
          const left = readable(expected, place)
          assertRecords(output, left)
          if (left.size < expected.size) assertFails(output, /damaged/)
          else assert.strictEqual(output.code, 0, said(output))
        })
      )
    }
  })
})
