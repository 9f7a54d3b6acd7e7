import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { decodeChunks } from "../../../src/prometheus/query/decodeChunks.ts"
import { choices } from "../../choices.ts"

/** Each byte is an item; 255 cannot be decoded. */
function* decode(chunk: Uint8Array): Iterable<number> {
  for (const byte of chunk) {
    if (byte === 255) throw new Error("not decoded")
    yield byte
  }
}

const decoded = decodeChunks(decode, () => "broken" as const)

describe("decodeChunks", () => {
  it.effect.prop(
    "emits everything decoded before a failure, in order and in steps that are not empty",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const chunks = choices.list(20, () => Uint8Array.from(choices.list(200, () => choices.below(255))))
        const isBroken = choices.oneIn(2)
        const at = choices.below(chunks.length + 1)
        if (isBroken) chunks.splice(at, 0, Uint8Array.of(7, 255, 8))
        const expected = chunks.slice(0, isBroken ? at : undefined).flatMap((chunk) => [...chunk])
        if (isBroken) expected.push(7)

        const seen: Array<number> = []
        const exit = yield* Stream.fromIterable(chunks, { chunkSize: 1 + choices.below(8) }).pipe(
          Stream.mapError((never): "broken" => never),
          decoded,
          Stream.chunks,
          Stream.runForEach((items) =>
            Effect.sync(() => {
              assert.isNotEmpty(items)
              seen.push(...items)
            })
          ),
          Effect.exit
        )
        assert.deepStrictEqual(seen, expected)
        assert.deepStrictEqual(exit, isBroken ? Exit.fail("broken") : Exit.void)
      })
  )

  it.effect("decodes a limited number of items per step", () =>
    Effect.gen(function* () {
      const sizes: Array<number> = []
      yield* Stream.fromIterable([Array.from({ length: 30 }, () => new Uint8Array(50))]).pipe(
        Stream.flattenIterable,
        decoded,
        Stream.chunks,
        Stream.runForEach((items) => Effect.sync(() => void sizes.push(items.length)))
      )
      assert.strictEqual(Math.max(...sizes), 100)
      assert.strictEqual(
        sizes.reduce((sum, size) => sum + size),
        1500
      )
    })
  )
})
