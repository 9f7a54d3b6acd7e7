import { assert, describe, it } from "@effect/vitest"
import { DecodeError } from "../../../src/prometheus/query/JsonCursor.ts"
import { ResponseDecoder } from "../../../src/prometheus/query/ResponseDecoder.ts"
import { Choices, choices } from "../../choices.ts"
import {
  assertDecodeError,
  assertFails,
  assertSame,
  decodeUntilFailure,
  encode,
  many,
  responseWith,
  some,
  withMetric,
  withValues
} from "./decode.ts"
import { randomChunks, randomResponse } from "./randomResponse.ts"
import { type PlainResponse, referenceDecode } from "./referenceDecoder.ts"

describe("a damaged response", () => {
  describe("fails if", () => {
    const complete = withValues('[[1,"2.5"]]')

    it.prop(
      "the response is cut short anywhere, and never invents samples",
      [choices],
      ([choices]) => {
        const bytes = encode(randomResponse(choices, { unknownKeys: true }))
        const expected = referenceDecode(bytes).samples
        const stride = Math.max(1, Math.floor(bytes.length / 100))
        for (let length = choices.below(stride); length < bytes.length; length += stride) {
          const part = bytes.slice(0, length)
          for (const chunks of [[part], randomChunks(choices, part)]) {
            const { outcome, samples } = decodeUntilFailure(chunks)
            assertDecodeError(outcome, () => `${length} bytes`)
            assertSame(samples, expected.slice(0, samples.length), () => `${length} bytes`)
          }
        }
      },
      some
    )

    it("the response is cut short in its last value, byte by byte", () => {
      const bytes = encode(complete)
      for (let length = 0; length < bytes.length; length++) {
        const { outcome, samples } = decodeUntilFailure([bytes.slice(0, length)])
        assert.instanceOf(outcome, DecodeError, `${length} bytes`)
        const isComplete = length >= complete.indexOf("]]}]") + 2
        assert.deepStrictEqual(
          samples.map(({ time, value }) => [time, value]),
          isComplete || length === complete.indexOf("]]}]") + 1 ? samples.map(() => [1000, "2.5"]) : []
        )
      }
    })

    it.each(["x", "{}", "null", "\u00a0", "}", ",", "\u0000", complete])(
      "bytes follow its end: %j",
      (rest) => {
        assertFails(encode(complete + rest))
        assertFails(encode(`${complete} \n${rest}`))
        assert.instanceOf(decodeUntilFailure([encode(complete), encode(rest)]).outcome, DecodeError)
      }
    )

    it("it has failed before", () => {
      const decoder = new ResponseDecoder()
      assert.throws(() => decoder.push(encode("<html>")), DecodeError)
      assert.throws(() => decoder.push(encode(complete)), DecodeError)
      assert.throws(() => decoder.finish(), DecodeError)
    })

    it("nothing arrived", () => {
      assert.throws(() => new ResponseDecoder().finish(), DecodeError)
      assertFails(encode("  \n"))
    })

    it.each([
      ["a lone continuation byte", [0x80]],
      ["a truncated sequence", [0xc3]],
      ["an overlong form", [0xc0, 0xaf]],
      ["a surrogate", [0xed, 0xa0, 0x80]],
      ["a code point beyond Unicode", [0xf4, 0x90, 0x80, 0x80]],
      ["0xFF", [0xff]]
    ])("a text is not UTF-8: %s", (_, bytes) => {
      const [before, after] = withMetric('{"a":"x@y"}').split("@")
      assertFails(Buffer.concat([encode(before!), Uint8Array.from(bytes), encode(after!)]))
      const [beforeName, afterName] = withMetric('{"x@y":"a"}').split("@")
      assertFails(Buffer.concat([encode(beforeName!), Uint8Array.from(bytes), encode(afterName!)]))
      const [beforeError, afterError] = '{"status":"error","error":"x@y"}'.split("@")
      assertFails(Buffer.concat([encode(beforeError!), Uint8Array.from(bytes), encode(afterError!)]))
    })

    it.each([
      '"01"',
      '"-01"',
      '"00"',
      '"1."',
      '".5"',
      '"+1"',
      '"-"',
      '"+"',
      '""',
      '" 1"',
      '"1 "',
      '"0x1"',
      '"1e"',
      '"1e+"',
      '"1e1.5"',
      '"1_000"',
      '"1,5"',
      '"NaN "',
      '"null"',
      '"1\\n"',
      '"\\u00b9"',
      '"١"',
      "NaN",
      "Infinity",
      "null",
      "true",
      "[]",
      "{}"
    ])("the value of a sample is %s", (value) => {
      assertFails(encode(withValues(`[[1,${value}]]`)))
      assertFails(encode(withValues(`[[1,"1"],[2,${value}],[3,"1"]]`)))
      assertFails(encode(withValues(`[[ 1,${value} ]]`)))
    })

    it.each([
      "01",
      "00",
      "-01",
      "01.5",
      "1.",
      ".5",
      "+1",
      "-",
      "0x1",
      "1e",
      "1e+",
      "Infinity",
      "NaN",
      "nan",
      '"1"',
      "null",
      "true",
      "",
      "1 2",
      "[1]"
    ])("the time of a sample is %s", (time) => {
      assertFails(encode(withValues(`[[${time},"1"]]`)))
      assertFails(encode(withValues(`[[1,"1"],[${time},"1"],[3,"1"]]`)))
      assertFails(encode(withValues(`[[ ${time} ,"1"]]`)))
      assertFails(encode(responseWith(`[{"metric":{},"histograms":[[${time},{"count":"1","sum":"1"}]]}]`)))
    })

    it.each([
      "[",
      "[[",
      "[,]",
      '[[1,"1"],]',
      '[,[1,"1"]]',
      '[[1,"1"][2,"2"]]',
      '[[1,"1"];[2,"2"]]',
      '[[1,"1"]}',
      '[[1,"1"}]',
      '[[1,"1",]]',
      '[[1,"1","2"]]',
      "[[1]]",
      "[[1,]]",
      "[[]]",
      '[[,"1"]]',
      '[[1:"1"]]',
      '[{"1":"1"}]',
      "[null]",
      '[1,"1"]',
      "{}",
      '"1"',
      "1",
      "true",
      "nul",
      "nulls"
    ])("the samples are %s", (values) => assertFails(encode(withValues(values))))

    it.each([
      ['{"a":1}', "a number"],
      ['{"a":null}', "null"],
      ['{"a":{}}', "an object"],
      ['{"a":["b"]}', "a list"],
      ['{"a":true}', "a boolean"]
    ])("a label is not a text: %s", (metric) => {
      assertFails(encode(withMetric(metric)))
      assert.match(
        String(decodeUntilFailure([encode(withMetric(metric))]).outcome),
        /label a is not a string/
      )
    })

    it.each([
      "null",
      "[]",
      '"a"',
      "1",
      '[["a","b"]]',
      '{"a":"b",}',
      "{a:1}",
      '{"a" "b"}',
      '{"a":"\n"}',
      '{"a":"\\x"}'
    ])("the labels are %s", (metric) => assertFails(encode(withMetric(metric))))

    it("a series has no labels, or has them twice", () => {
      assertFails(encode(responseWith('[{"values":[[1,"1"]]}]')))
      assertFails(encode(responseWith("[{}]")))
      assertFails(encode(responseWith('[{"metric":{"a":"b"},"values":[],"metric":{"a":"b"}}]')))
    })

    it.each([
      '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"1"]}]}}',
      '{"status":"success","data":{"result":[{"metric":{"a":"b"},"value":[1,"1"]}],"resultType":"vector"}}',
      '{"status":"success","data":{"resultType":"vector","result":[]}}',
      '{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}',
      '{"status":"success","data":{"resultType":"string","result":[1,"a"]}}',
      '{"status":"success","data":{"resultType":"streams","result":[]}}'
    ])("the result is not a matrix: %s", (text) => assertFails(encode(text)))

    it.each([
      "{}",
      "[]",
      "null",
      '"x"',
      "<html></html>",
      "404 page not found",
      "\ufeff{}",
      '{"status":"success"}',
      '{"status":"success","data":null}',
      '{"status":"success","data":[]}',
      '{"status":"success","data":{}}',
      '{"status":"success","data":{"resultType":"matrix"}}',
      '{"status":null,"data":{"resultType":"matrix","result":[]}}',
      '{"status":true,"data":{"resultType":"matrix","result":[]}}',
      '{"data":{"resultType":"matrix","result":[]}}',
      '{"status":"success","data":{"resultType":"matrix","result":{}}}',
      '{"status":"success","data":{"resultType":"matrix","result":"x"}}',
      '{"status":"success","data":{"resultType":"matrix","result":[[]]}}',
      '{"status":"success","data":{"resultType":"matrix","result":[null]}}',
      '{"status":"success" "data":{}}',
      '{"status":"success",,"data":{}}',
      '{"status":"success","data":{"result":[]},}',
      '{"status":"success","x":,"data":{"result":[]}}',
      '{"status":,"data":{"result":[]}}',
      '{"status":"success","x","data":{"result":[]}}',
      "{status:1}",
      "{'status':1}",
      '{"status":"success","data":{"result":[]}]',
      '{"status":"success","data":{"result":[}}}',
      '{"status":"success"\u000b,"data":{"result":[]}}'
    ])("the response is %s", (text) => assertFails(encode(text)))

    it("a sample never ends", () => {
      const decoder = new ResponseDecoder()
      decoder.push(encode(responseWith('[{"metric":{},"values":[[1,"').slice(0, -2)))
      const digits = encode("1".repeat(1 << 16))
      assert.throws(() => {
        for (let i = 0; i < 40; i++) decoder.push(digits)
      }, DecodeError)
    })
  })

  describe("one byte changed", () => {
    const structural = encode('"\\[]{},:00129.-+eE nN/u\u0000')

    /** Replaces, adds or removes one byte. */
    const mutate = (choices: Choices, bytes: Uint8Array): Uint8Array => {
      const at = choices.below(bytes.length)
      const byte = choices.oneIn(3) ? choices.below(256) : structural[choices.below(structural.length)]!
      const kind = choices.below(4)
      return Buffer.concat([
        bytes.subarray(0, at),
        Uint8Array.from(kind === 0 ? [] : [byte]),
        bytes.subarray(kind === 1 ? at : at + 1)
      ])
    }

    it.prop(
      "gives the result of JSON.parse, or fails",
      [choices],
      ([choices]) => {
        const bytes = encode(randomResponse(choices, { unknownKeys: false }))
        for (let i = 0; i < 25; i++) {
          // The choices of the response may have used up the budget.
          const more = new Choices(choices.seed + i, 3000)
          const changed = mutate(more, bytes)
          let expected: PlainResponse | undefined
          try {
            expected = referenceDecode(changed)
          } catch {
            expected = undefined
          }
          for (const chunks of [[changed], randomChunks(more, changed)]) {
            const { outcome, samples } = decodeUntilFailure(chunks)
            const context = () => `${Buffer.from(changed).toString()} ${outcome}`
            if (expected === undefined) {
              assertDecodeError(outcome, context)
            } else {
              assertSame(outcome, expected.envelope, context)
              assertSame(samples, expected.samples, context)
            }
          }
        }
      },
      many
    )

    it.prop(
      "in skipped parts never causes a crash",
      [choices],
      ([choices]) => {
        const bytes = encode(randomResponse(choices, { unknownKeys: true }))
        for (let i = 0; i < 40; i++) {
          const more = new Choices(choices.seed + i, 3000)
          const { outcome } = decodeUntilFailure(randomChunks(more, mutate(more, bytes)))
          if (outcome instanceof Error) assert.instanceOf(outcome, DecodeError)
        }
      },
      some
    )
  })
})
