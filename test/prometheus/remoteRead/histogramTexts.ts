/** Chunks of native histograms written the slow, obvious way, and histograms rendered from their definition. */
import type { Histogram } from "../../../src/samples/Sample.ts"
import type { Choices } from "../../choices.ts"
import {
  anyStarts,
  bits,
  bitsOf,
  STALE,
  start,
  startHeader,
  varbitInt,
  varbitUint,
  xorWriter
} from "./bitTexts.ts"

/** Buckets without a gap. */
interface Span {
  readonly offset: number
  readonly length: number
}

/** What the histograms of a chunk have in common. */
export interface ChunkLayout {
  readonly schema: number
  readonly zeroThreshold: number
  readonly positive: ReadonlyArray<Span>
  readonly negative: ReadonlyArray<Span>
  readonly bounds: ReadonlyArray<number>
}

/** One histogram of integers, as `bigint`, or of floats. */
export interface ChunkHistogram<Count extends bigint | number> {
  readonly time: bigint
  /** The bits of the sum. */
  readonly sum: bigint
  readonly count: Count
  readonly zeroCount: Count
  readonly positive: ReadonlyArray<Count>
  readonly negative: ReadonlyArray<Count>
}

const lengthOf = (spans: ReadonlyArray<Span>): number => spans.reduce((sum, { length }) => sum + length, 0)

const spansText = (spans: ReadonlyArray<Span>): string =>
  varbitUint(BigInt(spans.length)) +
  spans.map(({ length, offset }) => varbitUint(BigInt(length)) + varbitInt(BigInt(offset))).join("")

const boundText = (bound: number): string => {
  const thousandths = Math.round(bound * 1000)
  return bound >= 0 && bound * 1000 <= 33_554_430 && thousandths / 1000 === bound
    ? varbitUint(BigInt(thousandths + 1))
    : `0${bits(bitsOf(bound), 64)}`
}

const thresholdText = (threshold: number): string => {
  const exponent = Math.log2(threshold)
  return threshold === 0
    ? bits(0, 8)
    : Number.isInteger(exponent) && exponent >= -243 && exponent <= 10
      ? bits(exponent + 244, 8)
      : bits(255, 8) + bits(bitsOf(threshold), 64)
}

const layoutText = ({ bounds, negative, positive, schema, zeroThreshold }: ChunkLayout): string =>
  thresholdText(zeroThreshold) +
  varbitInt(BigInt(schema)) +
  spansText(positive) +
  spansText(negative) +
  (schema === -53 ? varbitUint(BigInt(bounds.length)) + bounds.map(boundText).join("") : "")

/** A chunk. Histograms of integers are `bigint`. */
export const histogramChunk = <Count extends bigint | number>(
  layout: ChunkLayout,
  histograms: ReadonlyArray<ChunkHistogram<Count>>,
  hasStarts: boolean,
  choices: Choices
): string => {
  const isFloat = typeof histograms[0]!.count === "number"
  const starts = anyStarts(choices, histograms.length)
  const reset = bits(choices.below(4), 2)
  let text = hasStarts
    ? reset + bits(histograms.length, 14) + startHeader(starts)
    : bits(histograms.length, 16) + reset + bits(0, 6)
  text += layoutText(layout)
  const changes: Array<bigint> = []
  const values: Array<bigint> = []
  /** An integer by the change of its change. */
  const integer = (slot: number, value: bigint, i: number, isUnsigned: boolean) => {
    if (i === 0) {
      values[slot] = value
      changes[slot] = 0n
      return isUnsigned ? varbitUint(value) : varbitInt(value)
    }
    const change = BigInt.asIntN(64, value - values[slot]!)
    const difference = BigInt.asIntN(64, change - changes[slot]!)
    values[slot] = value
    changes[slot] = change
    return varbitInt(difference)
  }
  const writers = new Map<number, (value: bigint) => string>()
  const float = (slot: number, value: bigint) => {
    const write = writers.get(slot) ?? xorWriter(choices)
    writers.set(slot, write)
    return write(value)
  }
  histograms.forEach(({ count, negative, positive, sum, time, zeroCount }, i) => {
    text += integer(0, time, i, false)
    if (isFloat) text += float(1, bitsOf(Number(count))) + float(2, bitsOf(Number(zeroCount)))
    else text += integer(1, BigInt(count), i, true) + integer(2, BigInt(zeroCount), i, true)
    text += float(3, sum)
    if (i === 0 || sum !== STALE) {
      let slot = 4
      for (const side of [positive, negative]) {
        let before = 0n
        for (const own of side) {
          if (isFloat) text += float(slot++, bitsOf(Number(own)))
          else {
            text += integer(slot++, BigInt.asIntN(64, BigInt(own) - before), i, false)
            before = BigInt(own)
          }
        }
      }
    }
    if (hasStarts) text += start(starts, i, choices)
  })
  return text
}

/** A number as servers write it. */
const textOf = (value: number): string =>
  Object.is(value, -0)
    ? "-0"
    : String(value)
        .replace(/^Infinity/, "+Inf")
        .replace("-Infinity", "-Inf")
        .replace(/e([+-])(\d)$/, "e$10$2")

