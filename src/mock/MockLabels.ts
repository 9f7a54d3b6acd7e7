/** The labels in the data of a mock. */
import type { Labels } from "../samples/Sample.ts"
import { canonicalLabels } from "../samples/Series.ts"

/** Labels as a record, or as pairs where a label has a name such as `__proto__`. */
export type LabelsInput = Readonly<Record<string, string>> | Iterable<readonly [name: string, value: string]>

/** Canonical labels. If a name comes twice, the last value is used. */
export const makeLabels = (input: LabelsInput): Labels =>
  canonicalLabels(new Map(Symbol.iterator in input ? input : Object.entries(input)))
