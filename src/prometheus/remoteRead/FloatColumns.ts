/** Float samples in columns, to which chunks are decoded. */
import { SharedArrays } from "../../samples/Arena.ts"
import { HIGH } from "./BitReader.ts"

/** The size of columns that are used again. */
export const COLUMN_SAMPLES = 8192

const free: Array<FloatColumns> = []

/** Times and values. The bits of the values are accessible too, because a number may lose those of a NaN. */
export class FloatColumns extends SharedArrays {
  readonly times: Float64Array
  readonly values: Float64Array
  /** The halves of the values. */
  readonly words: Uint32Array

  constructor(capacity: number) {
    super()
    this.times = new Float64Array(capacity)
    this.values = new Float64Array(capacity)
    this.words = new Uint32Array(this.values.buffer)
  }

  get capacity(): number {
    return this.times.length
  }

  protected get free(): Array<FloatColumns> | undefined {
    return this.capacity === COLUMN_SAMPLES ? free : undefined
  }

  /** Columns of at least this size, which may have been used before. */
  static of(capacity: number): FloatColumns {
    return (capacity === COLUMN_SAMPLES ? free.pop() : undefined) ?? new FloatColumns(capacity)
  }

  /** Copies samples from other columns, bit by bit. */
  copy(source: FloatColumns, from: number, to: number, target: number): void {
    this.times.set(source.times.subarray(from, to), target)
    this.words.set(source.words.subarray(2 * from, 2 * to), 2 * target)
  }

  /** Writes one sample. */
  set(index: number, time: number, high: number, low: number): void {
    this.times[index] = time
    this.words[2 * index + HIGH] = high
    this.words[2 * index + 1 - HIGH] = low
  }
}

/** Where the samples of a chunk are written. */
export interface FloatTarget {
  readonly columns: FloatColumns
  readonly start: number
}
