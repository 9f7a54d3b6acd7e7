/** The rate of a growing total over the last few seconds: long enough to be smooth, short enough to show a stall. */

const WINDOW_MILLIS = 5000

export class RateMeter {
  private readonly readings: Array<readonly [millis: number, total: number]> = []

  /** Records the total at a time. Times are monotonic milliseconds. */
  add(now: number, total: number): void {
    this.readings.push([now, total])
    // Keep one reading from before the window, so that the readings cover it completely.
    while (this.readings.length > 2 && this.readings[1]![0] <= now - WINDOW_MILLIS) this.readings.shift()
  }

  /** 0 until time has passed between two readings. */
  get perSecond(): number {
    const first = this.readings[0]
    const last = this.readings.at(-1)
    if (first === undefined || last === undefined || last[0] <= first[0]) return 0
    return ((last[1] - first[1]) * 1000) / (last[0] - first[0])
  }
}
