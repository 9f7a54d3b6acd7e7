/**
 * The arrays that blocks of samples are slices of, and their reuse.
 *
 * Apart from the bytes themselves, they are two thirds of the allocations of a read. A consumer may recycle a block that it no
 * longer needs. Arrays are refilled once all of their blocks are recycled. Blocks that are never recycled stay valid.
 */
import type { SampleBlock } from "./Sample.ts"

/** Samples per arena. A small response only needs a small one. */
const SMALL = 256
const LARGE = 8192

/** The maximum number of arrays of a kind that are kept for reuse: 128 KiB each. */
const MAX_FREE = 24

/** Arrays that blocks share. */
export abstract class SharedArrays {
  /** The number of its blocks that are not recycled. */
  private blocks = 0
  private isFull = false

  /** Where it waits to be used again; undefined if it is not worth it. */
  protected abstract readonly free: Array<SharedArrays> | undefined

  /** A decoder stops using it. */
  retire(): void {
    this.isFull = true
    this.freeIfDone()
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
    const { free } = this
    if (!this.isFull || this.blocks > 0 || free === undefined || free.length === MAX_FREE) return
    this.isFull = false
    free.push(this)
  }
}

const free: Array<Arena> = []

/** The arrays of blocks of text. */
export class Arena extends SharedArrays {
  readonly times: Float64Array
  readonly starts: Uint32Array
  readonly ends: Uint32Array

  constructor(capacity = SMALL) {
    super()
    this.times = new Float64Array(capacity)
    this.starts = new Uint32Array(capacity)
    this.ends = new Uint32Array(capacity)
  }

  get capacity(): number {
    return this.times.length
  }

  protected get free(): Array<Arena> | undefined {
    return this.capacity < LARGE ? undefined : free
  }

  /** A decoder stops using it. Returns the next arena. */
  next(): Arena {
    this.retire()
    return free.pop() ?? new Arena(Math.min(LARGE, this.capacity * 2))
  }
}

/** A block as a decoder creates it. The public type has no arena, so that other programs cannot recycle. */
export type ArenaBlock<Block extends SampleBlock> = Block & { readonly arena: SharedArrays }

const hasArena = (block: SampleBlock): block is ArenaBlock<SampleBlock> => "arena" in block

/** Recycles the memory of a block. It must not be used afterwards, because its arrays may soon contain other samples. */
export const recycle = (block: SampleBlock): void => {
  if (hasArena(block)) block.arena.letGo()
}
