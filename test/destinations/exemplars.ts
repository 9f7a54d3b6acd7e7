/** Rows of a table for the tests of destinations. It has the columns of samples too, with which `backends.ts` reads it. */
import { type Row, recordId } from "../../src/samples/TableRow.ts"
import { formatTime } from "../../src/text/formatTime.ts"
import { start } from "./drive.ts"

/** The identity of the exemplars of a number. */
export const idOf = (number: number): string => recordId([number])

/** An exemplar at a point of the tests, which are minutes, with its time. */
export const exemplarAt = (
  number: number,
  point: number,
  value: string | number
): readonly [timeMillis: number, row: Row] => {
  const millis = start + point * 60_000
  return [
    millis,
    {
      record_id: idOf(number),
      time: formatTime(millis),
      metric: "up",
      value: Number(value),
      special_value: null,
      series_id: idOf(number),
      labels: { number: `${number}` },
      exemplar_labels: {}
    }
  ]
}
