/** The input of the page's script: the values of the charts. Only this is shared between the report and the page. */

/** One line of a chart. */
export interface LineData {
  /** The time of the first point in milliseconds since the epoch, then the difference of each point to the one before. */
  readonly t: ReadonlyArray<number>
  /** One value per time; null is a gap. */
  readonly v: ReadonlyArray<number | null>
}

/** The charts. The attribute `data-chart` of a page's element is an index into this list. */
export type PageData = ReadonlyArray<ReadonlyArray<LineData>>

/** The most lines of a chart, which is the number of colours: `--line-0`, … */
export const MAX_LINES = 8
