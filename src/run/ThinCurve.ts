/**
 * The shape of a series in bounded memory: time slots of equal length, each with its minimum and maximum.
 *
 * At first a slot is as long as the step of the grid. When time outgrows the slots, pairs are merged and slots become twice as
 * long. A chart with that many columns looks the same. A slot without samples stays a gap.
 */

/** A finite value is better than one that cannot be drawn. Of two equal values the first stays. */
const lower = (a: number, b: number): boolean => Number.isFinite(a) && (a < b || !Number.isFinite(b))
const higher = (a: number, b: number): boolean => Number.isFinite(a) && (a > b || !Number.isFinite(b))

/** The time of a slot without samples. */
const EMPTY = Number.NaN

export class ThinCurve {
  /** The number of slots. */
  private readonly slots: number
  private readonly stepMillis: number
  /** The length of a slot, in steps: a power of two. */
  private width = 1
  /** The number of the first slot, counted from the epoch. */
  private first = 0
  /** The number of slots in use. */
  private used = 0
  private readonly lowTimes: Float64Array
  private readonly lows: Float64Array
  private readonly highTimes: Float64Array
  private readonly highs: Float64Array

  /** Has at most `points` points, but at least four, because times around the epoch always take two slots. */
  constructor(stepMillis: number, points: number) {
    this.stepMillis = stepMillis
    this.slots = Math.max(2, points >> 1)
    this.lowTimes = new Float64Array(this.slots).fill(EMPTY)
    this.lows = new Float64Array(this.slots)
    this.highTimes = new Float64Array(this.slots).fill(EMPTY)
    this.highs = new Float64Array(this.slots)
  }

  /** Adds a sample at a time in milliseconds. Samples may come in any order; the order of time is fastest. */
  add(time: number, value: number): void {
    const slot = this.slotOf(time)
    if (Number.isNaN(this.lowTimes[slot]!)) {
      this.lowTimes[slot] = time
      this.lows[slot] = value
      this.highTimes[slot] = time
      this.highs[slot] = value
      return
    }
    if (lower(value, this.lows[slot]!)) {
      this.lowTimes[slot] = time
      this.lows[slot] = value
    }
    if (higher(value, this.highs[slot]!)) {
      this.highTimes[slot] = time
      this.highs[slot] = value
    }
  }

  /** Adds all values of another curve of the same kind. */
  merge(other: ThinCurve): void {
    while (this.width < other.width) this.widen()
    for (let slot = 0; slot < other.used; slot++) {
      const time = other.lowTimes[slot]!
      if (Number.isNaN(time)) continue
      this.add(time, other.lows[slot]!)
      this.add(other.highTimes[slot]!, other.highs[slot]!)
    }
  }

  clear(): void {
    this.lowTimes.fill(EMPTY, 0, this.used)
    this.highTimes.fill(EMPTY, 0, this.used)
    this.used = 0
    this.width = 1
  }

  get isEmpty(): boolean {
    return this.used === 0
  }

  /** The points to draw, in the order of time: one or two per slot, and a gap, `NaN`, for empty slots. */
  points(): { readonly times: Float64Array; readonly values: Float64Array } {
    const times = new Float64Array(2 * this.used)
    const values = new Float64Array(2 * this.used)
    let count = 0
    const push = (time: number, value: number): void => {
      times[count] = time
      values[count++] = value
    }
    for (let slot = 0; slot < this.used; slot++) {
      const low = this.lowTimes[slot]!
      const high = this.highTimes[slot]!
      if (Number.isNaN(low)) {
        // One gap for consecutive empty slots.
        if (!Number.isNaN(this.lowTimes[slot - 1]!)) {
          push((this.first + slot) * this.width * this.stepMillis, Number.NaN)
        }
      } else if (low === high) push(low, this.lows[slot]!)
      else {
        if (low < high) push(low, this.lows[slot]!)
        push(high, this.highs[slot]!)
        if (low > high) push(low, this.lows[slot]!)
      }
    }
    return { times: times.slice(0, count), values: values.slice(0, count) }
  }

  /** The slot of a time, added if necessary. */
  private slotOf(time: number): number {
    const step = Math.floor(time / this.stepMillis)
    for (;;) {
      const number = Math.floor(step / this.width)
      if (this.used === 0) this.first = number
      const slot = number - this.first
      if (slot >= 0 && slot < this.slots) {
        if (slot >= this.used) this.used = slot + 1
        return slot
      }
      if (slot < 0 && this.used - slot <= this.slots) {
        this.shift(-slot)
        return 0
      }
      this.widen()
    }
  }

  /** Inserts slots before the first one. */
  private shift(by: number): void {
    for (const array of [this.lowTimes, this.lows, this.highTimes, this.highs]) {
      array.copyWithin(by, 0, this.used)
    }
    this.lowTimes.fill(EMPTY, 0, by)
    this.highTimes.fill(EMPTY, 0, by)
    this.first -= by
    this.used += by
  }

  /** Merges pairs of slots. */
  private widen(): void {
    const { first, highTimes, highs, lowTimes, lows, used } = this
    const before = Math.floor(first / 2)
    this.width *= 2
    this.first = before
    this.used = 0
    for (let slot = 0; slot < used; slot++) {
      const lowTime = lowTimes[slot]!
      const low = lows[slot]!
      const highTime = highTimes[slot]!
      const high = highs[slot]!
      // The target is never after the slot that is read.
      lowTimes[slot] = EMPTY
      highTimes[slot] = EMPTY
      const to = Math.floor((first + slot) / 2) - before
      this.used = to + 1
      if (Number.isNaN(lowTime)) continue
      if (Number.isNaN(lowTimes[to]!) || lower(low, lows[to]!)) {
        lowTimes[to] = lowTime
        lows[to] = low
      }
      if (Number.isNaN(highTimes[to]!) || higher(high, highs[to]!)) {
        highTimes[to] = highTime
        highs[to] = high
      }
    }
  }
}
