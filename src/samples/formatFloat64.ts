/**
 * A number as Prometheus writes it: the shortest digits that give the same float, with an exponent of at least two digits where
 * |value| < 1e-6 or ≥ 1e21 (Go's `strconv.FormatFloat` with its format `f` or `e`); `NaN`, `+Inf` and `-Inf`.
 */
export const formatFloat64 = (value: number): string => {
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  if (value === Number.NEGATIVE_INFINITY) return "-Inf"
  if (Object.is(value, -0)) return "-0"
  const text = String(value)
  // JavaScript has the same digits and the same thresholds; only exponents of one digit differ.
  return text.length > 3 && text.charAt(text.length - 3) === "e"
    ? `${text.slice(0, -1)}0${text.slice(-1)}`
    : text
}
