/** A float that changes from sample to sample. Chunks store the bits that differ. */
import type { BitReader } from "./BitReader.ts"
import { damaged } from "./RemoteReadError.ts"

/** One float, and the window of its bits that may differ. */
export class XorValue {
  /** The halves of its bits. */
  high = 0
  low = 0
  private trailing = 0
  private width = 64

  /** Reads all bits. */
  readFirst(reader: BitReader): void {
    reader.bits64(64)
    this.high = reader.high
    this.low = reader.low
  }

  /** Reads the change: `0` for none, `10` within the window, `11` with another window. */
  read(reader: BitReader): void {
    const ones = reader.ones(2)
    if (ones === 1) this.readWithin(reader)
    else if (ones === 2) this.readWindow(reader)
  }

  /** Reads another window, then the change within it. */
  readWindow(reader: BitReader): void {
    const leading = reader.bits(5)
    const width = reader.bits(6) || 64
    if (leading + width > 64) throw invalidWindow()
    this.width = width
    this.trailing = 64 - leading - width
    this.readWithin(reader)
  }

  /** Reads the change within the window. */
  readWithin(reader: BitReader): void {
    const { trailing } = this
    reader.bits64(this.width)
    const { high, low } = reader
    if (trailing >= 32) this.high = (this.high ^ (low << (trailing - 32))) >>> 0
    else if (trailing > 0) {
      this.high = (this.high ^ ((high << trailing) | (low >>> (32 - trailing)))) >>> 0
      this.low = (this.low ^ (low << trailing)) >>> 0
    } else {
      this.high = (this.high ^ high) >>> 0
      this.low = (this.low ^ low) >>> 0
    }
  }
}

export const invalidWindow = () => damaged("a chunk has a value of more than 64 bits")
