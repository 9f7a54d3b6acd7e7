/** Snappy: blocks of a slow writer, and of a server. */
import { assert, describe, it } from "@effect/vitest"
import { RemoteReadError } from "../../../src/prometheus/remoteRead/RemoteReadError.ts"
import { snappyDecompress, snappyLiteral } from "../../../src/prometheus/remoteRead/snappy.ts"
import { type Choices, choices } from "../../choices.ts"
import { varint } from "../../support/remoteWrite.ts"
import { runs } from "../../support/runs.ts"

const options = { arbitrary: { runs: runs(50, 250) }, timeout: 60_000 }

const littleEndian = (value: number, width: number): Buffer => {
  const bytes = Buffer.alloc(width)
  if (width > 0) bytes.writeUIntLE(value, 0, width)
  return bytes
}

/** A literal, with its length in the tag or in one to four bytes. */
const literal = (content: Buffer, choices: Choices): Buffer => {
  const last = content.length - 1
  const fitting = [0, 1, 2, 3, 4].filter((width) => (width === 0 ? last < 60 : last < 256 ** width))
  const width = choices.pick(fitting)
  const tag = width === 0 ? last : 59 + width
  return Buffer.concat([Buffer.of(tag << 2), littleEndian(last, width), content])
}

/** A copy from a distance, with an offset of one, two or four bytes. */
const copy = (distance: number, length: number, choices: Choices): Buffer => {
  const isShort = distance < 2048 && length >= 4 && length < 12
  const form = choices.pick([...(isShort ? [1] : []), ...(distance < 65_536 ? [2] : []), 4])
  if (form === 1) return Buffer.of(((distance >> 8) << 5) | ((length - 4) << 2) | 1, distance & 255)
  return Buffer.concat([Buffer.of(((length - 1) << 2) | (form === 2 ? 2 : 3)), littleEndian(distance, form)])
}

/** Some content, and a block with literals and copies for it. */
const anyBlock = (choices: Choices) => {
  let content = Buffer.alloc(0)
  const elements: Array<Buffer> = []
  for (let n = choices.between(0, 12); n > 0; n--) {
    if (content.length === 0 || choices.oneIn(3)) {
      const length = choices.pick([1, 4, 59, 60, 61, 255, 256, 257, 70_000])
      const added = Buffer.alloc(length, choices.below(256) + 1)
      added[length - 1] = choices.below(256)
      content = Buffer.concat([content, added])
      elements.push(literal(added, choices))
    } else {
      const distance = choices.between(1, content.length)
      const length = choices.between(1, 64)
      elements.push(copy(distance, length, choices))
      for (let i = 0; i < length; i++) {
        content = Buffer.concat([
          content,
          content.subarray(content.length - distance, content.length - distance + 1)
        ])
      }
    }
  }
  return { content, block: Buffer.concat([varint(content.length), ...elements]) }
}

describe("snappy", () => {
  it.prop(
    "decompresses literals and copies of all forms",
    [choices],
    ([choices]) => {
      const { block, content } = anyBlock(choices)
      assert.strictEqual(Buffer.compare(snappyDecompress(block, 10_000_000), content), 0)
    },
    options
  )

  it.prop(
    "refuses damage, or decompresses to the length that it claims",
    [choices],
    ([choices]) => {
      const { block } = anyBlock(choices)
      const changed = Uint8Array.from(
        block.subarray(0, choices.oneIn(3) ? choices.below(block.length + 1) : block.length)
      )
      for (let n = choices.below(5); n > 0 && changed.length > 0; n--) {
        changed[choices.below(Math.min(40, changed.length))]! ^= 1 << choices.below(8)
      }
      try {
        assert.isAtMost(snappyDecompress(changed, 10_000_000).length, 10_000_000)
      } catch (error) {
        assert.instanceOf(error, RemoteReadError)
      }
    },
    options
  )

  it.each([0, 1, 60, 127, 128, 300, 70_000])("compresses %i bytes as a literal", (length) => {
    const content = Buffer.from(Array.from({ length }, (_, i) => i % 251))
    assert.strictEqual(Buffer.compare(snappyDecompress(snappyLiteral(content), length), content), 0)
  })

  it("refuses more than the limit, and a claim that the bytes cannot keep", () => {
    const kindOf = (bytes: Uint8Array) => {
      try {
        return snappyDecompress(bytes, 1000).length
      } catch (error) {
        return (error as RemoteReadError).kind
      }
    }
    assert.strictEqual(kindOf(varint(1001)), "oversized")
    assert.strictEqual(kindOf(varint(1000)), "damaged")
    assert.strictEqual(kindOf(Buffer.of(4, 0, 1)), "damaged")
    assert.strictEqual(kindOf(new Uint8Array(0)), "damaged")
  })
})
