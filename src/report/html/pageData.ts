/** What the page's script is given: the values of the charts. It is the only thing that both sides know. */

/** One line of a chart. */
export interface LineData {
  /** Milliseconds since the epoch of the first point, then what is between each point and the one before. */
  readonly t: ReadonlyArray<number>
  /** As many values; null: a gap. */
  readonly v: ReadonlyArray<number | null>
}

/** The charts in the order of the page's elements `[data-chart]`, whose attribute is the index here. */
export type PageData = ReadonlyArray<ReadonlyArray<LineData>>

/** How many lines a chart has at most, which is how many colours there are: `--line-0`, … */
export const MOST_LINES = 8
