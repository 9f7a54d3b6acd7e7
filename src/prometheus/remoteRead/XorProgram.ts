/** The program that decodes the samples of XOR chunks, and its memory: `wasm/assembly/decodeXor.ts`. */
import { decodeXor } from "../../wasm/decodeXor.wasm.ts"
import { type Constant, load, newMemory, PAGE_BYTES } from "../../wasm/load.ts"

interface Exports {
  readonly PADDING: Constant
  readonly FREE: Constant
  readonly COMPLETE: Constant
  readonly LATE_TIME: Constant
  readonly INVALID_WINDOW: Constant
  readonly FAR_TIME: Constant
  readonly decode: (
    position: number,
    end: number,
    count: number,
    firstInterval: number,
    times: number,
    values: number
  ) => number
  readonly interval: () => number
}

/** The size of a float. */
const FLOAT_BYTES = 8

/** One for all responses: a chunk is decoded at once. */
export class XorProgram {
  private readonly memory = newMemory()
  readonly exports = load<Exports>(decodeXor, this.memory)
  private bytes = new Uint8Array(this.memory.buffer)
  private floats = new Float64Array(this.memory.buffer)
  private words = new Uint32Array(this.memory.buffer)
  /** Where the samples are: times, then values. */
  timesAt = 0
  valuesAt = 0

  /** Copies a chunk, and makes room for its samples. The bytes continue after it, with enough of them for the padding. */
  load(bytes: Uint8Array, length: number, samples: number): void {
    const { FREE, PADDING } = this.exports
    const padded = length + PADDING.value
    this.timesAt = FREE.value + Math.ceil(padded / 16) * 16 + 16
    this.valuesAt = this.timesAt + samples * FLOAT_BYTES
    this.reserve(this.valuesAt + samples * FLOAT_BYTES)
    this.bytes.set(bytes.subarray(0, padded), FREE.value)
  }

  /** Sets the first sample. `first` is the index of the lower half among the halves of a float. */
  setFirst(time: number, halves: readonly [first: number, second: number]): void {
    this.floats[this.timesAt / FLOAT_BYTES] = time
    this.words.set(halves, this.valuesAt / 4)
  }

  times(samples: number): Float64Array {
    const start = this.timesAt / FLOAT_BYTES
    return this.floats.subarray(start, start + samples)
  }

  /** The halves of the values. */
  halves(samples: number): Uint32Array {
    const start = this.valuesAt / 4
    return this.words.subarray(start, start + 2 * samples)
  }

  private reserve(size: number): void {
    const { memory } = this
    if (size <= this.bytes.length) return
    memory.grow(Math.ceil((size - this.bytes.length) / PAGE_BYTES))
    this.bytes = new Uint8Array(memory.buffer)
    this.floats = new Float64Array(memory.buffer)
    this.words = new Uint32Array(memory.buffer)
  }
}

let program: XorProgram | undefined

/** The program, loaded with the first chunk. */
export const xorProgram = (): XorProgram => {
  program ??= new XorProgram()
  return program
}
