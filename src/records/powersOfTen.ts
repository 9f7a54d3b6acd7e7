/** Powers of ten for the shortest digits of floats: see `wasm/assembly/digits/shortestDigits.ts`. */

const LEAST = -292
const MOST = 324

/** The bits of each power. */
const BITS = 128n

const WORD = 64n

let computed: BigUint64Array | undefined

/** The 128 highest bits of each power from the least on, rounded up: the lower half, then the upper one. Takes a millisecond. */
export const powersOfTen = (): BigUint64Array => {
  computed ??= BigUint64Array.from(
    Array.from({ length: MOST - LEAST + 1 }, (_, i) => highestBits(LEAST + i)).flatMap((bits) => [
      BigInt.asUintN(64, bits),
      bits >> WORD
    ])
  )
  return computed
}

const highestBits = (exponent: number): bigint => {
  const power = 10n ** BigInt(Math.abs(exponent))
  const size = BigInt(power.toString(2).length)
  // A power that is a divisor has one bit more than its inverse has zeros.
  const [numerator, denominator] =
    exponent < 0
      ? [1n << (BITS + size - 1n), power]
      : size > BITS
        ? [power, 1n << (size - BITS)]
        : [power << (BITS - size), 1n]
  return (numerator + denominator - 1n) / denominator
}
