/**
 * Finds samples of the plain form in the bytes of a response: nearly all samples have it.
 *
 * The loop is WebAssembly (`wasm/assembly/scanSamples.ts`) with its own memory. Copying bytes in and samples out costs less
 * than the loop saves. All decoders share one scanner, since they run one at a time.
 */

import type { Arena } from "../../samples/Arena.ts"
import { type Constant, load, newMemory } from "../../wasm/load.ts"
import { scanSamples } from "../../wasm/scanSamples.wasm.ts"

interface Exports {
  readonly BYTES: Constant
  readonly BYTES_CAPACITY: Constant
  readonly SAMPLES_CAPACITY: Constant
  readonly TIMES: Constant
  readonly STARTS: Constant
  readonly ENDS: Constant
  readonly LIST_ENDS: Constant
  readonly BYTES_END: Constant
  readonly ROOM_ENDS: Constant
  readonly scan: (from: number, to: number, room: number, base: number) => number
  readonly position: () => number
  readonly count: () => number
}

/** Why a scan ended. */
export type ScanEnd =
  /** The list of samples ended; its bracket is read. */
  | "list"
  /** The bytes ended, within a sample or after its comma. */
  | "bytes"
  /** The arena is full. */
  | "arena"
  /** The next sample has another form, or too few bytes are left to recognise it. */
  | "form"

class SampleScanner {
  /** After a scan: the index of the first byte after the samples found. */
  position = 0
  /** After a scan: how many samples the arena has. */
  next = 0

  private readonly program: Exports
  /** Views of the program's memory. */
  private readonly copy: Uint8Array
  private readonly times: Float64Array
  private readonly starts: Uint32Array
  private readonly ends: Uint32Array
  /** The part of the bytes that is in that memory. */
  private bytes: Uint8Array | undefined
  private from = 0
  private to = 0

  constructor() {
    const memory = newMemory()
    const program = load<Exports>(scanSamples, memory)
    const samples = program.SAMPLES_CAPACITY.value
    this.program = program
    this.copy = new Uint8Array(memory.buffer, program.BYTES.value, program.BYTES_CAPACITY.value)
    this.times = new Float64Array(memory.buffer, program.TIMES.value, samples)
    this.starts = new Uint32Array(memory.buffer, program.STARTS.value, samples)
    this.ends = new Uint32Array(memory.buffer, program.ENDS.value, samples)
  }

  /**
   * Reads samples `[1435781430,"1.5"],` from `position` on, as far as they are complete, into an arena that has `next` already.
   * `bytes` must not change between calls.
   */
  scan(bytes: Uint8Array, position: number, arena: Arena, next: number): ScanEnd {
    const { BYTES_END, LIST_ENDS, ROOM_ENDS } = this.program
    this.position = position
    this.next = next
    for (;;) {
      if (this.next === arena.capacity) return "arena"
      if (bytes !== this.bytes || this.position < this.from || this.position > this.to) {
        this.hold(bytes, bytes.length <= this.copy.length ? 0 : this.position)
      }
      const room = Math.min(arena.capacity - this.next, this.times.length)
      const end = this.program.scan(this.position - this.from, this.to - this.from, room, this.from)
      this.position = this.from + this.program.position()
      this.take(arena)
      if (end === LIST_ENDS.value) return "list"
      if (end === ROOM_ENDS.value) continue
      if (this.to === bytes.length) return end === BYTES_END.value ? "bytes" : "form"
      // The next part starts with the sample that this part has too little of.
      if (this.position === this.from) return "form"
      this.hold(bytes, this.position)
    }
  }

  /** Copies as many bytes as fit into the program's memory. */
  private hold(bytes: Uint8Array, from: number): void {
    this.bytes = bytes
    this.from = from
    this.to = Math.min(bytes.length, from + this.copy.length)
    this.copy.set(this.to - from === bytes.length ? bytes : bytes.subarray(from, this.to))
  }

  /** Copies the samples found into the arena, in a plain loop since runs may be short. */
  private take(arena: Arena): void {
    const { ends, starts, times } = this
    const count = this.program.count()
    for (let i = 0, at = this.next; i < count; i++, at++) {
      arena.times[at] = times[i]!
      arena.starts[at] = starts[i]!
      arena.ends[at] = ends[i]!
    }
    this.next += count
  }
}

let scanner: SampleScanner | undefined

/** The scanner of this process, made when it is first needed. */
export const sampleScanner = (): SampleScanner => (scanner ??= new SampleScanner())
