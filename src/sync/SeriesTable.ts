/**
 * A number for each of very many series, in memory that the garbage collector does not look through: twenty bytes or so
 * of each instead of two hundred, as a `Map` of identities would take.
 *
 * Open addressing with linear probing. Identities are hashes already, so a part of one serves as the place to look first.
 */

/** The parts of an identity: 32 hex digits are four words. */
const WORDS = 4

const FIRST_CAPACITY = 64

/** From this share of taken places on, the table grows. */
const FULL = 0.6

export class SeriesTable {
  private capacity = FIRST_CAPACITY
  private words = new Uint32Array(FIRST_CAPACITY * WORDS)
  /** One more than the number that is kept; 0 in a free place. */
  private numbers = new Uint32Array(FIRST_CAPACITY)
  private count = 0
  /** The words of the identity that was asked for last. */
  private readonly wanted = new Uint32Array(WORDS)

  /** How many series have a number. */
  get size(): number {
    return this.count
  }

  /** The number of a series, or undefined. */
  get(id: string): number | undefined {
    const number = this.numbers[this.placeOf(id)]!
    return number === 0 ? undefined : number - 1
  }

  /** Sets the number of a series, an integer from 0 to 4,294,967,294. */
  set(id: string, number: number): void {
    const place = this.placeOf(id)
    if (this.numbers[place] === 0) {
      this.words.set(this.wanted, place * WORDS)
      this.count++
    }
    this.numbers[place] = number + 1
    if (this.count > FULL * this.capacity) this.grow()
  }

  /** Takes over what another table has, where that is more. */
  raise(other: SeriesTable): void {
    for (let place = 0; place < other.capacity; place++) {
      const number = other.numbers[place]!
      if (number === 0) continue
      this.wanted.set(other.words.subarray(place * WORDS, (place + 1) * WORDS))
      const own = this.probe()
      if (this.numbers[own] === 0) {
        this.words.set(this.wanted, own * WORDS)
        this.count++
      }
      this.numbers[own] = Math.max(this.numbers[own]!, number)
      if (this.count > FULL * this.capacity) this.grow()
    }
  }

  private placeOf(id: string): number {
    for (let i = 0; i < WORDS; i++) {
      let word = 0
      for (let j = i * 8; j < i * 8 + 8; j++) word = (word << 4) | hexDigit(id.charCodeAt(j))
      this.wanted[i] = word
    }
    return this.probe()
  }

  /** The place of the wanted words, or the free one that they may have. */
  private probe(): number {
    const { numbers, wanted, words } = this
    const mask = this.capacity - 1
    for (let place = wanted[0]! & mask; ; place = (place + 1) & mask) {
      if (numbers[place] === 0) return place
      const at = place * WORDS
      if (
        words[at] === wanted[0] &&
        words[at + 1] === wanted[1] &&
        words[at + 2] === wanted[2] &&
        words[at + 3] === wanted[3]
      ) {
        return place
      }
    }
  }

  private grow(): void {
    const { capacity, numbers, words } = this
    this.capacity = capacity * 2
    this.words = new Uint32Array(this.capacity * WORDS)
    this.numbers = new Uint32Array(this.capacity)
    for (let place = 0; place < capacity; place++) {
      if (numbers[place] === 0) continue
      this.wanted.set(words.subarray(place * WORDS, (place + 1) * WORDS))
      const own = this.probe()
      this.words.set(this.wanted, own * WORDS)
      this.numbers[own] = numbers[place]!
    }
  }
}

/** The value of a digit from `0` to `9` or `a` to `f`. */
const hexDigit = (code: number): number => (code & 15) + (code >> 6) * 9
