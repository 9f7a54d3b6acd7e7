import { isDeepStrictEqual } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { PrometheusError } from "../../src/prometheus/PrometheusError.ts"
import type { Labels, SampleBlock } from "../../src/samples/Sample.ts"
import { DecodedSeries } from "../../src/samples/Series.ts"
import { type GridRange, halve, pointCount } from "../../src/sync/TimeGrid.ts"
import { WindowLedger } from "../../src/sync/WindowLedger.ts"
import { type Choices, choices } from "../choices.ts"
import { plainSamples } from "../prometheus/query/referenceDecoder.ts"
import { runs } from "../support/runs.ts"

const window: GridRange = { firstMillis: 600_000, lastMillis: 1_200_000, stepMillis: 60_000 }

const gridOf = (range: GridRange): GridRange => range

/** Any time after the point before the first one. */
const rawOf = ({ firstMillis, lastMillis, stepMillis }: GridRange): GridRange => ({
  firstMillis: firstMillis - stepMillis + 1,
  lastMillis,
  stepMillis: 1
})

/** The labels of a series. Each response has a new object for each series, as from the decoder. */
const seriesOf = (name: string): DecodedSeries => {
  const series = new DecodedSeries()
  series.labels = [["__name__", name]]
  return series
}

type Kind = SampleBlock["_tag"]

const kinds: ReadonlyArray<Kind> = ["TextBlock", "NumberBlock", "HistogramBlock"]

/** A block whose values encode series and time, so that a wrong value is detected. */
const block = (
  series: DecodedSeries,
  seconds: ReadonlyArray<number>,
  kind: Kind = "TextBlock"
): SampleBlock => {
  const times = Float64Array.from(seconds, (second) => Math.round(second * 1000))
  const common = { series, length: times.length, times }
  if (kind === "HistogramBlock") {
    return {
      ...common,
      _tag: kind,
      histograms: seconds.map((second) => ({ count: String(second), sum: "0", buckets: [] }))
    }
  }
  if (kind === "NumberBlock") return { ...common, _tag: kind, values: Float64Array.from(seconds) }
  const texts = seconds.map(String)
  const starts: Array<number> = []
  const ends: Array<number> = []
  let text = "["
  for (const value of texts) {
    starts.push(text.length)
    text += value
    ends.push(text.length)
    text += "],["
  }
  return {
    ...common,
    _tag: kind,
    bytes: Buffer.from(text),
    starts: Uint32Array.from(starts),
    ends: Uint32Array.from(ends)
  }
}

/** Accepts a block. Returns the emitted samples or the error. */
const accept = (ledger: WindowLedger, block: SampleBlock): ReadonlyArray<string> | string => {
  const result = ledger.accept(block)
  if (result === undefined) return []
  if (result instanceof PrometheusError) {
    assert.strictEqual(result.reason, "UnexpectedSample")
    return result.summary
  }
  return describeSamples([result])
}

const nameOf = (labels: Labels): string => labels[0]![1]

/** Samples as texts: series, kind, time and value. */
const describeSamples = (blocks: ReadonlyArray<SampleBlock>): ReadonlyArray<string> =>
  plainSamples(blocks).map(({ labels, time, value }) =>
    typeof value === "string"
      ? `${nameOf(labels)} ${time / 1000} ${value}`
      : `${nameOf(labels)} ${time / 1000} histogram ${value.count}`
  )

