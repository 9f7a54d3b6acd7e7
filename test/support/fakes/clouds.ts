/** Fakes of managed services, which take fewer parameters and selectors than Prometheus, after their published behaviour. */
import { type Ask, isInstant, isList, isRange, json, type Layer, refusal, selectorsOf, text } from "./fake.ts"

/** Google's error: an object, not a text. */
const googleError = (message: string) =>
  json(400, { error: { code: 400, message, status: "INVALID_ARGUMENT" } })

/** What Google Cloud Managed Service for Prometheus knows. */
const googleParams = new Set([
  "query",
  "time",
  "start",
  "end",
  "step",
  "timeout",
  "match[]",
  "limit",
  "metric"
])

/** Google: it refuses each parameter that it does not know, and patterns for names. */
export const google: Layer = (ask, next) => {
  const unknown = [...ask.params.keys()].find((name) => !googleParams.has(name))
  if (unknown !== undefined) {
    return googleError(
      `Invalid JSON payload received. Unknown name "${unknown}": Cannot bind query parameter. Field '${unknown}' could not be found in request message.`
    )
  }
  if (/status\/|stores|features/.test(ask.path))
    return json(404, { error: { code: 404, message: "Not Found" } })
  const hasPattern = selectorsOf(ask).some((selector) => /__name__ *(=~|!~|!=)/.test(selector))
  return hasPattern
    ? googleError("Only equality matchers are supported on __name__ for this query.")
    : next(ask)
}

/** The same refusal from a server that says it in other words. */
export const refuseParams =
  (known: ReadonlyArray<string>, refuse: (name: string) => ReturnType<typeof json>): Layer =>
  (ask, next) => {
    const unknown = [...ask.params.keys()].find((name) => !known.includes(name))
    return unknown === undefined ? next(ask) : refuse(unknown)
  }

/** Azure Monitor: each query and list has exactly one matcher for the name. */
export const azure: Layer = (ask, next) => {
  if (/status\/|stores|features|metadata/.test(ask.path)) return json(404, { error: { code: "NotFound" } })
  if (!isRange(ask) && !(isList(ask) && ask.params.has("match[]"))) return next(ask)
  const wrong = selectorsOf(ask).find((selector) => countNames(selector) !== 1)
  return wrong === undefined
    ? next(ask)
    : refusal(422, `each query must have exactly one matcher of __name__ with equality: ${wrong}`)
}

const countNames = (selector: string): number =>
  (/^[a-zA-Z_:]/.test(selector) ? 1 : 0) + (selector.match(/__name__ *=(?!~)/g)?.length ?? 0)

/** Amazon: endpoints other than those of queries and lists are forbidden by its policies. */
export const amazon: Layer = (ask, next) =>
  isRange(ask) || isList(ask) || isInstant(ask) || ask.path === "/api/v1/metadata"
    ? next(ask)
    : json(403, { Message: `User is not authorized to perform: aps:${ask.path}` })

/** A proxy that allows GET only. */
export const getOnly =
  (status: 403 | 405): Layer =>
  (ask, next) =>
    ask.method === "GET" ? next(ask) : text(status, status === 405 ? "Method Not Allowed\n" : "Forbidden\n")

/** A proxy that allows addresses of so many characters, and so headers. */
export const shortAddresses =
  (characters: number): Layer =>
  (ask: Ask, next) =>
    ask.method === "GET" && `${ask.path}?${ask.params}`.length > characters
      ? text(414, "<html><head><title>414 Request-URI Too Large</title></head></html>", "text/html")
      : next(ask)
