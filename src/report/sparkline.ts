/** A series in one line of text. */
import type { Curve } from "../run/Progress.ts"

const blocks = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const

/** What a series without ups and downs looks like: neither low nor high. */
const LEVEL = blocks[3]

/**
 * So many characters that are high where the values are, from the first to the last time of the curve. Where there is no
 * finite value in a character's time there is a blank; a curve without any is empty.
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
    // Divided before they are added: the sum of large values may be none of the floats.
    means[to]! += value / counts[to]! - means[to]! / counts[to]!
  }
  let least = Infinity
  let greatest = -Infinity
  for (const [column, count] of counts.entries()) {
    if (count === 0) continue
    least = Math.min(least, means[column]!)
    greatest = Math.max(greatest, means[column]!)
  }
  if (least === Infinity) return ""
  // Few samples in many characters are far apart without being a gap.
  fillBetween(means, counts, gaps, values.length)
  // Halves of the largest floats, whose difference is none; not of the smallest, whose halves are nothing.
  const scale = Number.isFinite(greatest - least) ? 1 : 0.5
  return Array.from(counts, (count, column) => {
    if (count === 0) return " "
    if (least === greatest) return LEVEL
    const height = (means[column]! * scale - least * scale) / (greatest * scale - least * scale)
    return blocks[Math.min(7, Math.floor(height * 8))]!
  }).join("")
}

/** Where there are fewer samples than characters, each one is shown until the next, or the gap after it. */
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

/** The curve that is worth showing: the first that is not constant, else the first. */
export const chosenCurve = (curves: ReadonlyArray<Curve>): Curve | undefined =>
  curves.find(({ values }) => {
    const finite = values.filter(Number.isFinite)
    return finite.some((value) => value !== finite[0])
  }) ?? curves[0]
