/** Reads of real servers whose blocks are damaged: everything but the samples that they hold. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import * as damagedPrometheus from "../support/damagedPrometheus.ts"
import { iso, minute, start } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"

/** One sample a minute for six hours. The values of the hosts are a million apart, so that chunks can be distinguished. */
const series = ["a", "b"].map((host, n) => ({
  labels: { __name__: "m", host },
  samples: Array.from({ length: 360 }, (_, i) => [start + i * minute, n * 1e6 + i] as const)
}))

const read = Effect.fnUntraced(function* (
  server: RealServer,
  more: object = {},
  states: ReadonlyArray<connector.StateOfStream> = []
) {
  const files = yield* connector.workspace
  const config = {
    base_url: server.baseUrl,
    start_date: iso(start),
    end_date: iso(start + 359 * minute),
    step: 60,
    max_retries: 1,
    ...more
  }
  return yield* connector.read(files, config, connector.catalogOf("m"), states)
})

/** The minutes of a host that are missing among the records. Fails if any record is wrong or comes twice. */
const missing = (output: connector.Output, host: string): ReadonlyArray<number> => {
  connector.byKey(output.records)
  const read = new Set<number>()
  for (const { data, valueText } of output.records) {
    if (data.host !== host) continue
    const at = (Date.parse(data.time as string) - start) / minute
    assert.strictEqual(Number(valueText), at + (host === "a" ? 0 : 1e6))
    read.add(at)
  }
  return Array.from({ length: 360 }, (_, i) => i).filter((i) => !read.has(i))
}

const minutes = (from: number, to: number): Array<number> =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

const lastState = (output: connector.Output) => output.states.at(-1)?.stream.stream_state.time

describe.each([2, 3] as const)("a damaged Prometheus %i is read", (release) => {
  /** The chunks of one series in one block have the samples 0 to 116, 117 to 233, 234 to 350 and 351 to 359. */
  for (const [name, first, last] of [
    ["first", 0, 116],
    ["second", 117, 233],
    ["last", 351, 359]
  ] as const) {
    it.effect(`but for the samples of its ${name} chunk`, () =>
      Effect.gen(function* () {
        const server = yield* damagedPrometheus.make(
          { release, series },
          { chunks: ({ firstValue }) => firstValue === 1e6 + first }
        )
        const output = yield* read(server)
        assert.deepStrictEqual([missing(output, "a"), missing(output, "b")], [[], minutes(first, last)])
        assert.strictEqual(output.code, 1)
        const error = output.errors.at(-1)?.message ?? ""
        assert.match(error, /cannot populate chunk \d+ from block .*checksum mismatch/)
        assert.include(error, `from ${iso(start + first * minute)} to ${iso(start + last * minute)}`)
        assert.match(error, /damaged_data/)
        const time = lastState(output)
        if (first === 0) assert.isUndefined(time)
        else assert.isTrue(Date.parse(time as string) < start + first * minute, `${time}`)

        const skipped = yield* read(server, { damaged_data: "skip" })
        assert.deepStrictEqual([missing(skipped, "a"), missing(skipped, "b")], [[], minutes(first, last)])
        assert.deepStrictEqual([skipped.code, skipped.errors], [0, []])
        assert.strictEqual(lastState(skipped), iso(start + 359 * minute))
        assert.isTrue(skipped.logs.some((text) => text.includes(`from ${iso(start + first * minute)} to`)))
      })
    )
  }

  it.effect("but for the samples of two chunks, each of another series", () =>
    Effect.gen(function* () {
      const server = yield* damagedPrometheus.make(
        { release, series },
        { chunks: ({ firstValue }) => firstValue === 117 || firstValue === 1e6 + 234 }
      )
      const output = yield* read(server)
      assert.deepStrictEqual(
        [missing(output, "a"), missing(output, "b")],
        [minutes(117, 233), minutes(234, 350)]
      )
      assert.strictEqual(output.code, 1)
    })
  )

  it.effect("but for the samples of a block with a damaged index", () =>
    Effect.gen(function* () {
      const server = yield* damagedPrometheus.make({ release, series, blockHours: 2 }, { series: [1] })
      const output = yield* read(server)
      // The index of the block is needed for all points whose look-back touches it.
      assert.deepStrictEqual(
        [missing(output, "a"), missing(output, "b")],
        [minutes(120, 239), minutes(120, 239)]
      )
      assert.strictEqual(output.code, 1)
    })
  )
})

describe("a damaged Prometheus 3", () => {
  it.effect.each([
    [0, 0, 119],
    [1, 120, 239],
    [2, 240, 359]
  ] as const)("is read but for the samples of its block %i", ([block, first, last]) =>
    Effect.gen(function* () {
      const server = yield* damagedPrometheus.make({ release: 3, series, blockHours: 2 }, { blocks: [block] })
      const output = yield* read(server)
      assert.deepStrictEqual(
        [missing(output, "a"), missing(output, "b")],
        [minutes(first, last), minutes(first, last)]
      )
      assert.strictEqual(output.code, 1)
    })
  )
})
