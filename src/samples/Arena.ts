/**
 * The arrays that blocks of samples are cut from, and their reuse.
 *
 * They are two thirds of what a read allocates beside the bytes themselves. A consumer that is done with a block may recycle it; an
 * arena is filled again once all of its blocks are recycled. A consumer that keeps blocks does not recycle them, and loses nothing.
 */

/** Samples per arena: a small response needs only a small one. */
const SMALL = 256
const LARGE = 8192

/** The most large arenas that are kept for reuse: 128 KiB each. */
const MOST_FREE = 24

export class Arena {
  readonly times: Float64Array
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  /** Blocks that were cut from it and are not recycled. */
  private blocks = 0
  private isFull = false

  private constructor(capacity: number) {
    this.times = new Float64Array(capacity)
    this.starts = new Uint32Array(capacity)
    this.ends = new Uint32Array(capacity)
  }

  /** The first arena of a response, which may be small. */
  static first(): Arena {
    return new Arena(SMALL)
  }

  get capacity(): number {
    return this.times.length
  }

  /** Ends its use by a decoder. */
  retire(): void {
    this.isFull = true
    this.freeIfDone()
  }

  /** Ends its use by a decoder. Returns the next arena. */
  next(): Arena {
    this.retire()
    return free.pop() ?? new Arena(Math.min(LARGE, this.capacity * 2))
  }

  /** Another block is cut from it. */
  hold(): void {
    this.blocks++
  }

  /** One of its blocks is recycled. */
  letGo(): void {
    this.blocks--
    this.freeIfDone()
  }

  private freeIfDone(): void {
    if (!this.isFull || this.blocks > 0 || this.capacity < LARGE || free.length === MOST_FREE) return
    this.isFull = false
    free.push(this)
  }
}

const free: Array<Arena> = []
