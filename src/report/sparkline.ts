/** A series in one line of text. */
import { type Curve, isChanging } from "../run/Progress.ts"

const blocks = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const

/** The level of a constant series: neither low nor high. */
const LEVEL = blocks[3]

/**
 * A line of `width` characters whose heights follow the values, from the first to the last time of the curve. A character
 * without a finite value is a blank. A curve without finite values is empty.
 */
export const sparkline = ({ times, values }: Omit<Curve, "label">, columns: number): string => {
  const first = times[0]
  const last = times.at(-1)
  if (first === undefined || last === undefined || columns < 1) return ""
  const means = new Float64Array(columns)
  const counts = new Uint32Array(columns)
  const endsInGap = new Uint8Array(columns)
  for (const [i, value] of values.entries()) {
    const column = last === first ? 0 : Math.floor(((times[i]! - first) / (last - first)) * columns)
    const to = Math.min(columns - 1, column)
    endsInGap[to] = Number.isFinite(value) ? 0 : 1
    if (endsInGap[to] === 1) continue
    counts[to]!++
    // Divide before adding: the sum of large values may overflow.
    means[to]! += value / counts[to]! - means[to]! / counts[to]!
  }
  const filled = means.filter((_, column) => counts[column]! > 0)
  if (filled.length === 0) return ""
  const least = Math.min(...filled)
  const greatest = Math.max(...filled)
  if (last > first) fillBetween(means, counts, endsInGap)
  // Halve the largest floats, whose difference overflows, but not the smallest, whose halves underflow.
  const scale = Number.isFinite(greatest - least) ? 1 : 0.5
  return Array.from(counts, (count, column) => {
    if (count === 0) return " "
    if (least === greatest) return LEVEL
    const height = (means[column]! * scale - least * scale) / (greatest * scale - least * scale)
    return blocks[Math.min(7, Math.floor(height * 8))]!
  }).join("")
}

/** Repeats each value up to the next sample or gap, which may be some characters later. */
const fillBetween = (means: Float64Array, counts: Uint32Array, endsInGap: Uint8Array): void => {
  let isRepeated = false
  for (let column = 0; column < counts.length; column++) {
    if (counts[column]! > 0 || endsInGap[column] === 1) isRepeated = endsInGap[column] === 0
    else if (isRepeated) {
      means[column] = means[column - 1]!
      counts[column] = 1
    }
  }
}

/** The most interesting curve: the first that is not constant, or else the first. */
export const selectCurve = (curves: ReadonlyArray<Curve>): Curve | undefined =>
  curves.find(isChanging) ?? curves[0]
