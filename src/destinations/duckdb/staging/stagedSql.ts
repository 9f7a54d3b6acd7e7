/** SQL over staged samples that all who insert them need. `r` is a row of `staged`, or of what has its columns. */

/** The value, null where it is not finite. */
export const FLOAT_VALUE = "CASE WHEN isfinite(r.value) THEN r.value END"

/** What it is instead, if it is there and not finite. */
export const SPECIAL_VALUE =
  "CASE WHEN r.value IS NULL OR isfinite(r.value) THEN NULL WHEN isnan(r.value) THEN 'NaN' WHEN r.value > 0 THEN '+Inf' ELSE '-Inf' END"
