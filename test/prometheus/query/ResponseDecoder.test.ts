import { setImmediate } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { DecodeError } from "../../../src/prometheus/query/JsonCursor.ts"
import { ResponseDecoder } from "../../../src/prometheus/query/ResponseDecoder.ts"
import type { SampleBlock, TextBlock } from "../../../src/samples/Sample.ts"
import { SeriesCache, seriesId } from "../../../src/samples/Series.ts"
import { Choices, choices } from "../../choices.ts"
import {
  assertFails,
  assertSame,
  bySeries,
  decode,
  encode,
  many,
  oneByteChunks,
  responseWith,
  some,
  withHistogram,
  withMetric,
  withValues
} from "./decode.ts"
import { randomChunks, randomResponse } from "./randomResponse.ts"
import { type PlainSample, plainSamples, referenceDecode } from "./referenceDecoder.ts"

/** The time and text of each float sample, from one chunk and byte by byte. */
const floats = (text: string): ReadonlyArray<readonly [number, unknown]> => {
  const complete = decode([encode(text)])
  assert.deepStrictEqual(decode(oneByteChunks(encode(text))), complete)
  return complete.samples.map(({ time, value }) => [time, value])
}

const labels = (text: string): ReadonlyArray<PlainSample["labels"]> => {
  const complete = decode([encode(text)])
  assert.deepStrictEqual(decode(oneByteChunks(encode(text))), complete)
  return complete.samples.map((sample) => sample.labels)
}

