/** The bounds of exponential buckets, as the floats that Prometheus writes. */

/** The highest resolution: each power of two has 256 buckets. */
export const MAX_SCHEMA = 8

/**
 * By how many ulps (2^-53) Prometheus' bound is below the nearest float, plus 1, for each bound between 0.5 and 1. Prometheus
 * has these bounds in a table, with the rounding errors of the program that made it.
 */
const roundingErrors =
  "1111112111211111112311222222222211211121122211221122102211221122" +
  "1111112222332132112111211112111111121011213311221222112121332222" +
  "2121223322322122222222323233323311221121223321332233212232332232" +
  "2243223233433343333333444455435422322333324422333243223333543344"

/** The bounds from 1 on, below 2. */
const makeBounds = (): Float64Array => {
  const bounds = new Float64Array(256)
  // 2^(1/256) and its powers, exactly enough to be rounded correctly.
  const precision = 200n
  let root = 2n << precision
  for (let i = 0; i < MAX_SCHEMA; i++) root = squareRoot(root << precision)
  let power = 1n << precision
  const shift = precision - 52n
  for (let i = 0; i < bounds.length; i++) {
    const nearest = (power + (1n << (shift - 1n))) >> shift
    bounds[i] = (Number(nearest) + 1 - Number(roundingErrors.charAt(i))) / 2 ** 52
    power = (power * root) >> precision
  }
  return bounds
}

/** Made on first use, so that startup does not wait for it. */
let bounds: Float64Array | undefined

function squareRoot(square: bigint): bigint {
  let root = 1n << BigInt((square.toString(2).length + 1) >> 1)
  for (;;) {
    const next = (root + square / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

/** The upper bound of the bucket with an index: 2^(index / 2^schema). */
export const exponentialBound = (index: number, schema: number): number => {
  // The largest float is smaller than the bound of its bucket. The bucket after it has the infinities.
  if (schema <= 0) {
    const exponent = index * 2 ** -schema
    return exponent === 1024 ? Number.MAX_VALUE : 2 ** exponent
  }
  bounds ??= makeBounds()
  const fraction = bounds[(index & ((1 << schema) - 1)) << (MAX_SCHEMA - schema)]!
  const exponent = index >> schema
  if (fraction === 1 && exponent === 1024) return Number.MAX_VALUE
  // Below that, powers of two are rounded.
  return exponent < -1022 ? fraction * 2 ** (exponent + 100) * 2 ** -100 : fraction * 2 ** exponent
}
