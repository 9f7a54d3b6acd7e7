/** Label matchers, which select series. */
import { Result, Schema } from "effect"
import { parse as parseSelector } from "../../promql/Matcher.ts"
import { type KeyOptions, makeKey } from "../Key.ts"

/** Label matchers, without the name of a metric. */
export const matchers = <const O extends KeyOptions<string>>(options: O) => {
  const accepted = 'label matchers such as {env="prod",job=~"api.*"}'
  return makeKey(options, {
    value: Schema.String,
    accepted,
    problems: (value, path) => {
      const matchers = parseSelector(value)
      if (Result.isFailure(matchers)) return [`${path} must be ${accepted}: ${matchers.failure}.`]
      return matchers.success.some(({ label, operator }) => label === "__name__" && operator === "=")
        ? [
            `${path} must not name a metric, because it is added to the query of every metric: use metrics.include.`
          ]
        : []
    }
  })
}
