/** Arrays are reused, but never under a block that is still in use. */
import { assert, describe, it } from "@effect/vitest"
import { ResponseDecoder } from "../../src/prometheus/query/ResponseDecoder.ts"
import { recycle } from "../../src/samples/Arena.ts"
import { type SampleBlock, type TextBlock, textAt } from "../../src/samples/Sample.ts"
import { choices } from "../choices.ts"
import { runs } from "../support/runs.ts"

const T0 = 1_767_225_600

/** A response with one series. Its values encode the response and the sample. */
const response = (n: number, samples: number): Uint8Array =>
  Buffer.from(
    `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"n":"${n}"},"values":[${Array.from(
      { length: samples },
      (_, i) => `[${T0 + i},"${n}.${i}1"]`
    ).join(",")}]}]}}`
  )

const decode = (n: number, samples: number): ReadonlyArray<SampleBlock> => {
  const decoder = new ResponseDecoder()
  const bytes = response(n, samples)
  const blocks: Array<SampleBlock> = []
  for (let at = 0; at < bytes.length; at += 60_000)
    blocks.push(...decoder.push(bytes.subarray(at, at + 60_000)))
  decoder.finish()
  return blocks
}

const check = (blocks: ReadonlyArray<SampleBlock>, n: number, samples: number): void => {
  let i = 0
  for (const block of blocks as ReadonlyArray<TextBlock>) {
    for (let j = 0; j < block.length; j++, i++) {
      if (block.times[j] !== (T0 + i) * 1000) assert.fail(`time ${i} of response ${n}`)
      if (textAt(block, j) !== `${n}.${i}1`) assert.fail(`value ${i} of response ${n}`)
    }
  }
  assert.strictEqual(i, samples)
}

const buffersOf = (blocks: ReadonlyArray<SampleBlock>) => new Set(blocks.map(({ times }) => times.buffer))

describe("recycle", () => {
  it.prop(
    "does not change blocks that are not recycled, in any order of decoding and recycling",
    [choices],
    ([choices]) => {
      const kept: Array<{
        readonly blocks: ReadonlyArray<SampleBlock>
        readonly n: number
        readonly samples: number
      }> = []
      for (let n = 1; n < 12; n++) {
        const samples = choices.pick([1, 300, 9000, 30_000])
        kept.push({ blocks: decode(n, samples), n, samples })
        if (choices.oneIn(2)) {
          const [done] = kept.splice(choices.below(kept.length), 1)
          check(done!.blocks, done!.n, done!.samples)
          for (const block of done!.blocks) recycle(block)
        }
      }
      for (const { blocks, n, samples } of kept) check(blocks, n, samples)
    },
    { arbitrary: { runs: runs(5, 75) }, timeout: 60_000 }
  )

  it("lets later responses use the same arrays", () => {
    const first = decode(1, 40_000)
    const used = buffersOf(first)
    for (const block of first) recycle(block)
    const again = [...buffersOf(decode(2, 40_000))].filter((buffer) => used.has(buffer))
    assert.isAbove(again.length, 2)
  })

  it("keeps arrays until all of their blocks are recycled", () => {
    const first = decode(1, 40_000)
    const kept = first[Math.floor(first.length / 2)] as TextBlock
    const before = Array.from(kept.times)
    for (const block of first) if (block !== kept) recycle(block)
    decode(2, 60_000)
    assert.deepStrictEqual(Array.from(kept.times), before)
  })
})
