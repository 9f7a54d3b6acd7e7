import { assert, describe, it } from "@effect/vitest"
import { LineBuffer } from "../../src/records/LineBuffer.ts"
import type { MetricRecord } from "../../src/records/MetricRecord.ts"
import { type LineFrame, RecordEncoder, type RecordShape, shapeOf } from "../../src/records/RecordEncoder.ts"
import { layoutOfGroup, layoutOfMetric } from "../../src/samples/Layout.ts"
import {
  type Histogram,
  type HistogramBlock,
  type SampleBlock,
  type Series,
  type TextBlock,
  textAt
} from "../../src/samples/Sample.ts"
import { canonicalLabels, MAX_KNOWN_SERIES, seriesId } from "../../src/samples/Series.ts"
import { type Choices, choices } from "../choices.ts"
import { asTextBlock, numberBlock, Values } from "../samples/numbers.ts"

const start = Date.UTC(2026, 0, 1)

const makeSeries = (labels: Iterable<readonly [string, string]>): Series => {
  const canonical = canonicalLabels([["__name__", "m"], ...labels])
  return { labels: canonical, id: seriesId(canonical) }
}

/** A block whose values are spread over larger bytes, as in a response. */
const floats = (
  series: Series,
  samples: ReadonlyArray<readonly [time: number, value: string]>
): TextBlock => {
  let text = "junk"
  const starts: Array<number> = []
  const ends: Array<number> = []
  for (const [, value] of samples) {
    starts.push(text.length)
    text += value
    ends.push(text.length)
    text += '"],[9,"'
  }
  return {
    _tag: "TextBlock",
    series,
    length: samples.length,
    times: Float64Array.from(samples, ([time]) => time),
    bytes: Buffer.from(text, "latin1"),
    starts: Uint32Array.from(starts),
    ends: Uint32Array.from(ends)
  }
}

const histograms = (
  series: Series,
  samples: ReadonlyArray<readonly [time: number, histogram: Histogram]>
): HistogramBlock => ({
  _tag: "HistogramBlock",
  series,
  length: samples.length,
  times: Float64Array.from(samples, ([time]) => time),
  histograms: samples.map(([, histogram]) => histogram)
})

const plain: LineFrame = { before: "", after: "\n" }
const wrapped: LineFrame = { before: '{"stream":"é","n":1,"data":', after: ',"z":[]}\n' }
const everything: RecordShape = { columns: "all", labelsObject: false }

const encode = (
  shape: RecordShape,
  blocks: ReadonlyArray<SampleBlock>,
  frame: (index: number) => LineFrame = () => plain
): ReadonlyArray<string> => {
  const encoder = new RecordEncoder(shape)
  const out = new LineBuffer(1)
  for (const [index, block] of blocks.entries()) encoder.encode(block, frame(index), out)
  const text = Buffer.from(out.bytes.subarray(0, out.length)).toString("utf8")
  assert.isTrue(text === "" || text.endsWith("\n"))
  return text === "" ? [] : text.slice(0, -1).split("\n")
}

type Member = readonly [column: string, value: unknown]

/** A record as sorted members, with its numbers as the original text. */
const members = (json: string): ReadonlyArray<Member> => {
  const reviver = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === "number" ? { digits: context?.source } : value
  return sorted(Object.entries(JSON.parse(json, reviver) as object))
}

const sorted = (entries: Iterable<Member>): ReadonlyArray<Member> =>
  [...entries]
    .map(
      ([column, value]): Member => [
        column,
        ["labels", "other_labels"].includes(column) ? sorted(Object.entries(value as object)) : value
      ]
    )
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

const ours = ["time", "value", "special_value", "series_id", "histogram", "other_labels", "labels"]

const objectOf = (entries: ReadonlyArray<Member>): object => Object.fromEntries(entries)

