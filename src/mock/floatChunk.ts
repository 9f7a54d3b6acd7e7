/** Chunks of floats in the encoding XOR. */
import { BitWriter, floatBits } from "./BitWriter.ts"

/** A float, or the marker that ends a series. */
export type FloatValue = number | "stale"

/** The bits of the marker, a NaN of its own. */
const STALE = 0x7ff0000000000002n

/** The bits of a value. */
export const valueBits = (value: FloatValue): bigint => (value === "stale" ? STALE : floatBits(value))

/** The lengths of the change of an interval, by the ones before it. */
const intervalLengths = [14, 17, 20] as const

/** The samples of a chunk, at most 65,535. */
export const floatChunk = (times: ReadonlyArray<number>, values: ReadonlyArray<FloatValue>): Uint8Array => {
  const writer = new BitWriter().write(times.length, 16)
  const changes = new ChangeWriter(writer)
  let before = 0n
  let interval = 0n
  for (const [i, value] of values.entries()) {
    const time = BigInt(times[i]!)
    const difference = time - before
    if (i === 0) writer.varint(time).write(valueBits(value), 64)
    else if (i === 1) writer.uvarint(difference)
    else writeIntervalChange(writer, difference - interval)
    interval = difference
    before = time
    if (i === 0) changes.before = valueBits(value)
    else changes.write(valueBits(value))
  }
  return writer.bytes
}

const writeIntervalChange = (writer: BitWriter, change: bigint): void => {
  if (change === 0n) {
    writer.write(0, 1)
    return
  }
  const ones = intervalLengths.findIndex((length) => {
    const half = 1n << BigInt(length - 1)
    return change > -half && change <= half
  })
  if (ones < 0) writer.write(0b1111, 4).write(change, 64)
  else writer.write(2 ** (ones + 2) - 2, ones + 2).write(change, intervalLengths[ones]!)
}

/** Writes which bits of a value differ from those of the value before. */
class ChangeWriter {
  before = 0n
  readonly #writer: BitWriter
  /** The bits that the last change with a window of its own was in: so many are unchanged on both sides. */
  #leading = 64
  #trailing = 0

  constructor(writer: BitWriter) {
    this.#writer = writer
  }

  write(bits: bigint): void {
    const change = bits ^ this.before
    this.before = bits
    if (change === 0n) {
      this.#writer.write(0, 1)
      return
    }
    const text = change.toString(2)
    const leading = Math.min(31, 64 - text.length)
    const trailing = text.length - 1 - text.lastIndexOf("1")
    if (leading >= this.#leading && trailing >= this.#trailing) this.#writer.write(0b10, 2)
    else {
      this.#leading = leading
      this.#trailing = trailing
      // 64 bits are written as 0.
      this.#writer
        .write(0b11, 2)
        .write(leading, 5)
        .write((64 - leading - trailing) % 64, 6)
    }
    this.#writer.write(change >> BigInt(this.#trailing), 64 - this.#leading - this.#trailing)
  }
}
