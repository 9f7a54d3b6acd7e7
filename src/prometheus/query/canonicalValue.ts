/** Values of samples in spellings other than Prometheus'. */
import { isNumber } from "./jsonBytes.ts"

/** NaN and the infinities, as other programs spell them in lower case. */
const special: Readonly<Record<string, string>> = {
  nan: "NaN",
  "+nan": "NaN",
  "-nan": "NaN",
  inf: "+Inf",
  "+inf": "+Inf",
  infinity: "+Inf",
  "+infinity": "+Inf",
  "-inf": "-Inf",
  "-infinity": "-Inf"
}

/** The longest of them. */
const MAX_CHARACTERS = 9

/**
 * The value as Prometheus writes it: a JSON number with its digits unchanged, `NaN`, `+Inf` or `-Inf`. Undefined if it is not
 * a number.
 */
export const canonicalValue = (value: unknown): string | undefined => {
  if (typeof value !== "string") return undefined
  if (isNumber(value)) return value
  const name = value.length <= MAX_CHARACTERS ? value.toLowerCase() : ""
  return Object.hasOwn(special, name) ? special[name] : undefined
}