/** A simple encoder: the members of each record of a block. */
const expectedRecords = (shape: RecordShape, block: SampleBlock): ReadonlyArray<ReadonlyArray<Member>> => {
  const has = (column: string) => shape.columns === "all" || shape.columns.has(column)
  return Array.from(block.times, (time, i) => {
    const data = new Map<string, unknown>()
    data.set("time", new Date(time).toISOString().replace(".000Z", "Z"))
    if (has("value")) data.set("value", null)
    if (block._tag === "HistogramBlock") {
      const { buckets, count, sum } = block.histograms[i]!
      const rows = buckets.map((b) => [{ digits: `${b.boundaries}` }, b.lower, b.upper, b.count])
      if (has("histogram")) {
        data.set("histogram", { count, sum, ...(rows.length === 0 ? {} : { buckets: rows }) })
      }
    } else {
      const text = textAt(block, i)
      if (!["NaN", "+Inf", "-Inf"].includes(text)) {
        if (has("value")) data.set("value", { digits: text })
      } else if (has("special_value")) data.set("special_value", text)
    }
    data.set("series_id", block.series.id)
    const rest: Array<Member> = []
    for (const [name, value] of block.series.labels) {
      if (name === "__name__") continue
      const isOurs = (text: string) => ours.includes(text.toLowerCase())
      const column = isOurs(name) ? `label_${name}` : name
      const isTaken = /^label_/i.test(name) && isOurs(name.slice("label_".length))
      if (shape.labelsObject || isTaken || !has(column)) rest.push([name, value])
      else data.set(column, value)
    }
    if (shape.labelsObject && has("labels")) data.set("labels", objectOf(rest))
    if (!shape.labelsObject && rest.length > 0 && has("other_labels"))
      data.set("other_labels", objectOf(rest))
    return sorted(data)
  })
}

const names = [
  ...ours,
  "job",
  "Job",
  "Time",
  "label_time",
  "Label_Value",
  "label_job",
  "__proto__",
  "constructor",
  "toString",
  "with space",
  "é😀",
  'quo"te',
  "back\\slash"
]
const texts = [
  "a",
  "",
  "é😀\u2028",
  'quo"te',
  "line\nfeed\r\t\0",
  "</script>",
  "\ud800",
  "null",
  "x".repeat(300)
]
const digits = [
  "0",
  "-0",
  "1",
  "-1.5",
  "1e-07",
  "1e+21",
  "1E5",
  "5e-324",
  "1.7976931348623157e+308",
  "0.30000000000000004",
  "9007199254740993",
  "123456789012345678901234567890.123456789"
]

const randomHistogram = (choices: Choices): Histogram => ({
  count: choices.pick(digits),
  sum: choices.pick([...digits, "NaN", "+Inf"]),
  buckets: choices.list(3, () => ({
    boundaries: choices.below(4),
    lower: choices.pick([...digits, "-Inf"]),
    upper: choices.pick([...digits, "+Inf"]),
    count: choices.pick(digits)
  }))
})

const randomBlocks = (choices: Choices): ReadonlyArray<SampleBlock> => {
  const all = Array.from({ length: 1 + choices.below(4) }, () =>
    makeSeries(new Map(choices.list(6, () => [choices.pick(names), choices.pick(texts)] as const)))
  )
  return choices.list(8, () => {
    const series = choices.pick(all)
    const times = choices.list(5, () => start + choices.below(10_000_000) * choices.pick([1, 1000]))
    return choices.oneIn(4)
      ? histograms(
          series,
          times.map((time) => [time, randomHistogram(choices)] as const)
        )
      : floats(
          series,
          times.map((time) => [time, choices.pick([...digits, "NaN", "+Inf", "-Inf"])] as const)
        )
  })
}

const randomShape = (choices: Choices): RecordShape => {
  if (choices.oneIn(4)) return { columns: "all", labelsObject: choices.oneIn(2) }
  const others = [...names, "label_value", "label_Time"].filter((name) => name !== "value")
  const declared = others.filter(() => choices.oneIn(2))
  return {
    columns: new Set(["time", "series_id", ...(choices.oneIn(4) ? [] : ["value"]), ...declared]),
    labelsObject: choices.oneIn(3)
  }
}

