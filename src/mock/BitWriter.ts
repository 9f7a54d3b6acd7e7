/** Writes bits, the highest of a byte first. */

/** The bits of a float. */
export const floatBits = (value: number): bigint => {
  view.setFloat64(0, value)
  return view.getBigUint64(0)
}

const view = new DataView(new ArrayBuffer(8))

/** A growing sequence of bits. */
export class BitWriter {
  readonly #bytes: Array<number> = []
  /** The last bits, which do not fill a byte yet. */
  #pending = 0
  #pendingBits = 0

  /** The lowest `count` bits of an integer, negative ones in two's complement. */
  write(value: bigint | number, count: number): this {
    let rest = BigInt.asUintN(count, BigInt(value))
    for (let left = count; left > 0; ) {
      const taken = Math.min(left, 8 - this.#pendingBits)
      left -= taken
      const bits = Number(rest >> BigInt(left))
      rest = BigInt.asUintN(left, rest)
      this.#pending = (this.#pending << taken) | bits
      this.#pendingBits += taken
      if (this.#pendingBits < 8) break
      this.#bytes.push(this.#pending)
      this.#pending = 0
      this.#pendingBits = 0
    }
    return this
  }

  /** A float. */
  float(value: number): this {
    return this.write(floatBits(value), 64)
  }

  /** Seven bits per byte, lowest first. */
  uvarint(value: bigint): this {
    let rest = value
    for (; rest > 0x7fn; rest >>= 7n) this.write((rest & 0x7fn) | 0x80n, 8)
    return this.write(rest, 8)
  }

  /** The same for integers that may be negative, by zigzag. */
  varint(value: bigint): this {
    return this.uvarint(value < 0n ? -2n * value - 1n : 2n * value)
  }

  /** All bits. The last byte is filled with zeros. */
  get bytes(): Uint8Array {
    const last = this.#pendingBits === 0 ? [] : [this.#pending << (8 - this.#pendingBits)]
    return Uint8Array.from([...this.#bytes, ...last])
  }
}
