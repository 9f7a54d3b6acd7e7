/** Random parts of a stream, and a slow and obvious model of what several processes that write them leave. */
import type { SampleBlock } from "../../src/samples/Sample.ts"
import { type PartResult, withPart } from "../../src/sync/partState.ts"
import type { StreamState } from "../../src/sync/StreamState.ts"
import type { Choices } from "../choices.ts"
import { floats, histogramOf, seriesOf, start } from "./drive.ts"

const step = 6 * 3_600_000
/** The points of the grid. */
export const points = 16
const at = (point: number): number => start + point * step

/** The points of a part. */
export const partOf = (first: number, last: number, isReread: boolean): PartResult => ({
  grid: { firstMillis: at(0), lastMillis: at(points - 1), stepMillis: step },
  covered: [{ firstMillis: at(first), lastMillis: at(last) }],
  isReread,
  details: { selector: "", excluded_labels: "" }
})

/** A part that a process writes, and what it has read of it. */
export interface Task {
  readonly part: PartResult
  readonly blocks: ReadonlyArray<SampleBlock>
  readonly rows: ReadonlyMap<string, string>
}

/** What a part reads: series come and go, and new labels with them. Each value is a new number. */
export const readPart = (choices: Choices, part: PartResult, next: () => number): Task => {
  const rows = new Map<string, string>()
  const blocks: Array<SampleBlock> = []
  const [{ firstMillis, lastMillis } = { firstMillis: 0, lastMillis: -1 }] = part.covered
  for (let n = 0; n < choices.between(1, 3); n++) {
    const which = choices.below(4)
    const series = seriesOf("up", {
      n: `${which}`,
      [which % 2 === 0 ? "Case" : "case"]: "x",
      [`only${which}`]: "y"
    })
    const samples: Array<readonly [number, string]> = []
    for (let time = firstMillis; time <= lastMillis; time += step) {
      if (choices.oneIn(6)) continue
      const key = `${series.id} ${time}`
      if (rows.has(key)) continue
      const value = `${next()}`
      if (choices.oneIn(8)) {
        blocks.push(histogramOf(series, time, value))
        rows.set(key, `histogram of ${value}`)
      } else {
        samples.push([time, value])
        rows.set(key, value)
      }
    }
    if (samples.length > 0) blocks.push(floats(series, samples))
  }
  return { part, blocks: choices.shuffle(blocks), rows }
}

/** Commits of the model, in the order in which the manifest was replaced. */
export class PartModel {
  state: StreamState | undefined
  readonly rows = new Map<string, string>()
  /** All rows that were ever committed. */
  readonly ever = new Set<string>()

  commit({ part, rows }: Task): void {
    const state = withPart(this.state, part)
    if (state === undefined) throw new Error("a part was committed that had nothing left to do")
    this.state = state
    for (const [key, value] of rows) {
      this.rows.set(key, value)
      this.ever.add(`${key} ${value}`)
    }
  }
}
