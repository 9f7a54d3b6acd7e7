import { assert, describe, it } from "@effect/vitest"
import { LineBuffer } from "../../src/records/LineBuffer.ts"
import { choices } from "../choices.ts"

describe("LineBuffer", () => {
  it.prop("contains everything appended, in order", [choices], ([choices]) => {
    const buffer = new LineBuffer(choices.below(40))
    let expected: Array<number> = []
    for (let i = 0; i < 30; i++) {
      const bytes = Uint8Array.from(choices.list(50, () => choices.below(256)))
      if (choices.oneIn(8)) {
        buffer.length = 0
        expected = []
      }
      if (choices.oneIn(2)) {
        buffer.append(bytes)
      } else {
        buffer.reserve(bytes.length)
        buffer.bytes.set(bytes, buffer.length)
        buffer.length += bytes.length
      }
      expected.push(...bytes)
      assert.deepStrictEqual([...buffer.bytes.subarray(0, buffer.length)], expected)
    }
  })

  it("grows by doubling, so that appending stays cheap", () => {
    const buffer = new LineBuffer(16)
    let grown = 0
    let bytes = buffer.bytes
    for (let i = 0; i < 100_000; i++) {
      buffer.append(Uint8Array.of(i))
      if (buffer.bytes !== bytes) grown++
      bytes = buffer.bytes
    }
    assert.strictEqual(buffer.length, 100_000)
    assert.isBelow(grown, 20)
  })

  it("reserves more than twice its size at once", () => {
    const buffer = new LineBuffer(1)
    buffer.append(Uint8Array.of(7))
    buffer.append(new Uint8Array(1000).fill(8))
    assert.deepStrictEqual([...buffer.bytes.subarray(0, 3)], [7, 8, 8])
    assert.strictEqual(buffer.length, 1001)
  })

  it("does not reallocate if there is enough space", () => {
    const buffer = new LineBuffer(10)
    const { bytes } = buffer
    buffer.append(new Uint8Array(10))
    buffer.reserve(0)
    assert.strictEqual(buffer.bytes, bytes)
  })
})
