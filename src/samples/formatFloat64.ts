/**
 * A number in Prometheus' format: the shortest digits of the same float, with an exponent of at least two digits if |value| <
 * 1e-6 or ≥ 1e21 (Go's `strconv.FormatFloat` with the format `f` or `e`); `NaN`, `+Inf` and `-Inf`.
 */
export const formatFloat64 = (value: number): string => {
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  if (value === Number.NEGATIVE_INFINITY) return "-Inf"
  if (Object.is(value, -0)) return "-0"
  const text = String(value)
  // JavaScript uses the same digits and thresholds. Only exponents of one digit differ.
  return text.length > 3 && text.charAt(text.length - 3) === "e"
    ? `${text.slice(0, -1)}0${text.slice(-1)}`
    : text
}
