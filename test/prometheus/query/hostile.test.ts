/**
 * The decoder against responses that no Prometheus sends. Whatever the bytes, it returns their content or fails with a
 * `DecodeError`, and never emits a sample that they do not contain.
 *
 * MODEL_RUNS multiplies the number of random responses per property, and HOSTILE_SEED is their seed.
 */
import { isDeepStrictEqual } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { DecodeError } from "../../../src/prometheus/query/JsonCursor.ts"
import { type Envelope, ResponseDecoder } from "../../../src/prometheus/query/ResponseDecoder.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import { SeriesCache } from "../../../src/samples/Series.ts"
import { Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { lenientRead } from "./lenientReader.ts"
import { changeBytes, changeFrame, changeStructure, mutate } from "./mutations.ts"
import { randomChunks, randomResponse } from "./randomResponse.ts"
import { type PlainResponse, type PlainSample, plainSamples, referenceDecode } from "./referenceDecoder.ts"

const many = {
  arbitrary: { runs: runs(10, 150), seed: process.env.HOSTILE_SEED ?? "hostile" },
  timeout: 120_000 + 1000 * runs(10, 150)
}

interface Decoded {
  readonly samples: ReadonlyArray<PlainSample>
  readonly outcome: Envelope | DecodeError
}

/** Decodes until the end or a failure; rethrows anything but a `DecodeError`. */
const decode = (chunks: Iterable<Uint8Array>, cache?: SeriesCache): Decoded => {
  const decoder = new ResponseDecoder(cache)
  const blocks: Array<SampleBlock> = []
  let outcome: Decoded["outcome"]
  try {
    for (const chunk of chunks) blocks.push(...decoder.push(chunk))
    outcome = decoder.finish()
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    outcome = error
    // A failed decoder stays failed.
    assert.throws(() => decoder.finish(), DecodeError)
  }
  return { samples: plainSamples(blocks), outcome }
}

/** Compares deeply; chai is slow, so it only reports the difference. */
const assertSame = (actual: unknown, expected: unknown, context: () => string): void => {
  if (!isDeepStrictEqual(actual, expected)) assert.deepStrictEqual(actual, expected, context())
}

const show = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 3000)).toString("latin1")

const isMessage = ({ message }: DecodeError): boolean => /^\S.{5,250}$/s.test(message)

/**
 * Checks that the decoder finds exactly what the slow reader finds, however the bytes are cut: everything, or everything before
 * a break.
 */
const assertHonest = (choices: Choices, bytes: Uint8Array): Decoded => {
  const expected = lenientRead(bytes)
  const context = (decoded: Decoded) => () =>
    `${show(bytes)}\n${decoded.outcome}, expected ${expected.outcome}`
  const cuts = [[bytes], randomChunks(choices, bytes), randomChunks(choices, bytes)]
  const all = cuts.map((chunks) => {
    const decoded = decode(chunks)
    const { outcome, samples } = decoded
    if (typeof expected.outcome === "string") {
      if (!(outcome instanceof DecodeError)) assert.fail(`was accepted: ${context(decoded)()}`)
      if (!isMessage(outcome)) assert.fail(`says ${outcome.message}`)
      assertSame(samples, expected.samples.slice(0, samples.length), context(decoded))
    } else {
      assertSame(outcome, expected.outcome, context(decoded))
      assertSame(samples, expected.samples, context(decoded))
    }
    return decoded
  })
  return all[0]!
}

const original = (choices: Choices): Uint8Array =>
  Buffer.from(randomResponse(choices, { unknownKeys: choices.oneIn(4) }))

/** The choices of the response may have used up the budget. */
const more = ({ seed }: Choices, round: number): Choices => new Choices(seed + round, 3000)

const responseWith = (result: string): string =>
  `{"status":"success","data":{"resultType":"matrix","result":${result}}}`

const series = (values: string, metric = '{"a":"b"}'): string =>
  responseWith(`[{"metric":${metric},"values":${values}}]`)

describe("a changed response", () => {
  // The tests below compare the decoder with the slow reader, so this one compares that with JSON.parse.
  it.prop(
    "is read by the slow reader as by JSON.parse, if it is JSON",
    [choices],
    ([choices]) => {
      const responses = [original(choices)]
      for (let round = 0; round < 8; round++) responses.push(mutate(more(choices, round), responses[0]!))
      for (const bytes of responses) {
        const { hasTwins, outcome, samples } = lenientRead(bytes)
        let expected: PlainResponse | undefined
        try {
          expected = referenceDecode(bytes)
        } catch {
          continue
        }
        if (hasTwins) continue
        // JSON.parse reorders keys that are numbers; the reader keeps the order of the text.
        assertSame({ samples, envelope: outcome }, expected, () => show(bytes))
      }
      assert.isObject(lenientRead(responses[0]!).outcome)
    },
    many
  )

  const kinds = {
    "of its bytes": (choices: Choices, bytes: Uint8Array) => changeBytes(choices, bytes).bytes,
    "of its structure": changeStructure,
    "around it": changeFrame,
    "of several kinds": (choices: Choices, bytes: Uint8Array) =>
      changeBytes(choices, mutate(choices, bytes)).bytes
  }

  for (const [what, change] of Object.entries(kinds)) {
    it.prop(
      `${what} gives its samples before the break, and nothing else`,
      [choices],
      ([choices]) => {
        const bytes = original(choices)
        for (let round = 0; round < 6; round++) {
          const again = more(choices, round)
          assertHonest(again, change(again, bytes))
        }
      },
      many
    )
  }
})

