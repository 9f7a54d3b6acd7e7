/**
 * The arrays that blocks of samples are slices of, and their reuse.
 *
 * Apart from the bytes themselves, they are two thirds of the allocations of a read. A consumer may recycle a block that it no
 * longer needs. An arena is refilled once all of its blocks are recycled. Blocks that are never recycled stay valid.
 */
import type { SampleBlock, TextBlock } from "./Sample.ts"

/** Samples per arena. A small response only needs a small one. */
const SMALL = 256
const LARGE = 8192

/** The maximum number of large arenas kept for reuse: 128 KiB each. */
const MAX_FREE = 24

export class Arena {
  readonly times: Float64Array
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  /** The number of its blocks that are not recycled. */
  private blocks = 0
  private isFull = false

  constructor(capacity = SMALL) {
    this.times = new Float64Array(capacity)
    this.starts = new Uint32Array(capacity)
    this.ends = new Uint32Array(capacity)
  }

  get capacity(): number {
    return this.times.length
  }

  /** A decoder stops using it. */
  retire(): void {
    this.isFull = true
    this.freeIfDone()
  }

  /** A decoder stops using it. Returns the next arena. */
  next(): Arena {
    this.retire()
    return free.pop() ?? new Arena(Math.min(LARGE, this.capacity * 2))
  }

  /** Another block uses it. */
  hold(): void {
    this.blocks++
  }

  /** One of its blocks is recycled. */
  letGo(): void {
    this.blocks--
    this.freeIfDone()
  }

  private freeIfDone(): void {
    if (!this.isFull || this.blocks > 0 || this.capacity < LARGE || free.length === MAX_FREE) return
    this.isFull = false
    free.push(this)
  }
}

const free: Array<Arena> = []

/** A block as the decoder creates it. The public type has no arena, so that other programs cannot recycle. */
export interface ArenaBlock extends TextBlock {
  readonly arena: Arena
}

const hasArena = (block: SampleBlock): block is ArenaBlock => "arena" in block

/** Recycles the memory of a block. It must not be used afterwards, because its arrays may soon contain other samples. */
export const recycle = (block: SampleBlock): void => {
  if (hasArena(block)) block.arena.letGo()
}