describe("RecordEncoder", () => {
  it.prop("writes the same as a simple encoder, in the server's digits", [choices], ([choices]) => {
    const shape = randomShape(choices)
    const blocks = randomBlocks(choices)
    const expected = blocks.flatMap((block) => expectedRecords(shape, block))
    assert.deepStrictEqual(encode(shape, blocks).map(members), expected)
  })

  it.prop("wraps every line in the frame of its block", [choices], ([choices]) => {
    const blocks = randomBlocks(choices)
    const frames = blocks.map(() => choices.pick([plain, wrapped]))
    const lines = encode(everything, blocks, (index) => frames[index]!)
    const bare = encode(everything, blocks)
    const expected = blocks.flatMap(({ length }, index) => Array.from({ length }, () => frames[index]!))
    assert.deepStrictEqual(
      lines,
      bare.map((line, i) => `${expected[i]!.before}${line}${expected[i]!.after}`.trimEnd())
    )
  })

  it.prop("never writes an undeclared column", [choices], ([choices]) => {
    const shape = randomShape(choices)
    for (const line of encode(shape, randomBlocks(choices))) {
      for (const column of Object.keys(JSON.parse(line) as object)) {
        assert.isTrue(shape.columns === "all" || shape.columns.has(column), column)
      }
    }
  })

  it("writes cached series and others the same each time", () => {
    const blocks = Array.from({ length: MAX_KNOWN_SERIES + 3 }, (_, i) =>
      floats(makeSeries([["n", `${i}`]]), [[start, `${i}`]])
    )
    const lines = encode(everything, [...blocks, ...blocks])
    assert.deepStrictEqual(lines.slice(0, blocks.length), lines.slice(blocks.length))
    for (const i of [0, MAX_KNOWN_SERIES - 1, MAX_KNOWN_SERIES, MAX_KNOWN_SERIES + 2]) {
      assert.include(lines[i], `"n":"${i}"`)
      assert.include(lines[i], `"value":${i}}`)
    }
  })

  it("copies the digits of a value", () => {
    const series = makeSeries([])
    const lines = encode(everything, [
      floats(
        series,
        digits.map((text, i) => [start + i * 1000, text] as const)
      )
    ])
    for (const [i, text] of digits.entries()) {
      assert.isTrue(lines[i]!.endsWith(`"value":${text}}`), lines[i])
    }
  })

  it("writes null and the name of a value that is not finite", () => {
    const values = ["NaN", "+Inf", "-Inf", "1"]
    const lines = encode(everything, [
      floats(
        makeSeries([]),
        values.map((text, i) => [start + i, text] as const)
      )
    ])
    assert.deepStrictEqual(
      lines.map((line) => {
        const { special_value, value } = JSON.parse(line) as Record<string, unknown>
        return [value, special_value]
      }),
      [
        [null, "NaN"],
        [null, "+Inf"],
        [null, "-Inf"],
        [1, undefined]
      ]
    )
  })

  it("writes a native histogram in Prometheus' format", () => {
    const series = makeSeries([])
    const [full, bare] = encode(everything, [
      histograms(series, [
        [
          start,
          { count: "3", sum: "1e-07", buckets: [{ boundaries: 3, lower: "-0.5", upper: "0.5", count: "3" }] }
        ],
        [start + 1500, { count: "0", sum: "NaN", buckets: [] }]
      ])
    ])
    assert.deepStrictEqual(JSON.parse(full!), {
      time: "2026-01-01T00:00:00Z",
      value: null,
      histogram: { count: "3", sum: "1e-07", buckets: [[3, "-0.5", "0.5", "3"]] },
      series_id: series.id
    })
    assert.deepStrictEqual(JSON.parse(bare!), {
      time: "2026-01-01T00:00:01.500Z",
      value: null,
      histogram: { count: "0", sum: "NaN" },
      series_id: series.id
    })
  })

  it("keeps labels named like members of Object.prototype", () => {
    const series = makeSeries([
      ["__proto__", "p"],
      ["constructor", "c"]
    ])
    for (const shape of [
      everything,
      { columns: "all", labelsObject: true } as const,
      { columns: new Set(["other_labels"]), labelsObject: false }
    ]) {
      const [line] = encode(shape, [floats(series, [[start, "1"]])])
      assert.include(line, '"__proto__":"p"')
      assert.include(line, '"constructor":"c"')
    }
  })

  it("puts undeclared labels into other_labels, which is absent if all are declared", () => {
    const block = floats(
      makeSeries([
        ["job", "api"],
        ["new", "!"]
      ]),
      [[start, "1"]]
    )
    const [declared] = encode({ columns: new Set(["job", "new", "other_labels"]), labelsObject: false }, [
      block
    ])
    assert.notInclude(declared, "other_labels")
    const [narrow] = encode({ columns: new Set(["job", "other_labels"]), labelsObject: false }, [block])
    assert.deepInclude(JSON.parse(narrow!), { job: "api", other_labels: { new: "!" } })
    assert.notProperty(JSON.parse(narrow!), "new")
  })

  it.prop("names the metric of a group, whose labels are one object", [choices], ([choices]) => {
    const names = ["up", "http.requests", 'a"b', "metric", "é"]
    const labelNames = ["metric", "labels", "time", "value", "job", "__proto__", "series_id"]
    const group = shapeOf({ properties: [], discoveredLabels: undefined }, layoutOfGroup)
    const blocks = choices.list(12, (i) => {
      const labels = labelNames.filter(() => choices.oneIn(2)).map((name) => [name, `${name}${i}`] as const)
      const all = canonicalLabels([["__name__", choices.pick(names)], ...labels])
      return floats({ labels: all, id: seriesId(all) }, [[start + i * 1000, `${i}`]])
    })
    const lines = encode(group, blocks)
    assert.lengthOf(lines, blocks.length)
    for (const [i, line] of lines.entries()) {
      const { id, labels } = blocks[i]!.series
      const record = JSON.parse(line) as MetricRecord
      assert.deepStrictEqual(Object.keys(record).sort(), ["labels", "metric", "series_id", "time", "value"])
      assert.strictEqual(record.metric, labels.find(([name]) => name === "__name__")?.[1])
      assert.deepStrictEqual(
        Object.entries(record.labels ?? {}),
        labels.filter(([name]) => name !== "__name__").map(([name, value]) => [name, value])
      )
      // The same series as in the stream of its metric.
      assert.strictEqual(record.series_id, id)
    }
  })

  it("leaves out what the catalog of a group has deselected", () => {
    const series = makeSeries([["job", "api"]])
    const columnsOf = (...properties: ReadonlyArray<string>) =>
      Object.keys(
        JSON.parse(
          encode(shapeOf({ properties, discoveredLabels: undefined }, layoutOfGroup), [
            floats(series, [[start, "1"]])
          ])[0]!
        )
      )
    assert.sameMembers(columnsOf("time", "value", "series_id", "metric"), [
      "time",
      "value",
      "series_id",
      "metric"
    ])
    assert.sameMembers(columnsOf("value", "labels"), ["time", "value", "series_id", "labels"])
  })

  it("distinguishes a series from the previous one by the object, not by its labels", () => {
    const lines = encode(everything, [
      floats(makeSeries([["n", "1"]]), [[start, "1"]]),
      floats(makeSeries([["n", "2"]]), [[start, "2"]]),
      floats(makeSeries([["n", "1"]]), [[start + 1000, "3"]])
    ])
    assert.deepStrictEqual(
      lines.map((line) => (JSON.parse(line) as { readonly n: string }).n),
      ["1", "2", "1"]
    )
  })

  it("writes nothing for an empty block", () => {
    assert.deepStrictEqual(
      encode(everything, [floats(makeSeries([]), []), histograms(makeSeries([]), [])]),
      []
    )
  })
})