describe("a response that is broken at one place", () => {
  it.prop(
    "gives the samples of the original before it",
    [choices],
    ([choices]) => {
      const bytes = original(choices)
      const { ends, samples } = lenientRead(bytes)
      for (let round = 0; round < 6; round++) {
        const again = more(choices, round)
        const { at, bytes: changed } = changeBytes(again, bytes)
        const decoded = decode(randomChunks(again, changed))
        if (!(decoded.outcome instanceof DecodeError)) continue
        // Labels may follow their samples: a sample is complete after both.
        const untouched = ends.findIndex((end) => end > at)
        const count = Math.min(untouched < 0 ? ends.length : untouched, decoded.samples.length)
        assertSame(decoded.samples.slice(0, count), samples.slice(0, count), () => show(changed))
      }
    },
    many
  )
})

describe("JSON that is nested 100,000 levels deep", () => {
  const DEPTH = 100_000
  const lists = "[".repeat(DEPTH) + "]".repeat(DEPTH)
  const objects = '{"a":'.repeat(DEPTH) + 1 + "}".repeat(DEPTH)

  for (const [what, deep] of Object.entries({ lists, objects })) {
    it.each([
      `{"status":${deep},"data":{"result":[]}}`,
      ...["warnings", "isPartial", "error", "errorType"].map(
        (key) => `{"status":"success","${key}":${deep},"data":{"result":[]}}`
      ),
      `{"status":"success","data":${deep}}`,
      `{"status":"success","data":{"resultType":"matrix","result":${deep}}}`,
      responseWith(`[${deep}]`),
      series(deep),
      series(`[[${deep},"1"]]`),
      series(`[[1,${deep}]]`),
      series('[[1,"1"]]', deep),
      series('[[1,"1"]]', `{"a":${deep}}`),
      responseWith(`[{"metric":{"a":"b"},"histograms":${deep}}]`),
      responseWith(`[{"metric":{"a":"b"},"histograms":[[1,${deep}]]}]`),
      responseWith(`[{"metric":{"a":"b"},"histograms":[[1,{"count":"1","sum":"1","buckets":${deep}}]]}]`),
      responseWith(
        `[{"metric":{"a":"b"},"histograms":[[1,{"count":"1","sum":"1","buckets":[[${deep},"1"]]}]]}]`
      ),
      deep,
      "[".repeat(DEPTH),
      '{"status":"success","data":'.repeat(DEPTH)
    ])(`is refused in a sentence: ${what}, case %#`, (text) => {
      const bytes = Buffer.from(text)
      for (const size of [bytes.length, 1000]) {
        const { outcome, samples } = decode(inChunks(bytes, size))
        if (!(outcome instanceof DecodeError)) assert.fail("was accepted")
        assert.isTrue(isMessage(outcome), outcome.message.slice(0, 1000))
        assert.deepStrictEqual(samples, [])
      }
    })

    it.each([
      `{"x":${deep},"status":"success","data":{"result":[]}}`,
      `{"status":"success","data":{"stats":${deep},"result":[]}}`
    ])(`does not matter in skipped parts: ${what}, case %#`, (text) => {
      assert.include(decode(inChunks(Buffer.from(text), 1000)).outcome, {
        status: "success",
        isEmpty: true
      })
    })
  }
})

function* inChunks(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.slice(from, from + size)
}