describe("ResponseDecoder", () => {
  describe("series of earlier responses", () => {
    it.prop("do not change the result", [choices], ([choices]) => {
      const cache = new SeriesCache()
      for (let i = 0; i < 3; i++) {
        const bytes = encode(randomResponse(choices, { unknownKeys: true }))
        assertSame(bySeries(bytes, cache), bySeries(bytes))
        assertSame(bySeries(bytes, cache), bySeries(bytes))
      }
    })

    it("are the same objects, so that derived values are computed once", () => {
      const cache = new SeriesCache()
      const seriesOf = (labels: string) => {
        const decoder = new ResponseDecoder(cache)
        return decoder.push(encode(responseWith(`[{"metric":${labels},"values":[[1,"2"]]}]`)))[0]!.series
      }
      assert.strictEqual(seriesOf('{"a":"1"}'), seriesOf('{"a":"1"}'))
      assert.notStrictEqual(seriesOf('{"a":"1"}'), seriesOf('{"a":"2"}'))
      assert.deepStrictEqual(seriesOf('{"a":"2"}').labels, [["a", "2"]])
    })

    it("are not used for a series whose samples come before its labels", () => {
      const cache = new SeriesCache()
      const late = encode(
        responseWith('[{"values":[[1,"2"]],"metric":{"a":"1"}},{"metric":{"a":"1"},"values":[[2,"3"]]}]')
      )
      assertSame(bySeries(late, cache), bySeries(late))
      assertSame(bySeries(late, cache), bySeries(late))
    })

    it("are kept up to a limit, and decoded beyond it", () => {
      const cache = new SeriesCache()
      const many = encode(
        responseWith(
          `[${Array.from({ length: 10_050 }, (_, i) => `{"metric":{"a":"${i}"},"values":[[1,"${i}"]]}`).join(",")}]`
        )
      )
      assertSame(bySeries(many, cache), bySeries(many))
      assertSame(bySeries(many, cache), bySeries(many))
    })
  })

  describe("any split of the bytes", () => {
    it.prop(
      "gives the result of JSON.parse",
      [choices],
      ([choices]) => {
        const bytes = encode(randomResponse(choices, { unknownKeys: true }))
        const expected = referenceDecode(bytes)
        assertSame(decode([bytes]), expected)
        assertSame(decode(oneByteChunks(bytes)), expected)
        for (let i = 0; i < 3; i++) assertSame(decode(randomChunks(choices, bytes)), expected)
      },
      many
    )

    it.prop(
      "into two chunks gives the same, at any position",
      [choices],
      ([choices]) => {
        const bytes = encode(randomResponse(choices, { unknownKeys: true }))
        const expected = referenceDecode(bytes)
        const stride = Math.max(1, Math.floor(bytes.length / 100))
        for (let cut = choices.below(stride); cut <= bytes.length; cut += stride) {
          assertSame(decode([bytes.slice(0, cut), bytes.slice(cut)]), expected, () => `cut at ${cut}`)
        }
      },
      some
    )

    it("may have empty chunks, and white space around it", () => {
      const body = encode(`\n\t ${withValues('[[1,"2"]]')}`)
      const nothing = new Uint8Array(0)
      const expected = referenceDecode(body)
      const chunks = [
        nothing,
        body.slice(0, 50),
        nothing,
        body.slice(50),
        nothing,
        encode(" \r"),
        encode("\n\t")
      ]
      assert.deepStrictEqual(decode(chunks), expected)
    })

    it("does not change the bytes of the chunks", () => {
      const bytes = encode(randomResponse(new Choices(7, 3000), { unknownKeys: true }))
      const chunks = randomChunks(new Choices(3, 3000), bytes)
      const before = chunks.map((chunk) => chunk.slice())
      decode(chunks)
      assert.deepStrictEqual(chunks, before)
    })

    it("keeps blocks valid while later ones are decoded", () => {
      const values = Array.from({ length: 30_000 }, (_, i) => `[${i * 15},"${i}.5"]`)
      const bytes = encode(withValues(`[${values.join(",")}]`))
      const decoder = new ResponseDecoder()
      const blocks: Array<SampleBlock> = []
      const atOnce: Array<PlainSample> = []
      for (let from = 0; from < bytes.length; from += 1000) {
        const completed = decoder.push(bytes.slice(from, from + 1000))
        blocks.push(...completed)
        atOnce.push(...plainSamples(completed))
      }
      assert.strictEqual(decoder.finish().status, "success")
      const later = plainSamples(blocks)
      assertSame(
        later,
        atOnce.map((sample) => ({ ...sample, series: 0 }))
      )
      assertSame(later, referenceDecode(bytes).samples)
    })
  })

  describe("samples", () => {
    it("are emitted as soon as their bytes have arrived", () => {
      const decoder = new ResponseDecoder()
      const start = responseWith('[{"metric":{"a":"b"},"values":[[1,"1"],[2,"2"],[3,"').slice(0, -2)
      assert.lengthOf(plainSamples(decoder.push(encode(start))), 2)
      assert.deepStrictEqual(
        plainSamples(decoder.push(encode('3"],[4'))).map(({ time, value }) => [time, value]),
        [[3000, "3"]]
      )
    })

    it("wait for labels that come later", () => {
      const decoder = new ResponseDecoder()
      const start = responseWith(
        '[{"values":[[1,"1"],[2,"2"]],"histograms":[[1,{"count":"1","sum":"2"}]]'
      ).slice(0, -2)
      assert.deepStrictEqual(decoder.push(encode(start)), [])
      const blocks = decoder.push(encode(',"metric":{"a":"b"}}]}}'))
      assert.deepStrictEqual(
        plainSamples(blocks).map(({ labels, time, value }) => [labels, time, value]),
        [
          [[["a", "b"]], 1000, "1"],
          [[["a", "b"]], 2000, "2"],
          [[["a", "b"]], 1000, { count: "1", sum: "2", buckets: [] }]
        ]
      )
      assert.strictEqual(decoder.finish().status, "success")
    })

    it("are in consistent blocks", () => {
      const decoder = new ResponseDecoder()
      const blocks = decoder.push(
        encode(
          responseWith(
            '[{"metric":{"a":"b"},"values":[[1,"1"],[2,"NaN"],[3,"3"]],"histograms":[[3,{"count":"1","sum":"2"}]]},{"metric":{"a":"c"},"values":[[1,"1"]]}]'
          )
        )
      )
      assert.deepStrictEqual(
        blocks.map((block) => block.series.id),
        blocks.map((block) => seriesId(block.series.labels))
      )
      assert.strictEqual(new Set(blocks.map((block) => block.series)).size, 2)
      for (const block of blocks) {
        assert.isAbove(block.length, 0)
        assert.lengthOf(block.times, block.length)
        if (block._tag === "HistogramBlock") assert.lengthOf(block.histograms, block.length)
        else if (block._tag === "TextBlock")
          assert.deepStrictEqual([block.starts.length, block.ends.length], [block.length, block.length])
      }
    })

    it("keep the digits of the server", () => {
      const texts = [
        "0",
        "-0",
        "1e-07",
        "1E-07",
        "1e+21",
        "1e21",
        "123456789012345678901234567890",
        "0.10000000000000000000001",
        "-1.50",
        "NaN",
        "+Inf",
        "-Inf"
      ]
      assert.deepStrictEqual(
        floats(withValues(`[${texts.map((text, i) => `[${i},"${text}"]`)}]`)),
        texts.map((text, i) => [i * 1000, text])
      )
    })

    it("may have values with escapes", () => {
      assert.deepStrictEqual(floats(withValues('[[1,"1"],[2,"\\u0031\\u002e5"],[3,"\\u002bInf"],[4,"4"]]')), [
        [1000, "1"],
        [2000, "1.5"],
        [3000, "+Inf"],
        [4000, "4"]
      ])
    })

    it.each([
      ["0", 0],
      ["1435781430", 1435781430000],
      ["1435781430.781", 1435781430781],
      ["1435781430.7", 1435781430700],
      ["1435781430.78", 1435781430780],
      ["1435781430.001", 1435781430001],
      ["1435781430.7814", 1435781430781],
      ["1435781430.7816", 1435781430782],
      ["1435781430.999999", 1435781431000],
      ["1435781430.781000000", 1435781430781],
      ["1.43578143e9", 1435781430000],
      ["1.435781430781E+9", 1435781430781],
      ["1435781430781e-3", 1435781430781],
      ["-1.5", -1500],
      ["253402300799", 253402300799000],
      ["4102444800.123", 4102444800123]
    ])("are at %s seconds, in milliseconds", (text, millis) => {
      assert.deepStrictEqual(floats(withValues(`[[${text},"1"],[${text} , "2" ]]`)), [
        [millis, "1"],
        [millis, "2"]
      ])
    })

    it("may be many", () => {
      const series = Array.from(
        { length: 20 },
        (_, s) =>
          `{"metric":{"s":"${s}"},"values":[${Array.from({ length: 3001 }, (_, i) => `[${i},"${s}.${i}"]`)}]}`
      )
      const bytes = encode(responseWith(`[${series}]`))
      const expected = referenceDecode(bytes)
      assert.strictEqual(expected.samples.length, 60_020)
      assertSame(decode([bytes]), expected)
      assertSame(decode(randomChunks(new Choices(1, 1e9), bytes)), expected)
    })

    it("do not retain chunks that are no longer used", async () => {
      setFlagsFromString("--expose-gc")
      const collectGarbage: () => void = runInNewContext("gc")
      const decoder = new ResponseDecoder()
      const chunks: Array<WeakRef<Uint8Array>> = []
      const push = (text: string): number => {
        const chunk = encode(text)
        chunks.push(new WeakRef(chunk))
        return decoder.push(chunk).length
      }
      push(responseWith('[{"metric":{"a":"b"},"values":[[0,"0"]').slice(0, -2))
      for (let i = 1; i <= 100; i++) push(`,[${i},"${i}"],[${i}.5,"1`.concat('"]', i % 2 ? "" : " "))
      await setImmediate()
      collectGarbage()
      const alive = chunks.filter((chunk) => chunk.deref() !== undefined).length
      assert.isAtMost(alive, 3)
      push("]}]}}")
      assert.strictEqual(decoder.finish().status, "success")
    })
  })

  describe("labels", () => {
    it("are sorted by bytes, without empty ones", () => {
      assert.deepStrictEqual(
        labels(withMetric('{"b":"1","":"x","😀":"3","\uffee":"2","empty":"","a":"0"}')),
        [
          [
            ["", "x"],
            ["a", "0"],
            ["b", "1"],
            ["\uffee", "2"],
            ["😀", "3"]
          ]
        ]
      )
    })

    it("may be empty", () => {
      assert.deepStrictEqual(labels(withMetric("{}")), [[]])
      assert.deepStrictEqual(labels(withMetric('{ "a" : "" }')), [[]])
    })

    it("may have the names of object properties", () => {
      assert.deepStrictEqual(
        labels(withMetric('{"__proto__":"p","constructor":"c","toString":"t","1":"n"}')),
        [
          [
            ["1", "n"],
            ["__proto__", "p"],
            ["constructor", "c"],
            ["toString", "t"]
          ]
        ]
      )
    })

    it("are the same in every JSON spelling", () => {
      const spellings = [
        '"é/\\"\\\\\n😀"',
        '"\\u00e9\\/\\u0022\\u005C\\u000a\\ud83d\\uDE00"',
        '"\\u00E9/\\"\\\\\\n😀"'
      ]
      for (const spelling of spellings) {
        const json = spelling.replace("\n", "\\n")
        assert.deepStrictEqual(labels(withMetric(`{"\\u0061":${json}}`)), [[["a", 'é/"\\\n😀']]])
      }
    })

    it("keep a byte order mark", () => {
      assert.deepStrictEqual(labels(withMetric('{"a":"\ufeffb","\ufeff":"c"}')), [
        [
          ["a", "\ufeffb"],
          ["\ufeff", "c"]
        ]
      ])
    })

    it("never merge two series", () => {
      // A lone surrogate is not valid text: SHA-256 would see U+FFFD in both.
      const bytes = encode(
        responseWith(
          '[{"metric":{"a":"\\ud800"},"values":[[1,"1"]]},{"metric":{"a":"\\ufffd"},"values":[[1,"2"]]},{"metric":{"a":"\\udc00"},"values":[[1,"3"]]}]'
        )
      )
      const decoder = new ResponseDecoder()
      let blocks: ReadonlyArray<SampleBlock> = []
      try {
        blocks = decoder.push(bytes)
      } catch (error) {
        assert.instanceOf(error, DecodeError)
      }
      assert.lengthOf(new Set(blocks.map((block) => block.series.id)), blocks.length)
    })
  })

  describe("native histograms", () => {
    it("keep the digits of the server", () => {
      const text =
        '{"count":"42","sum":"1.50e+3","buckets":[[0,"-Inf","-0.001","1"],[1,"0.5","1","2"],[2,"1","2","3"],[3,"-0.001","0.001","+Inf"]]}'
      assert.deepStrictEqual(decode(oneByteChunks(encode(withHistogram(text)))).samples[0]?.value, {
        count: "42",
        sum: "1.50e+3",
        buckets: [
          { boundaries: 0, lower: "-Inf", upper: "-0.001", count: "1" },
          { boundaries: 1, lower: "0.5", upper: "1", count: "2" },
          { boundaries: 2, lower: "1", upper: "2", count: "3" },
          { boundaries: 3, lower: "-0.001", upper: "0.001", count: "+Inf" }
        ]
      })
    })

    it.each([
      '{"sum":"1"}',
      '{"count":"1"}',
      '{"count":"1","sum":"x"}',
      '{"count":"","sum":"1"}',
      '{"count":"1","sum":"1","buckets":{}}',
      '{"count":"1","sum":"1","buckets":[[0,"1","2"]]}',
      '{"count":"1","sum":"1","buckets":[[0,"1","2","3","4"]]}',
      '{"count":"1","sum":"1","buckets":[[4,"1","2","3"]]}',
      '{"count":"1","sum":"1","buckets":[["0","1","2","3"]]}',
      '{"count":"1","sum":"1","buckets":[null]}',
      "[]",
      "null",
      '"1"'
    ])("are not %s", (text) => assertFails(encode(withHistogram(text))))
  })

  describe("the envelope", () => {
    it("reports a success and its parts", () => {
      const text = responseWith(
        '[{"metric":{"a":"1"}},{"metric":{"a":"2"},"values":[]},{"metric":{"a":"3"},"values":[[1,"1"],[2,"2"]],"histograms":[[1,{"count":"1","sum":"2"}]]},{"metric":{"a":"4"},"values":null,"histograms":null}]'
      )
      assert.deepStrictEqual(decode([encode(text)]).envelope, {
        status: "success",
        errorType: undefined,
        error: undefined,
        warnings: [],
        signs: [],
        isEmpty: false
      })
    })

    it.each(["[]", "[ ]", "null"])("may have the empty result %s", (result) => {
      const { envelope, samples } = decode(oneByteChunks(encode(responseWith(result))))
      assert.deepStrictEqual(samples, [])
      assert.deepInclude(envelope, { status: "success", signs: [], isEmpty: true })
    })

    it("has warnings, wherever they are", () => {
      for (const text of [
        '{"status":"success","warnings":["a","é\\n"],"data":{"resultType":"matrix","result":[]}}',
        '{"status":"success","data":{"result":[],"resultType":"matrix"},"infos":["i"],"warnings":["a","\\u00e9\\u000a"]}'
      ]) {
        assert.deepStrictEqual(decode(oneByteChunks(encode(text))).envelope.warnings, ["a", "é\n"])
      }
    })

    it("keeps the first of very many warnings, including one about data among those about the query", () => {
      const warnings = Array.from({ length: 200_000 }, (_, i) => `PromQL info ${i}`)
      warnings[150_000] = `no store: ${"x".repeat(5_000_000)}`
      const text = `{"warnings":${JSON.stringify(warnings)},${responseWith("[]").slice(1)}`
      const kept = decode([encode(text)]).envelope.warnings
      assert.deepStrictEqual(kept.slice(0, 20), warnings.slice(0, 20))
      assert.lengthOf(kept, 21)
      assert.match(kept[20]!, /^no store: x{3000,5000}$/)
    })

    it("has the error of a failed query, with or without data", () => {
      for (const data of [
        "",
        ',"data":null',
        ',"data":{"resultType":"matrix","result":[]}',
        ',"data":"none"'
      ]) {
        const text = `{"status":"error","errorType":"timeout","error":"query \\"timed\\" out"${data}}`
        assert.deepInclude(decode(oneByteChunks(encode(text))).envelope, {
          status: "error",
          errorType: "timeout",
          error: 'query "timed" out'
        })
      }
    })

    it.each([
      ['"isPartial":true', ["isPartial is true"]],
      ['"isPartial":false', []],
      ['"isPartial":null', []],
      ['"partial":"some","results_truncated":1', ["partial is some", "results_truncated is 1"]],
      ['"x-limited":{"Limited":false,"Results":9}', []],
      ['"limit":10,"partials":true,"rateLimited":true', []]
    ])("has the members that report missing data: %s", (members, signs) => {
      const body = `"data":{"result":[]}`
      for (const text of [
        `{"status":"success",${members},${body}}`,
        `{"status":"success","data":{${members},"result":[]}}`
      ]) {
        assert.deepStrictEqual(decode(oneByteChunks(encode(text))).envelope.signs, signs)
      }
    })

    it("may contain unknown values of any depth", () => {
      const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`
      const text = `{"x":${deep},"status":"success","data":{"result":[],"stats":${deep}}}`
      assert.strictEqual(decode([encode(text)]).envelope.status, "success")
    })
  })

  it("keeps the bytes of floats as the server sent them", () => {
    const body = encode(withValues('[[1767225600,"1.50"],[1767225660,"-0"]]'))
    const [block] = new ResponseDecoder().push(body) as [TextBlock]
    assert.strictEqual(block._tag, "TextBlock")
    assert.strictEqual(block.bytes.buffer, body.buffer)
    assert.deepStrictEqual(
      Array.from(block.starts, (start, i) => Buffer.from(body.subarray(start, block.ends[i])).toString()),
      ["1.50", "-0"]
    )
  })
})
