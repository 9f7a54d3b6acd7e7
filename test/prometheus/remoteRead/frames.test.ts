/** Frames and their checksums: found in pieces of any size, and refused if anything is wrong with them. */
import { assert, describe, it } from "@effect/vitest"
import { crc32c } from "../../../src/prometheus/remoteRead/crc32c.ts"
import { FrameReader } from "../../../src/prometheus/remoteRead/FrameReader.ts"
import { RemoteReadError } from "../../../src/prometheus/remoteRead/RemoteReadError.ts"
import { type Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { frame, pieces } from "./messages.ts"

const options = { arbitrary: { runs: runs(30, 200) }, timeout: 60_000 }

const anyBytes = (choices: Choices, maximum: number): Uint8Array =>
  Uint8Array.from({ length: choices.below(maximum + 1) }, () => choices.below(256))

/** One bit at a time. */
const slowCrc = (bytes: Uint8Array): number => {
  let crc = 0xffffffffn
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f63b78n : crc >> 1n
  }
  return Number(crc ^ 0xffffffffn)
}

describe("crc32c", () => {
  it("has the check value of the standard", () => {
    assert.strictEqual(crc32c(Buffer.from("123456789")), 0xe3069283)
    assert.strictEqual(crc32c(new Uint8Array(0)), 0)
    // More than the program takes at once.
    const long = Uint8Array.from({ length: 200_003 }, (_, i) => (i * i) >> 3)
    assert.strictEqual(crc32c(long, 1), slowCrc(long.subarray(1)))
  })

  it.prop(
    "is what a slow loop computes, of any part",
    [choices],
    ([choices]) => {
      const bytes = anyBytes(choices, 100)
      const start = choices.below(bytes.length + 1)
      const end = choices.between(start, bytes.length)
      assert.strictEqual(crc32c(bytes, start, end), slowCrc(bytes.subarray(start, end)))
    },
    options
  )
})

/** All frames, and the kind of the error that ends them. */
const read = (chunks: ReadonlyArray<Uint8Array>, reader = new FrameReader()) => {
  const frames: Array<string> = []
  try {
    for (const chunk of chunks) {
      for (const content of reader.push(chunk)) frames.push(Buffer.from(content).toString("hex"))
    }
    reader.finish()
    return { frames, error: undefined }
  } catch (error) {
    if (error instanceof RemoteReadError) return { frames, error }
    throw error
  }
}

describe("FrameReader", () => {
  it.prop(
    "finds the frames in pieces of any size",
    [choices],
    ([choices]) => {
      const contents = choices.list(6, () => anyBytes(choices, choices.pick([0, 3, 200, 20_000])))
      const bytes = Buffer.concat(contents.map(frame))
      assert.deepStrictEqual(read(pieces(choices, bytes)), {
        frames: contents.map((content) => Buffer.from(content).toString("hex")),
        error: undefined
      })
    },
    options
  )

  it.prop(
    "never returns a frame that was changed or cut short",
    [choices],
    ([choices]) => {
      const contents = choices.list(4, () => anyBytes(choices, 40))
      const bytes = Buffer.concat([...contents, anyBytes(choices, 9)].map(frame))
      const right = contents.map((content) => Buffer.from(content).toString("hex"))
      const cut = bytes.subarray(0, choices.below(bytes.length))
      const { error, frames } = read(pieces(choices, cut))
      assert.deepStrictEqual(frames, right.slice(0, frames.length))
      const ends = contents.map((_, i) => Buffer.concat(contents.slice(0, i + 1).map(frame)).length)
      assert.strictEqual(error === undefined, cut.length === 0 || ends.includes(cut.length))
      const changed = Uint8Array.from(bytes)
      changed[choices.below(changed.length)]! ^= 1 << choices.below(8)
      const damage = read(pieces(choices, changed))
      assert.deepStrictEqual(damage.frames, right.slice(0, damage.frames.length))
      assert.isDefined(damage.error)
    },
    options
  )

  it("reads a server's error after the last frame", () => {
    const { error, frames } = read([
      frame(Buffer.from("ab")),
      Buffer.from("query cancelled:\n no more memory\n")
    ])
    assert.deepStrictEqual(frames, ["6162"])
    assert.strictEqual(
      error?.message,
      'it ends with the text "query cancelled: no more memory" instead of a frame'
    )
  })

  it("refuses a frame that is too large before it arrives", () => {
    const limited = () => new FrameReader(1000)
    assert.isUndefined(read([frame(new Uint8Array(1000))], limited()).error)
    const { error } = read([Buffer.of(0xe9, 0x07)], limited())
    assert.strictEqual(error?.kind, "oversized")
    assert.strictEqual(error?.message, "the frame at byte 0 claims 1001 bytes, but at most 1000 are read")
    const endless = read([new Uint8Array(20).fill(0x80)])
    assert.strictEqual(endless.error?.kind, "damaged")
  })

  it("names the place of damage", () => {
    const second = frame(Buffer.from("b"))
    second[second.length - 1]! ^= 1
    const { error } = read([Buffer.concat([frame(Buffer.from("a")), second])])
    assert.strictEqual(error?.message, "the frame at byte 6 does not match its checksum")
  })
})
