/** Fakes of what Mimir, Cortex and Grafana Cloud do, as measured on Mimir 3.0.5 and Cortex 1.21.1. */
import {
  type Ask,
  isInstant,
  isList,
  isRange,
  json,
  type Layer,
  spanOf,
  success,
  text,
  withParams
} from "./fake.ts"

/** Mimir: it says what it is, and requires a tenant. */
export const mimir =
  (tenant = "team-a"): Layer =>
  (ask, next) => {
    if (ask.headers["x-scope-orgid"] !== tenant) return text(401, "no org id\n")
    return ask.path === "/api/v1/status/buildinfo"
      ? success({ application: "Grafana Mimir", version: "3.0.5", features: { ruler_config_api: "true" } })
      : next(ask)
  }

/** Cortex: no build information, and no flags. */
export const cortex: Layer = (ask, next) =>
  /^\/api\/v1\/(status\/|features|stores|metadata)/.test(ask.path)
    ? text(404, "404 page not found\n")
    : next(ask)

const seconds = (millis: number): string => `${millis / 1000}`

/** `max_labels_query_length`: the start of a list is moved to its end minus the limit. */
export const clampLists =
  (lengthMillis: number): Layer =>
  (ask, next) => {
    if (!isList(ask)) return next(ask)
    const { end, start } = spanOf(ask)
    return next(withParams(ask, { start: seconds(Math.max(start, end - lengthMillis)), end: seconds(end) }))
  }

/**
 * `max_query_lookback`: nothing before a time. A range that begins earlier begins there, which is a millisecond off any grid; one that
 * ends earlier is empty, or Cortex's querier panics and the connection is reset.
 */
export const lookback =
  (earliest: number, before: "empty" | "reset" = "empty"): Layer =>
  (ask, next) => {
    const { end, start } = spanOf(ask)
    if (!(isRange(ask) || isList(ask) || isInstant(ask)) || start >= earliest) return next(ask)
    if (end >= earliest) return next(withParams(ask, { start: seconds(earliest) }))
    if (isRange(ask) && before === "reset") return "reset"
    if (isList(ask)) return success([])
    return success({ resultType: isRange(ask) ? "matrix" : "vector", result: [] })
  }

/** A layer that refuses range queries to which a limit applies. */
export const limitRanges =
  (isTooMuch: (ask: Ask) => boolean, status: number, error: string, errorType = "execution"): Layer =>
  (ask, next) =>
    isRange(ask) && isTooMuch(ask) ? json(status, { status: "error", errorType, error }) : next(ask)

/** Longer than so many milliseconds. */
export const longerThan =
  (lengthMillis: number) =>
  (ask: Ask): boolean => {
    const { end, start } = spanOf(ask)
    return end - start > lengthMillis
  }