describe("shapeOf", () => {
  it("uses the columns of the catalog, or the configuration if it has none", () => {
    const shape = (properties: ReadonlyArray<string>, labelColumns: boolean) =>
      shapeOf({ properties, discoveredLabels: undefined }, layoutOfMetric(labelColumns))
    assert.deepStrictEqual(shape([], true), {
      columns: "all",
      labelsObject: false,
      metricName: "omitted"
    })
    assert.deepStrictEqual(shape([], false), {
      columns: "all",
      labelsObject: true,
      metricName: "omitted"
    })
    const columns = ["time", "value", "series_id", "job", "other_labels"]
    for (const configured of [true, false]) {
      assert.deepStrictEqual(shape(columns, configured), {
        columns: new Set(columns),
        labelsObject: false,
        metricName: "omitted",
        deselected: new Set<string>()
      })
      assert.strictEqual(shape(["time", "labels"], configured).labelsObject, true)
    }
  })

  it("distinguishes a deselected label from one that appeared after discovery", () => {
    const shape = shapeOf(
      {
        properties: ["time", "value", "series_id", "job", "label_time", "other_labels"],
        discoveredLabels: ["job", "time", "user", "value", "Histogram"]
      },
      layoutOfMetric(true)
    )
    assert.deepStrictEqual(shape.deselected, new Set(["user", "value", "Histogram"]))
    const encoder = new RecordEncoder(shape)
    const series = makeSeries([
      ["Histogram", "x"],
      ["job", "api"],
      ["time", "noon"],
      ["user", "alice"],
      ["value", "y"],
      ["zone", "a"]
    ])
    const out = new LineBuffer(1)
    encoder.encode(floats(series, [[start, "1"]]), plain, out)
    assert.deepStrictEqual(JSON.parse(Buffer.from(out.bytes.subarray(0, out.length)).toString("utf8")), {
      series_id: series.id,
      job: "api",
      label_time: "noon",
      other_labels: { zone: "a" },
      time: "2026-01-01T00:00:00Z",
      value: 1
    })
    assert.deepStrictEqual(encoder.labelsWithoutColumn, ["zone"])
  })
})

