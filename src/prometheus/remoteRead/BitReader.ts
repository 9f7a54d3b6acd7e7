/** Reads the bits of a chunk, the highest of a byte first. Integers of 64 bits are read as two halves. */
import { damaged } from "./RemoteReadError.ts"

/** Zeros after the end, so that loops may look ahead: see `wasm/assembly/decodeXor.ts`. */
const PADDING_BYTES = 48

/** A cursor over the bits of one chunk at a time. */
export class BitReader {
  /** The bytes of the chunk, then zeros. */
  bytes = new Uint8Array(4096)
  view = new DataView(this.bytes.buffer)
  /** The next bit, and the number of bits. */
  position = 0
  end = 0
  /** The halves of the last integer of 64 bits, as unsigned integers. */
  high = 0
  low = 0

  /** Starts to read `bytes[start … end)`, which is copied. */
  load(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (length + PADDING_BYTES > this.bytes.length) {
      this.bytes = new Uint8Array(2 * length + PADDING_BYTES)
      this.view = new DataView(this.bytes.buffer)
    }
    this.bytes.set(bytes.subarray(start, end))
    this.bytes.fill(0, length, length + PADDING_BYTES)
    this.position = 0
    this.end = 8 * length
  }

  /** The number of bits that are left. */
  get remaining(): number {
    return this.end - this.position
  }

  /** Up to 32 bits as an unsigned integer. */
  bits(count: number): number {
    const { position } = this
    const next = position + count
    if (next > this.end) throw damaged("a chunk is cut short")
    this.position = next
    if (count === 0) return 0
    const index = position >>> 3
    const shift = position & 7
    const word = (this.view.getUint32(index) << shift) | (this.bytes[index + 4]! >>> (8 - shift))
    return word >>> (32 - count)
  }

  /** Reads up to 64 bits into the halves. */
  bits64(count: number): void {
    this.high = count > 32 ? this.bits(count - 32) : 0
    this.low = this.bits(Math.min(count, 32))
  }

  /** 64 bits as a float. */
  float(): number {
    this.bits64(64)
    return floatFromBits(this.high, this.low)
  }

  /** Reads a varint, seven bits per byte, into the halves. */
  varint(): void {
    let high = 0
    let low = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.bits(8)
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) {
        this.high = high >>> 0
        this.low = low >>> 0
        return
      }
    }
    throw damaged("a chunk has an integer that is too long")
  }

  /** Reads a zigzag-encoded varint. */
  signedVarint(): void {
    this.varint()
    const { high, low } = this
    const sign = -(low & 1)
    this.high = ((high >>> 1) ^ sign) >>> 0
    this.low = (((low >>> 1) | (high << 31)) ^ sign) >>> 0
  }

  /** Reads an unsigned integer whose length is the number of ones before it. */
  varbitUint(): void {
    this.bits64(this.varbitLength())
  }

  /** Reads a signed one: of the values of a length, those above the middle are negative. The middle itself is not. */
  varbitInt(): void {
    const count = this.varbitLength()
    this.bits64(count)
    if (count === 0 || count === 64) return
    if (count > 32) {
      const half = 2 ** (count - 33)
      if (this.high > half || (this.high === half && this.low > 0)) {
        this.high = (this.high - 2 * half) >>> 0
      }
    } else if (this.low > 2 ** (count - 1)) {
      this.low = (this.low - 2 ** count) >>> 0
      this.high = 0xffffffff
    }
  }

  /** Counts ones up to a zero, or up to `most`, which no zero follows. */
  ones(most: number): number {
    let ones = 0
    while (ones < most && this.bits(1) === 1) ones++
    return ones
  }

  private varbitLength(): number {
    return lengths[this.ones(lengths.length - 1)]!
  }
}

/** The lengths of integers by the number of ones before them. */
const lengths = [0, 3, 6, 9, 12, 18, 25, 56, 64]

const float = new Float64Array(1)
const words = new Uint32Array(float.buffer)

/** The place of a float's high half among its two words. */
export const HIGH = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 1 : 0

/** The float with these bits. A NaN may lose its payload. */
export const floatFromBits = (high: number, low: number): number => {
  words[HIGH] = high
  words[1 - HIGH] = low
  return float[0]!
}

/** Whether a float is the marker that ends a series. It is a NaN with bits of its own. */
export const isStale = (high: number, low: number): boolean => high === 0x7ff00000 && low === 2
