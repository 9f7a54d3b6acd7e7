/** Chunks of floats: what was written is read, bit by bit, and damage never becomes a sample that a slow reader does not find. */
import { assert, describe, it } from "@effect/vitest"
import { BitReader } from "../../../src/prometheus/remoteRead/BitReader.ts"
import { FloatColumns, type FloatTarget } from "../../../src/prometheus/remoteRead/FloatColumns.ts"
import { RemoteReadError } from "../../../src/prometheus/remoteRead/RemoteReadError.ts"
import { decodeXor2Chunk } from "../../../src/prometheus/remoteRead/xor2Chunk.ts"
import { decodeXorChunk } from "../../../src/prometheus/remoteRead/xorChunk.ts"
import { type Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { anySamples, anyStarts, type BitSample, bytesOf, textOf, xor2Chunk, xorChunk } from "./bitTexts.ts"
import { slowXor, slowXor2 } from "./slowChunks.ts"

type Decode = (reader: BitReader, room: (samples: number) => FloatTarget) => number

const reader = new BitReader()

/** The samples of a chunk that lies somewhere in other bytes. */
const decode = (decoder: Decode, bytes: Uint8Array): ReadonlyArray<BitSample> => {
  const around = new Uint8Array(bytes.length + 9).fill(0xff)
  around.set(bytes, 5)
  reader.load(around, 5, 5 + bytes.length)
  let columns = new FloatColumns(0)
  const count = decoder(reader, (samples) => {
    columns = new FloatColumns(samples + 3)
    return { columns, start: 3 }
  })
  const values = new BigUint64Array(columns.values.buffer)
  return Array.from({ length: count }, (_, i) => ({
    time: BigInt(columns.times[3 + i]!),
    value: values[3 + i]!
  }))
}

/** The samples, or the kind of the error; any other error is thrown. */
const outcome = (read: () => ReadonlyArray<BitSample>): ReadonlyArray<BitSample> | string => {
  try {
    return read()
  } catch (error) {
    if (error instanceof RemoteReadError) return error.kind
    throw error
  }
}

const encodings = [
  {
    name: "XOR",
    decoder: decodeXorChunk,
    slow: slowXor,
    write: (samples: ReadonlyArray<BitSample>, choices: Choices) => xorChunk(samples, choices)
  },
  {
    name: "XOR2",
    decoder: decodeXor2Chunk,
    slow: slowXor2,
    write: (samples: ReadonlyArray<BitSample>, choices: Choices) =>
      xor2Chunk(samples, anyStarts(choices, samples.length), choices)
  }
]

const options = { arbitrary: { runs: runs(50, 250) }, timeout: 60_000 }

describe.each(encodings)("a chunk of the encoding $name", ({ decoder, slow, write }) => {
  it.prop(
    "has the samples that were written, bit by bit",
    [choices],
    ([choices]) => {
      const samples = anySamples(choices, choices.pick([1, 2, 3, 130]))
      const bytes = bytesOf(write(samples, choices))
      assert.deepStrictEqual(decode(decoder, bytes), samples)
      assert.deepStrictEqual(slow(textOf(bytes)), samples)
    },
    options
  )

  it.prop(
    "that is damaged is refused, or has the samples that a slow reader finds",
    [choices],
    ([choices]) => {
      const samples = anySamples(choices, choices.pick([2, 20]))
      const bytes = bytesOf(write(samples, choices))
      for (let i = 0; i < 20; i++) {
        const changed = bytes.slice(0, choices.oneIn(3) ? choices.below(bytes.length + 1) : bytes.length)
        for (let changes = choices.below(4); changes > 0 && changed.length > 0; changes--) {
          changed[choices.below(changed.length)]! ^= 1 << choices.below(8)
        }
        assert.deepStrictEqual(
          outcome(() => decode(decoder, changed)),
          outcome(() => slow(textOf(changed)))
        )
      }
    },
    options
  )

  it("is refused where it is cut short, at every byte", () => {
    const samples = Array.from({ length: 40 }, (_, i) => ({
      time: BigInt(1000 + 17 * i + (i % 3)),
      value: BigInt(i * i) << 40n
    }))
    const none = {
      below: () => 0,
      oneIn: () => false,
      pick: <A>([first]: ReadonlyArray<A>) => first
    } as unknown as Choices
    const bytes = bytesOf(write(samples, none))
    assert.deepStrictEqual(decode(decoder, bytes), samples)
    for (let length = 0; length < bytes.length; length++) {
      assert.strictEqual(
        outcome(() => decode(decoder, bytes.subarray(0, length))),
        "damaged",
        `${length} bytes`
      )
    }
  })

  it("may be empty", () => {
    assert.deepStrictEqual(decode(decoder, new Uint8Array(3)), [])
  })
})