describe("something very long", () => {
  const long = (length: number): string => "x".repeat(length)
  const labels = (count: number): string =>
    `{${Array.from({ length: count }, (_, i) => `"l${i}":"${i}"`).join(",")}}`
  const megabytes = 1_000_000

  it.each([
    [
      "a label",
      series('[[1,"1"]]', `{"a":"${long(10 * megabytes)}"}`),
      /the labels of a series have more than 4 MiB/
    ],
    [
      "the name of a label",
      series('[[1,"1"]]', `{"${long(10 * megabytes)}":"a"}`),
      /the labels of a series have more than 4 MiB/
    ],
    ["a label that is not a string", series('[[1,"1"]]', `{"${long(megabytes)}":1}`), /is not a string/],
    [
      "a million labels",
      series('[[1,"1"]]', labels(1_000_000)),
      /the labels of a series have more than 4 MiB/
    ],
    ["a value", series(`[[1,"${"1".repeat(10 * megabytes)}"]]`), /longer than 4 KiB/],
    ["a value with escapes", series(`[[1,"${"\\u0031".repeat(megabytes)}"]]`), /longer than 4 KiB/],
    ["a time", series(`[[${"1".repeat(10 * megabytes)},"1"]]`), /longer than 4 KiB/],
    [
      "a number of a histogram",
      responseWith(`[{"metric":{},"histograms":[[1,{"count":"${"1".repeat(20 * megabytes)}","sum":"1"}]]}]`),
      /longer than 16384 KiB/
    ],
    [
      "a key",
      `{"${long(20 * megabytes)}":1,"status":"success","data":{"result":[]}}`,
      /longer than 16384 KiB/
    ],
    ["a status", `{"status":"${long(20 * megabytes)}","data":{"result":[]}}`, /longer than 16384 KiB/],
    [
      "a type",
      `{"status":"success","data":{"resultType":"${long(megabytes)}","result":[]}}`,
      /is a x+, not a matrix/
    ]
  ])("is refused in a short sentence: %s", (_, text, message) => {
    // In chunks as from a socket.
    const { outcome, samples } = decode(inChunks(Buffer.from(text), 65_536))
    if (!(outcome instanceof DecodeError)) assert.fail("was accepted")
    assert.isTrue(isMessage(outcome), outcome.message.slice(0, 1000))
    assert.match(outcome.message, message)
    assert.deepStrictEqual(samples, [])
  })

  it("is read if it is within the limits: labels of 1 MB, a value of 400 digits, a warning, spaces", () => {
    const label = long(megabytes)
    const digits = "7".repeat(400)
    const text = `{"warnings":["${long(5 * megabytes)}"],${" ".repeat(5 * megabytes)}${series(`[[1,"${digits}"]]`, `{"a":"${label}"}`).slice(1)}`
    const { outcome, samples } = decode(inChunks(Buffer.from(text), 1460))
    assert.deepStrictEqual(outcome instanceof DecodeError ? outcome : outcome.status, "success")
    assert.deepStrictEqual(samples, [{ series: 0, labels: [["a", label]], time: 1000, value: digits }])
  })

  it.each([
    [100, `{"error":"${long(8 * megabytes)}","status":"success","data":{"result":[]}}`],
    [1, `{"error":"${long(megabytes / 5)}","status":"success","data":{"result":[]}}`],
    [1460, series('[[1,"1"]]', `{"a":"${long(megabytes)}"}`)],
    [1460, series('[[1,"1"]]', labels(50_000))],
    [7, series(`[${'[1,"1"],'.repeat(20_000)}[2,"2"]]`)]
  ])("is copied a few times at most, even in chunks of %i bytes", (size, text) => {
    const bytes = Buffer.from(text)
    const chunks = [...inChunks(bytes, size)]
    assert.strictEqual(countingCopies(() => decode(chunks).outcome instanceof DecodeError).result, false)
    assert.isBelow(countingCopies(() => decode(chunks)).copied, 8 * bytes.length)
  })

  it("limits the samples that wait for their labels", () => {
    const decoder = new ResponseDecoder()
    decoder.push(Buffer.from('{"status":"success","data":{"result":[{"values":[[1,"1"]'))
    const chunk = Buffer.from(',[1767225600,"1"]'.repeat(4000))
    let pushed = 0
    assert.throws(() => {
      for (; pushed < 100 * megabytes; pushed += chunk.length) decoder.push(chunk)
    }, DecodeError)
    assert.isBelow(pushed, 20 * megabytes)
  })
})

/** How many bytes are copied from one array to another. */
const countingCopies = <A>(act: () => A): { readonly result: A; readonly copied: number } => {
  const prototype: Uint8Array = Object.getPrototypeOf(Uint8Array.prototype)
  const { set } = prototype
  let copied = 0
  prototype.set = function (source, offset) {
    copied += source.length
    return Reflect.apply(set, this, [source, offset])
  }
  try {
    return { result: act(), copied }
  } finally {
    prototype.set = set
  }
}

describe("series of earlier responses", () => {
  it("are not kept if their labels are long", () => {
    const cache = new SeriesCache()
    const metric = (i: number): string => `{"a":"${i}${"x".repeat(500_000)}"}`
    for (let i = 0; i < 20; i++) decode([Buffer.from(series('[[1,"1"]]', metric(i)))], cache)
    const known = Array.from({ length: 20 }, (_, i) => cache.get(metric(i)) !== undefined)
    assert.deepStrictEqual(
      known,
      Array.from({ length: 20 }, (_, i) => i < 8)
    )
  })
})