describe("WindowLedger", () => {
  it("emits new blocks unchanged", () => {
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    const a = block(seriesOf("a"), [600, 660, 1200])
    const b = block(seriesOf("b"), [600])
    assert.strictEqual(ledger.accept(a), a)
    assert.strictEqual(ledger.accept(b), b)
    assert.strictEqual(ledger.samples, 4)
  })

  it("refuses series of another metric, or of none", () => {
    const ledger = new WindowLedger(window, new Set(["a"]))
    ledger.begin(window)
    assert.notInstanceOf(ledger.accept(block(seriesOf("a"), [600])), PrometheusError)
    const nameless = new DecodedSeries()
    nameless.labels = [["job", "a"]]
    for (const series of [seriesOf("b"), nameless]) {
      const error = ledger.accept(block(series, [600]))
      assert.instanceOf(error, PrometheusError)
      assert.match(String(error?.message), /which is not of the requested metric/)
    }
  })

  it("counts the samples of each metric, if there are several", () => {
    for (const [metrics, counts] of [
      [["a"], []],
      [
        ["a", "b"],
        [
          ["a", 2],
          ["b", 1]
        ]
      ]
    ] as const) {
      const ledger = new WindowLedger(window, new Set(metrics))
      ledger.begin(window)
      ledger.accept(block(seriesOf("a"), [600, 660]))
      if (metrics.length > 1) ledger.accept(block(seriesOf("b"), [600]))
      assert.deepStrictEqual<unknown>([...ledger.samplesByMetric], counts)
    }
  })

  it("accepts a series in several blocks", () => {
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    const a = seriesOf("a")
    for (const times of [[600], [660, 720], [900, 1200]]) {
      const part = block(a, times)
      assert.strictEqual(ledger.accept(part), part)
    }
  })

  it("skips samples that an earlier attempt emitted", () => {
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    ledger.accept(block(seriesOf("a"), [600, 660]))
    ledger.begin(window)
    assert.strictEqual(ledger.samples, 0)
    assert.deepStrictEqual(accept(ledger, block(seriesOf("a"), [600, 660, 720, 780])), [
      "a 720 720",
      "a 780 780"
    ])
    assert.deepStrictEqual(accept(ledger, block(seriesOf("b"), [600])), ["b 600 600"])
    assert.strictEqual(ledger.samples, 5)
    ledger.begin(window)
    assert.isUndefined(ledger.accept(block(seriesOf("a"), [600, 660, 720, 780])))
    assert.deepStrictEqual(accept(ledger, block(seriesOf("a"), [840])), ["a 840 840"])
    assert.isUndefined(ledger.accept(block(seriesOf("b"), [600])))
  })

  it("accepts smaller blocks in the next attempt", () => {
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    ledger.accept(block(seriesOf("a"), [600, 660, 720]))
    ledger.begin(window)
    const again = seriesOf("a")
    assert.deepStrictEqual(accept(ledger, block(again, [600])), [])
    assert.deepStrictEqual(accept(ledger, block(again, [660])), [])
    assert.deepStrictEqual(accept(ledger, block(again, [720, 780])), ["a 780 780"])
  })

  it("remembers the latest time of all attempts", () => {
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    ledger.accept(block(seriesOf("a"), [600, 660, 720, 780]))
    ledger.begin(window)
    ledger.accept(block(seriesOf("a"), [600]))
    ledger.begin(window)
    assert.deepStrictEqual(accept(ledger, block(seriesOf("a"), [600, 660, 720, 780, 840])), ["a 840 840"])
  })

  it("distinguishes floats and histograms of one series", () => {
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    const a = seriesOf("a")
    ledger.accept(block(a, [600, 660]))
    assert.deepStrictEqual(accept(ledger, block(a, [600, 720], "HistogramBlock")), [
      "a 600 histogram 600",
      "a 720 histogram 720"
    ])
    ledger.begin(window)
    assert.deepStrictEqual(accept(ledger, block(seriesOf("a"), [600, 660, 720])), ["a 720 720"])
    assert.deepStrictEqual(accept(ledger, block(seriesOf("a"), [600, 720, 780], "HistogramBlock")), [
      "a 780 histogram 780"
    ])
  })

  it("continues in the parts of a window that was split", () => {
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    ledger.accept(block(seriesOf("a"), [600, 660, 720, 780, 840, 900, 960, 1020]))
    const [earlier, later] = halve(window)
    ledger.begin(earlier)
    assert.deepStrictEqual(accept(ledger, block(seriesOf("a"), [600, 900])), [])
    assert.deepStrictEqual(accept(ledger, block(seriesOf("b"), [600, 900])), ["b 600 600", "b 900 900"])
    assert.match(String(accept(ledger, block(seriesOf("c"), [960]))), /not a requested point/)
    ledger.begin(later)
    assert.deepStrictEqual(accept(ledger, block(seriesOf("a"), [960, 1020, 1080])), ["a 1080 1080"])
    assert.deepStrictEqual(accept(ledger, block(seriesOf("b"), [960])), ["b 960 960"])
    assert.match(String(accept(ledger, block(seriesOf("c"), [600]))), /not a requested point/)
  })

  it.each([
    ["before the range", [540]],
    ["after the range", [1260]],
    ["off the grid", [601]],
    ["off the grid by a millisecond", [600.001]],
    ["among others", [600, 660, 690, 720]],
    ["at NaN", [Number.NaN]],
    ["at infinity", [Number.POSITIVE_INFINITY]],
    ["before the epoch", [-60]]
  ])("refuses a sample %s", (_, times) => {
    for (const kind of kinds) {
      const ledger = new WindowLedger(window)
      ledger.begin(window)
      assert.match(
        String(accept(ledger, block(seriesOf("a"), times, kind))),
        /^The server returned a sample of \{__name__="a"\} at .*, which is not a requested point\.$/
      )
    }
  })

  it.each([
    ["twice in a block", [[600, 660, 660]]],
    ["out of order in a block", [[660, 600]]],
    ["twice in two blocks", [[600, 660], [660]]],
    ["out of order in two blocks", [[660], [600]]],
    [
      "again from the start",
      [
        [600, 660],
        [600, 660]
      ]
    ]
  ])("refuses a sample that comes %s", (_, parts) => {
    for (const kind of kinds) {
      const ledger = new WindowLedger(window)
      ledger.begin(window)
      const a = seriesOf("a")
      const results = parts.map((times) => accept(ledger, block(a, times, kind)))
      assert.match(
        String(results.at(-1)),
        /^The server returned a sample of \{__name__="a"\} at 1970-01-01T00:1\d:00\.000Z, which comes twice or out of order\.$/
      )
    }
  })

  it("refuses a repeated series in a response, even if an earlier attempt emitted it", () => {
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    ledger.accept(block(seriesOf("a"), [600, 660]))
    ledger.begin(window)
    ledger.accept(block(seriesOf("a"), [600, 660]))
    assert.match(String(accept(ledger, block(seriesOf("a"), [600, 660]))), /twice or out of order/)
  })

  it("names the labels, truncated", () => {
    const series = new DecodedSeries()
    series.labels = [
      ["__name__", "up"],
      ["quoted", 'a"b'],
      ["long", "x".repeat(1000)]
    ]
    const ledger = new WindowLedger(window)
    ledger.begin(window)
    const summary = String(accept(ledger, block(series, [0])))
    assert.include(summary, '{__name__="up", quoted="a\\"b", long="xxx')
    assert.include(summary, "at 1970-01-01T00:00:00.000Z")
    assert.isBelow(summary.length, 400)
  })

  it("accepts raw times after the start of the range, up to and including its end", () => {
    const ledger = new WindowLedger(rawOf(window))
    const acceptFresh = (seconds: number) => {
      ledger.begin(rawOf(window))
      return accept(ledger, block(seriesOf(`${seconds}`), [seconds]))
    }
    assert.lengthOf(acceptFresh(540.001), 1)
    assert.lengthOf(acceptFresh(777.123), 1)
    assert.lengthOf(acceptFresh(1200), 1)
    for (const seconds of [540, 1200.001, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.match(String(acceptFresh(seconds)), /which is not in the requested range\.$/)
    }
  })

  for (const [what, expect] of [
    ["points of a grid", gridOf],
    ["raw times", rawOf]
  ] as const)
    describe(`of ${what}, simulated,`, () => {
      interface Response {
        readonly name: string
        readonly kind: Kind
        readonly times: ReadonlyArray<number>
      }

      /** In seconds, as for `block`. */
      const gridPoints = ({ firstMillis, stepMillis, ...range }: GridRange): ReadonlyArray<number> =>
        Array.from(
          { length: pointCount({ ...range, firstMillis, stepMillis }) },
          (_, i) => (firstMillis + i * stepMillis) / 1000
        )

      /** The times of a window's samples: at its points, or anywhere up to the point. */
      const timesOf = (choices: Choices, range: GridRange): ReadonlyArray<number> =>
        gridPoints(range).map((point) => (expect === gridOf ? point : point - choices.below(60_000) / 1000))

      const randomResponse = (choices: Choices): ReadonlyArray<Response> =>
        choices
          .list(5, (index) => index)
          .flatMap((index) =>
            (["TextBlock", "HistogramBlock"] as const)
              .filter((kind) => kind === "TextBlock" || choices.oneIn(3))
              .map((kind) => ({
                name: `s${index}`,
                kind,
                times: timesOf(choices, window).filter(() => !choices.oneIn(4))
              }))
          )

      /** The blocks of one response, cut at random. */
      const responseBlocks = (
        choices: Choices,
        response: ReadonlyArray<Response>,
        { firstMillis, lastMillis, stepMillis }: GridRange
      ): ReadonlyArray<SampleBlock> =>
        response.flatMap(({ kind, name, times }) => {
          const series = seriesOf(name)
          const rest = times.filter(
            (time) => time * 1000 > firstMillis - stepMillis && time * 1000 <= lastMillis
          )
          const blocks: Array<SampleBlock> = []
          while (rest.length > 0) {
            // A sample may come as text in one response, and as a number in another.
            const form = kind === "TextBlock" && choices.oneIn(3) ? "NumberBlock" : kind
            blocks.push(block(series, rest.splice(0, choices.between(1, 12)), form))
          }
          return blocks
        })

      it.prop(
        "emits every sample exactly once, over retries and splits",
        [choices],
        ([choices]) => {
          const response = randomResponse(choices)
          const ledger = new WindowLedger(expect(window))
          const emitted: Array<SampleBlock> = []
          let shown = 0

          const readPart = (part: GridRange): void => {
            // Some attempts break off, but not the last one.
            for (let failures = choices.below(4); failures >= 0; failures--) {
              ledger.begin(expect(part))
              const blocks = responseBlocks(choices, response, part)
              const until = failures === 0 ? blocks.length : choices.below(blocks.length + 1)
              let samples = 0
              for (const block of blocks.slice(0, until)) {
                samples += block.length
                const result = ledger.accept(block)
                if (result instanceof PrometheusError) throw result
                if (result === undefined) continue
                assert.isAbove(result.length, 0)
                assert.strictEqual(result.series, block.series)
                emitted.push(result)
              }
              assert.strictEqual(ledger.samples, samples)
              shown += until
            }
          }

          const readWindow = (part: GridRange): void => {
            if (pointCount(part) > 1 && choices.oneIn(3)) {
              // The server refuses, either immediately or after another failure within the response.
              if (choices.oneIn(2)) {
                ledger.begin(expect(part))
                const blocks = responseBlocks(choices, response, part)
                for (const block of blocks.slice(0, choices.below(blocks.length + 1))) {
                  const result = ledger.accept(block)
                  if (result instanceof PrometheusError) throw result
                  if (result !== undefined) emitted.push(result)
                }
              }
              for (const half of halve(part)) readWindow(half)
            } else {
              readPart(part)
            }
          }

          readWindow(window)
          const expected = response
            .flatMap(({ kind, name, times }) => describeSamples([block(seriesOf(name), times, kind)]))
            .toSorted()
          const actual = describeSamples(emitted).toSorted()
          if (!isDeepStrictEqual(actual, expected))
            assert.deepStrictEqual(actual, expected, `${shown} blocks`)
        },
        { arbitrary: { runs: runs(200, 1000) }, timeout: 60_000 }
      )

      it.prop(
        "refuses every sample that was not requested",
        [choices],
        ([choices]) => {
          const response = randomResponse(choices).filter(({ times }) => times.length > 1)
          const blocks = responseBlocks(choices, response, window)
          if (blocks.length === 0) return
          const at = choices.below(blocks.length)
          const chosen = blocks[at]!
          const times = Array.from(chosen.times, (time) => time / 1000)
          const spoiled = choices.pick<(times: Array<number>) => Array<number>>([
            (times) => [...times, times.at(-1)!],
            (times) => [...times, times[0]! - 60],
            // Only a grid has invalid times between its points.
            (times) => [...times, expect === gridOf ? times.at(-1)! + 30 : Number.NaN],
            (times) => [...times, 1260],
            (times) => [539, ...times],
            (times) => [times[0]!, ...times]
          ])(times)
          const ledger = new WindowLedger(expect(window))
          ledger.begin(expect(window))
          const results = blocks.map((other, index) =>
            ledger.accept(index === at ? block(chosen.series as DecodedSeries, spoiled, chosen._tag) : other)
          )
          assert.instanceOf(results[at], PrometheusError)
          assert.isFalse(results.slice(0, at).some((result) => result instanceof PrometheusError))
        },
        { arbitrary: { runs: runs(60, 300) } }
      )
    })
})