describe("the parts of a block", () => {
  const samples = Array.from({ length: 5000 }, (_, i) => [start + i * 60_000, `${i}`] as const)
  const histogram = (count: number): Histogram => ({ count: `${count}`, sum: "1", buckets: [] })

  it("are the block itself if its lines are short", () => {
    const block = floats(makeSeries([["a", "b"]]), samples)
    assert.deepStrictEqual(new RecordEncoder(everything).parts(block), [block])
  })

  it.each([
    ["floats", (series: Series) => floats(series, samples)],
    [
      "histograms",
      (series: Series) =>
        histograms(
          series,
          samples.map(([time], i) => [time, histogram(i)])
        )
    ]
  ] as const)("have the same lines where labels are long, a few megabytes each: %s", (_, make) => {
    const block = make(makeSeries([["a", "x".repeat(20_000)]]))
    const encoder = new RecordEncoder(everything)
    const complete = new LineBuffer(0)
    new RecordEncoder(everything).encode(block, plain, complete)
    const inParts = new LineBuffer(0)
    const lengths = encoder.parts(block).map((part) => {
      const before = inParts.length
      encoder.encode(part, plain, inParts)
      return inParts.length - before
    })
    assert.isAtLeast(lengths.length, 10)
    assert.isBelow(Math.max(...lengths), 10_000_000)
    assert.strictEqual(
      Buffer.compare(inParts.bytes.subarray(0, inParts.length), complete.bytes.subarray(0, complete.length)),
      0
    )
  })

  it("have one line each if a single line is longer", () => {
    const block = floats(makeSeries([["a", "x".repeat(9_000_000)]]), samples.slice(0, 3))
    assert.deepStrictEqual(
      new RecordEncoder(everything).parts(block).map(({ length }) => length),
      [1, 1, 1]
    )
  })
})

describe("numbers", () => {
  it.prop("are encoded to the same lines as their text", [Values], ([values]) => {
    const numbers = numberBlock(makeSeries([["a", "1"]]), start + 500, values)
    for (const shape of [everything, { columns: new Set(["special_value"]), labelsObject: true }]) {
      assert.deepStrictEqual(
        encode(shape, [numbers], () => wrapped),
        encode(shape, [asTextBlock(numbers)], () => wrapped)
      )
    }
  })
})
