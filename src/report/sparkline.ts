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
  const gaps = new Uint8Array(columns)
  for (const [i, value] of values.entries()) {
    const column = last === first ? 0 : Math.floor(((times[i]! - first) / (last - first)) * columns)
    const to = Math.min(columns - 1, column)
    if (!Number.isFinite(value)) {
      gaps[to] = 1
      continue
    }
    counts[to]!++
    // Divide before adding: the sum of large values may overflow.
    means[to]! += value / counts[to]! - means[to]! / counts[to]!
  }
  const filled = means.filter((_, column) => counts[column]! > 0)
  if (filled.length === 0) return ""
  const least = Math.min(...filled)
  const greatest = Math.max(...filled)
  // With fewer samples than characters, samples are far apart without a gap between them.
  fillBetween(means, counts, gaps, values.length)
  // Halve the largest floats, whose difference overflows, but not the smallest, whose halves underflow.
  const scale = Number.isFinite(greatest - least) ? 1 : 0.5
  return Array.from(counts, (count, column) => {
    if (count === 0) return " "
    if (least === greatest) return LEVEL
    const height = (means[column]! * scale - least * scale) / (greatest * scale - least * scale)
    return blocks[Math.min(7, Math.floor(height * 8))]!
  }).join("")
}

/** With fewer samples than characters, each value is repeated up to the next sample or gap. */
const fillBetween = (means: Float64Array, counts: Uint32Array, gaps: Uint8Array, samples: number): void => {
  if (samples >= counts.length || samples < 2) return
  const reach = Math.ceil(counts.length / (samples - 1))
  let since = reach
  for (let column = 0; column < counts.length; column++) {
    if (counts[column]! > 0) since = 0
    else if (gaps[column] === 1) since = reach
    else if (++since < reach) {
      means[column] = means[column - 1]!
      counts[column] = 1
    }
  }
}

/** The most interesting curve: the first that is not constant, or else the first. */
export const selectCurve = (curves: ReadonlyArray<Curve>): Curve | undefined =>
  curves.find(isChanging) ?? curves[0]
