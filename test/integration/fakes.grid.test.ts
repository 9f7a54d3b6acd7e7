/** Samples that no point of the grid has, and metrics that ended just before the range. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import {
  assertWhole,
  day,
  discover,
  every,
  expectedFrom,
  hour,
  iso,
  minute,
  read,
  rowsOf,
  run,
  said,
  start
} from "../support/fakes/basic.ts"
import { fake } from "../support/fakes/fake.ts"
import type { SeriesInput } from "../support/openMetrics.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"

const one = (name: string, samples: SeriesInput["samples"], labels = {}): SeriesInput => ({
  labels: { __name__: name, ...labels },
  samples
})

/** Three days. */
const to = start + 3 * day

/** Metrics whose samples are at other times than the points at step 3600, and one that has points. */
const offGrid: ReadonlyArray<SeriesInput> = [
  one("at_ten_past", every(hour, start + 10 * minute, to)),
  one("at_half_past", every(hour, start + 30 * minute, to), { zone: "a" }),
  // Pods of twenty minutes.
  ...Array.from({ length: 12 }, (_, n) =>
    one("pods", every(minute, start + n * 6 * hour + 15 * minute, start + n * 6 * hour + 35 * minute), {
      pod: `pod-${n}`
    })
  ),
  one("usual", every(15_000, start, start + 6 * hour))
]

class OffGrid extends Context.Service<OffGrid, RealPrometheus.RealPrometheus>()("test/fakes/OffGrid") {
  static readonly layer = Layer.effect(OffGrid, RealPrometheus.make({ series: offGrid }))
}

const warningOf = (logs: ReadonlyArray<string>, metric: string): string =>
  logs.find((line) => line.startsWith("WARN") && line.includes(metric)) ?? ""

describe("metrics without a sample at any point of the grid", { concurrent: true }, () => {
  layer(OffGrid.layer, { timeout: 120_000 })((it) => {
    const config = { step: 3600, end_date: iso(to) }

    for (const metric of ["at_ten_past", "at_half_past", "pods"]) {
      it.effect(`are named by a read, with a step that shows them: ${metric}`, () =>
        Effect.gen(function* () {
          const server = yield* OffGrid
          const { baseUrl } = yield* fake(server.baseUrl)
          const output = yield* read(baseUrl, { names: [metric, "usual"], config })
          const expected = yield* expectedFrom(server, { metrics: [metric, "usual"], stepSeconds: 3600, to })
          assert.isTrue([...expected.keys()].every((key) => key.includes('"usual"')))
          assertWhole(output, expected)
          const warning = warningOf(output.logs, metric)
          assert.match(warning, /step/, said(output))
          // The step that it names shows samples.
          const step = Number(/step[^0-9]*(\d+)/.exec(warning)?.[1])
          assert.isAbove(step, 0, warning)
          const shown = yield* read(baseUrl, { names: [metric], config: { ...config, step } })
          assert.isAbove(shown.records.length, 0, warning)
          assert.strictEqual(warningOf(shown.logs, metric), "")
        })
      )
    }

    it.effect("are named by run", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* OffGrid).baseUrl)
        const { code, stderr, summary } = yield* run(baseUrl, config)
        assert.strictEqual(code, 0, stderr)
        assert.strictEqual(rowsOf(summary).usual, 7)
        for (const metric of ["at_ten_past", "at_half_past", "pods"]) {
          assert.match(stderr, new RegExp(`${metric}.*step|step.*${metric}`), metric)
        }
      })
    )

    it.effect("do not make a word if they have points at this step", () =>
      Effect.gen(function* () {
        const server = yield* OffGrid
        const { baseUrl } = yield* fake(server.baseUrl)
        const names = ["at_ten_past", "at_half_past", "pods", "usual"]
        const output = yield* read(baseUrl, { names, config: { ...config, step: 600 } })
        assertWhole(output, yield* expectedFrom(server, { metrics: names, stepSeconds: 600, to }))
        assert.deepStrictEqual(
          output.logs.filter((line) => line.startsWith("WARN")),
          []
        )
      })
    )

    it.effect("that are gone are warned of by name", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* OffGrid).baseUrl)
        const output = yield* read(baseUrl, { names: ["usual", "gone_away"], config })
        assert.strictEqual(output.code, 0, said(output))
        assert.notStrictEqual(warningOf(output.logs, "gone_away"), "", said(output))
      })
    )
  })
})

describe("a metric that ended just before start_date", () => {
  for (const lookback of ["5m", "15m", "1h"]) {
    it.effect(`is discovered and read as far as the server looks back: ${lookback}`, () =>
      Effect.gen(function* () {
        const last = start - 4 * minute
        const server = yield* RealPrometheus.make({
          series: [
            one("ended", every(minute, start - day, last)),
            one("usual", every(minute, start, start + hour))
          ],
          blockHours: 2,
          flags: [`--query.lookback-delta=${lookback}`]
        })
        const config = { end_date: iso(start + hour) }
        const found = yield* discover(server.baseUrl, config)
        assert.deepStrictEqual(found.names, ["ended", "usual"])
        const output = yield* read(server.baseUrl, { names: ["ended", "usual"], config })
        assertWhole(output, yield* expectedFrom(server, { metrics: ["ended", "usual"], to: start + hour }))
        assert.isTrue(output.records.some(({ stream }) => stream === "ended"))
      })
    )
  }

  it.effect("by more than five minutes is discovered on a server that looks back further", () =>
    Effect.gen(function* () {
      const server = yield* RealPrometheus.make({
        series: [
          one("ended", every(minute, start - day, start - 50 * minute)),
          one("usual", every(minute, start, start + hour))
        ],
        blockHours: 2,
        flags: ["--query.lookback-delta=1h"]
      })
      const config = { end_date: iso(start + hour), start_date: iso(start) }
      const found = yield* discover(server.baseUrl, config)
      assert.deepStrictEqual(found.names, ["ended", "usual"])
    })
  )
})
