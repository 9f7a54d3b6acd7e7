/** SQL expressions over staged samples. `r` is a row of `staged`, or of a relation with its columns. */
import type { StagedSamples } from "./StagedSamples.ts"

/** The columns `value`, null where it is not finite, and `special_value`, the text of a value that is not finite. */
export const floatColumns = (staged: StagedSamples): string =>
  staged.hasSpecial()
    ? `CASE WHEN isfinite(r.value) THEN r.value END AS value,
       CASE WHEN isfinite(r.value) THEN NULL WHEN isnan(r.value) THEN 'NaN' WHEN r.value > 0 THEN '+Inf' ELSE '-Inf' END AS special_value`
    : "r.value AS value, NULL::VARCHAR AS special_value"
