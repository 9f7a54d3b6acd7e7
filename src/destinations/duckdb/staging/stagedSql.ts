/** SQL expressions over staged samples. `r` is a row of `staged`, or of a relation with its columns. */

/** The value, null where it is not finite. */
export const FLOAT_VALUE = "CASE WHEN isfinite(r.value) THEN r.value END"

/** The text of a value that is not finite, otherwise null. */
export const SPECIAL_VALUE =
  "CASE WHEN r.value IS NULL OR isfinite(r.value) THEN NULL WHEN isnan(r.value) THEN 'NaN' WHEN r.value > 0 THEN '+Inf' ELSE '-Inf' END"