const valueOf = (bits: bigint): number => {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, bits)
  return view.getFloat64(0)
}

/** The histogram as servers write it. The bounds of exponential buckets are those of powers of two: schemas up to 0. */
export const rendered = (
  { bounds, negative, positive, schema, zeroThreshold }: ChunkLayout,
  own: ChunkHistogram<bigint | number>
): Histogram => {
  const indexes = (spans: ReadonlyArray<Span>) => {
    const found: Array<number> = []
    let next = 0
    for (const { length, offset } of spans) {
      next += offset
      for (let i = 0; i < length; i++) found.push(next++)
    }
    return found
  }
  const bound = (index: number): number => {
    if (schema === -53) return index < 0 ? -Infinity : (bounds[index] ?? Infinity)
    const exponent = index * 2 ** -schema
    return exponent === 1024 ? Number.MAX_VALUE : 2 ** exponent
  }
  const buckets = (spans: ReadonlyArray<Span>, counts: ReadonlyArray<bigint | number>) =>
    indexes(spans)
      .map((index, i) => ({ index, count: Number(counts[i]) }))
      .filter(({ count }) => count !== 0)
      .map(({ count, index }) => {
        const low = bound(index - 1)
        return {
          index,
          count: textOf(count),
          low: low > 0 && low < zeroThreshold ? zeroThreshold : low,
          high: bound(index)
        }
      })
  const below = buckets(negative, own.negative).map(({ count, high, low }) => ({
    boundaries: high > 0 ? 1 : 2,
    lower: textOf(-high),
    upper: textOf(-low),
    count
  }))
  const above = buckets(positive, own.positive).map(({ count, high, index, low }) => ({
    boundaries: schema === -53 && index === 0 ? 3 : schema === -53 || high > 0 ? 0 : 2,
    lower: textOf(low),
    upper: textOf(high),
    count
  }))
  const zero =
    Number(own.zeroCount) > 0
      ? [
          {
            boundaries: 3,
            lower: textOf(-zeroThreshold),
            upper: textOf(zeroThreshold),
            count: textOf(Number(own.zeroCount))
          }
        ]
      : []
  return {
    count: textOf(Number(own.count)),
    sum: textOf(valueOf(own.sum)),
    buckets: [...below.toReversed(), ...zero, ...above]
  }
}

const anySpans = (choices: Choices, from: number): ReadonlyArray<Span> =>
  choices.list(3, (i) => ({
    offset: i === 0 ? choices.between(from, 5) : choices.below(4),
    length: choices.below(4)
  }))

/** A layout of exponential buckets with bounds that are powers of two, or of custom buckets. */
export const anyLayout = (choices: Choices): ChunkLayout => {
  if (choices.oneIn(3)) {
    const bounds = choices.pick([[], [1], [-5, -0.25, 0, 0.005, 1 / 3, 2.5, 33_554.43, 33_554.431, 1e300]])
    const offset = choices.below(bounds.length + 1)
    return {
      schema: -53,
      zeroThreshold: 0,
      positive: [{ offset, length: choices.between(0, bounds.length + 1 - offset) }],
      negative: [],
      bounds
    }
  }
  return {
    schema: choices.pick([0, -1, -4, -9]),
    zeroThreshold: choices.pick([0, 2 ** -128, 2 ** -243, 1024, 0.001, 3, 2048]),
    positive: anySpans(choices, -6),
    negative: anySpans(choices, -6),
    bounds: []
  }
}

/** Histograms with a layout. Some are stale. */
export const anyHistograms = <Count extends bigint | number>(
  choices: Choices,
  { negative, positive, schema }: ChunkLayout,
  count: () => Count
): ReadonlyArray<ChunkHistogram<Count>> => {
  let time = BigInt(choices.pick([0, 1_767_225_600_000]))
  const none = (typeof count() === "bigint" ? 0n : 0) as Count
  return Array.from({ length: choices.between(1, 12) }, (_, i) => {
    time += BigInt(choices.pick([1, 15_000, 15_000, 60_000, 10 ** 10]))
    return {
      time,
      // A chunk that begins with a stale marker has no buckets.
      sum:
        i > 0 && choices.oneIn(6)
          ? STALE
          : bitsOf(choices.pick([0, -0, 1.5, -3, 1e300, Number.NaN, Infinity])),
      count: count(),
      zeroCount: schema === -53 ? none : count(),
      positive: Array.from({ length: lengthOf(positive) }, count),
      negative: Array.from({ length: lengthOf(negative) }, count)
    }
  })
}

/** Counts of any size. A server has unsigned ones, and so large ones only by accident. */
export const anyInteger = (choices: Choices): bigint =>
  choices.pick([0n, 1n, 7n, BigInt(choices.below(2 ** 32)), 2n ** 53n + 1n, 2n ** 62n + 12_345n])

export const anyFloat = (choices: Choices): number =>
  choices.pick([0, 1, 0.5, choices.below(1000) / 7, 1e22, -2, Number.NaN])
