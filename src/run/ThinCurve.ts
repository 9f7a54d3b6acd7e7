/**
 * The shape of a series in bounded memory: time slots of equal length, each with its minimum and maximum.
 *
 * At first a slot is as long as the step of the grid. When time outgrows the slots, pairs are merged and slots become twice as
 * long. A chart with that many columns looks the same. A slot without samples stays a gap.
 */

/** A finite value is better than one that cannot be drawn. Of two equal values the first stays. */
const lower = (a: number, b: number): boolean => Number.isFinite(a) && (a < b || !Number.isFinite(b))
const higher = (a: number, b: number): boolean => Number.isFinite(a) && (a > b || !Number.isFinite(b))

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
  /** Four numbers per slot: time and value of its minimum, then of its maximum. The times of an empty slot are NaN. */
  private readonly extremes: Float64Array

  /** Has at most `points` points, but at least four, because times around the epoch always take two slots. */
  constructor(stepMillis: number, points: number) {
    this.stepMillis = stepMillis
    this.slots = Math.max(2, points >> 1)
    this.extremes = new Float64Array(4 * this.slots).fill(Number.NaN)
  }

  /** Adds a sample at a time in milliseconds. Samples may come in any order; the order of time is fastest. */
  add(time: number, value: number): void {
    const at = 4 * this.slotOf(time)
    const { extremes } = this
    const isEmpty = Number.isNaN(extremes[at]!)
    if (isEmpty || lower(value, extremes[at + 1]!)) {
      extremes[at] = time
      extremes[at + 1] = value
    }
    if (isEmpty || higher(value, extremes[at + 3]!)) {
      extremes[at + 2] = time
      extremes[at + 3] = value
    }
  }

  /** Adds all values of another curve of the same kind. */
  merge(other: ThinCurve): void {
    while (this.width < other.width) this.widen()
    this.addAll(other.extremes.subarray(0, 4 * other.used))
  }

  /** The points to draw, in the order of time: one or two per slot, and a gap, `NaN`, for empty slots. */
  points(): { readonly times: Float64Array; readonly values: Float64Array } {
    const points: Array<readonly [time: number, value: number]> = []
    let wasEmpty = false
    for (let slot = 0; slot < this.used; slot++) {
      const [lowTime = NaN, low = NaN, highTime = NaN, high = NaN] = this.extremes.subarray(4 * slot)
      const isEmpty = Number.isNaN(lowTime)
      // One gap for consecutive empty slots.
      if (isEmpty && !wasEmpty) points.push([(this.first + slot) * this.width * this.stepMillis, Number.NaN])
      if (lowTime < highTime) points.push([lowTime, low])
      if (!isEmpty) points.push([highTime, high])
      if (lowTime > highTime) points.push([lowTime, low])
      wasEmpty = isEmpty
    }
    return {
      times: Float64Array.from(points, ([time]) => time),
      values: Float64Array.from(points, ([, value]) => value)
    }
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
        this.prepend(-slot)
        return 0
      }
      this.widen()
    }
  }

  /** Inserts slots before the first one. */
  private prepend(slots: number): void {
    this.extremes.copyWithin(4 * slots, 0, 4 * this.used)
    this.extremes.fill(Number.NaN, 0, 4 * slots)
    this.first -= slots
    this.used += slots
  }

  /** Merges pairs of slots. */
  private widen(): void {
    const before = this.extremes.slice(0, 4 * this.used)
    this.extremes.fill(Number.NaN)
    this.used = 0
    this.width *= 2
    this.addAll(before)
  }

  /** Adds the samples of slots. */
  private addAll(extremes: Float64Array): void {
    for (let at = 0; at < extremes.length; at += 2) {
      const time = extremes[at]!
      if (!Number.isNaN(time)) this.add(time, extremes[at + 1]!)
    }
  }
}
