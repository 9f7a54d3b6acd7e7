/** A signed integer of 64 bits that wraps around, exact where a number is not. */
export class Integer64 {
  high = 0
  low = 0

  set(high: number, low: number): void {
    this.high = high | 0
    this.low = low >>> 0
  }

  add(high: number, low: number): void {
    const sum = this.low + (low >>> 0)
    this.high = (this.high + high + (sum > 0xffffffff ? 1 : 0)) | 0
    this.low = sum >>> 0
  }

  /** The nearest float. */
  get number(): number {
    return this.high * 4294967296 + this.low
  }

  /** The nearest float, if it is an unsigned integer. */
  get unsigned(): number {
    return (this.high >>> 0) * 4294967296 + this.low
  }
}
