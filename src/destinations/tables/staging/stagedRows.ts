/** Queries for staged samples. `r` is a row of a table of samples, and `s` the row of its series. */
import type { StagedSamples } from "./StagedSamples.ts"

/** A part of the staged samples: before the mark, or after it. */
export type Part = "marked" | "rest"

/** Whether two rows have different values. 0 and -0 are different. A row with a histogram has no value. */
const VALUE_DIFFERS = `(
  old.value IS DISTINCT FROM new.value OR signbit(old.value) IS DISTINCT FROM signbit(new.value)
  OR old.special_value IS DISTINCT FROM new.special_value
)`

/** The tables with samples of a part. Most streams have no histograms, and queries for them have a cost. */
export const sampleTables = (staged: StagedSamples, part: Part) => {
  const ranges = [staged.floats(), staged.histograms()].map(({ all, first, marked }) =>
    part === "marked" ? { from: first, to: marked } : { from: marked, to: all }
  )
  const [floats, histograms] = ranges.map(({ from, to }) => `r.number >= ${from} AND r.number < ${to}`)
  const { identity, type } = staged.histogramColumn
  const values = staged.hasSpecial()
    ? `CASE WHEN isfinite(r.value) THEN r.value END AS value,
       CASE WHEN isfinite(r.value) THEN NULL WHEN isnan(r.value) THEN 'NaN' WHEN r.value > 0 THEN '+Inf' ELSE '-Inf' END AS special_value`
    : "r.value AS value, NULL::VARCHAR AS special_value"
  const tables = [
    {
      name: "temp.staged",
      isInPart: floats,
      /** The columns `value`, null where it is not finite, and `special_value`, the text of a value that is not finite. */
      values,
      histogram: `NULL::${type} AS histogram`,
      /** The columns of a staged row `new` to compare, and whether a row `old` of the stream's table differs from it. */
      compared: values,
      differs: VALUE_DIFFERS,
      place: "2 * r.number + 1 AS place"
    },
    {
      name: "temp.staged_histogram",
      isInPart: histograms,
      values: "NULL::DOUBLE AS value, NULL::VARCHAR AS special_value",
      histogram: "r.histogram",
      compared: `${identity("r.histogram")} AS identity`,
      differs: `${identity("old.histogram")} IS DISTINCT FROM new.identity`,
      // A histogram comes after `before` floats, and before the next float.
      place: "2 * r.before AS place"
    }
  ]
  return ranges[1]!.from < ranges[1]!.to ? tables : tables.slice(0, 1)
}

/** The names of label columns in `stagedSeries`: by position, because a label may have the name of another column. */
export const labelNames = ({ labels }: StagedSamples): ReadonlyArray<string> =>
  (labels?.names ?? []).map((_, index) => `label_${index}`)

/** The series, with a column for each label that has one. `rest` is the expression for the other labels. */
export const stagedSeries = (staged: StagedSamples, rest = "rest"): string => {
  const labels = labelNames(staged).map((name, index) => `, labels[${index + 1}] AS ${name}`)
  return `(SELECT number, series_id, ${rest} AS rest${labels.join("")} FROM temp.staged_series)`
}

/** The samples of a part with the columns of their series. `place` and then `number` are the order in which they were staged. */
export const stagedRows = (staged: StagedSamples, part: Part, series: string, where = "true"): string => {
  const labels = labelNames(staged).map((name) => `, s.${name}`)
  const selects = sampleTables(staged, part).map(
    ({ histogram, isInPart, name, place, values }) =>
      `SELECT ${place}, r.number, r.time, ${values}, s.series_id, ${histogram}, s.rest${labels.join("")}
       FROM ${name} AS r JOIN ${series} AS s ON s.number = r.series WHERE ${isInPart} AND ${where}`
  )
  return selects.join(" UNION ALL ")
}
