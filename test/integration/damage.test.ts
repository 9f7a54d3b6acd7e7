/** Real servers whose blocks are damaged: what they refuse, and what they still return. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as damagedPrometheus from "../support/damagedPrometheus.ts"
import { minute, start } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import { describeEach, prometheusServers } from "../support/servers.ts"

/** One sample a minute for six hours. The values of the hosts are a million apart, so that chunks can be distinguished. */
const series = ["a", "b"].map((host, n) => ({
  labels: { __name__: "m", host },
  samples: Array.from({ length: 360 }, (_, i) => [start + i * minute, n * 1e6 + i] as const)
}))

/** The points of a range that the server returns, as minutes; or its refusal. */
const pointsOf = Effect.fnUntraced(function* (server: RealServer, query: string, from: number, to: number) {
  const { status, text } = yield* server.request("/api/v1/query_range", {
    params: { query, start: `${start / 1000 + from * 60}`, end: `${start / 1000 + to * 60}`, step: "60" }
  })
  const { data, error, errorType } = JSON.parse(text) as {
    readonly data?: { readonly result: ReadonlyArray<{ readonly values: ReadonlyArray<[number, string]> }> }
    readonly error?: string
    readonly errorType?: string
  }
  return status === 200
    ? data!.result.map(({ values }) => values.map(([time]) => (time - start / 1000) / 60))
    : { status, errorType, error: error! }
})

const minutes = (from: number, to: number): Array<number> =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

describeEach(prometheusServers, "a damaged $name", ({ release }) => {
  it.effect("refuses ranges that touch a damaged chunk, and returns everything else", () =>
    Effect.gen(function* () {
      const server = yield* damagedPrometheus.make(
        { release, series },
        { chunks: ({ firstValue, samples }) => firstValue > 1e6 && firstValue + samples <= 1e6 + 240 }
      )
      const refused = { status: 422, errorType: "execution" }
      for (const [query, from, to] of [
        ["m", 0, 359],
        [`m{host="b"}`, 100, 117],
        [`m{host="b"}`, 117, 117],
        // The damaged chunk ends at minute 233. A later point looks back into it.
        [`m{host="b"}`, 237, 237]
      ] as const) {
        const response = yield* pointsOf(server, query, from, to)
        assert.deepInclude(response, refused, `${query} ${from} ${to}`)
        assert.match(
          (response as { error: string }).error,
          /^cannot populate chunk \d+ from block 0+: checksum mismatch expected:\w+, actual:\w+$/
        )
      }
      assert.deepStrictEqual(yield* pointsOf(server, `m{host="a"}`, 0, 359), [minutes(0, 359)])
      assert.deepStrictEqual(yield* pointsOf(server, `m{host="b"}`, 0, 116), [minutes(0, 116)])
      assert.deepStrictEqual(yield* pointsOf(server, `m{host="b"}`, 239, 359), [minutes(239, 359)])
    })
  )

  it.effect(
    "has blocks without readable chunks, which version 2 leaves out of longer ranges in silence",
    () =>
      Effect.gen(function* () {
        const server = yield* damagedPrometheus.make({ release, series, blockHours: 2 }, { blocks: [1] })
        const whole = yield* pointsOf(server, "m", 0, 359)
        if (release === 2) {
          // The last sample before the block is repeated for the length of the look-back.
          const hole = [...minutes(0, 124), ...minutes(240, 359)]
          assert.deepStrictEqual(whole, [hole, hole])
        } else assert.deepInclude(whole, { status: 422, errorType: "execution" })
        assert.deepInclude(yield* pointsOf(server, "m", 120, 239), { status: 422, errorType: "execution" })
        assert.deepStrictEqual(yield* pointsOf(server, "m", 0, 119), [minutes(0, 119), minutes(0, 119)])
        assert.deepStrictEqual(yield* pointsOf(server, "m", 245, 359), [minutes(245, 359), minutes(245, 359)])
      })
  )

  it.effect("refuses ranges that touch a block whose index is damaged, and the labels in it", () =>
    Effect.gen(function* () {
      const server = yield* damagedPrometheus.make({ release, series, blockHours: 2 }, { series: [1] })
      for (const [from, to] of [
        [0, 359],
        [120, 120],
        [243, 243]
      ] as const) {
        const response = yield* pointsOf(server, "m", from, to)
        assert.deepInclude(response, { status: 422, errorType: "execution" })
        assert.match((response as { error: string }).error, /^expanding series: get series \d+: block: \w+: /)
      }
      assert.deepStrictEqual(yield* pointsOf(server, "m", 0, 119), [minutes(0, 119), minutes(0, 119)])
      assert.deepStrictEqual(yield* pointsOf(server, "m", 245, 359), [minutes(245, 359), minutes(245, 359)])
      const labels = yield* server.request("/api/v1/labels", { params: { "match[]": "m" } })
      assert.strictEqual(labels.status, 422)
      const names = yield* server.get("/api/v1/label/__name__/values")
      assert.deepStrictEqual(names, { status: "success", data: ["m"] })
    })
  )
})
