/** Interprets a response that is not a success, with one table of statuses and texts. */
import { Predicate } from "effect"
import { endSentence, excerptLine } from "../text/excerpt.ts"
import { PrometheusError, type Reason } from "./PrometheusError.ts"

/** A response that is not a success. */
export interface Refusal {
  readonly status: number
  /** The start of the body, as text. */
  readonly body: string
  readonly contentType: string
  readonly retryAfterMillis?: number | undefined
}

/** A rule applies if the refusal meets all conditions that the rule has. */
interface Rule {
  readonly statuses?: ReadonlyArray<number>
  readonly text?: RegExp
  /** Whether it must be JSON, as Prometheus' own errors are. */
  readonly isJson?: boolean
  readonly reason: Reason
}

const between = (first: number, last: number): ReadonlyArray<number> =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** The first rule that applies gives the reason. Texts come first, since servers and releases use different statuses for them. */
const rules: ReadonlyArray<Rule> = [
  {
    text: /query timed out in expression evaluation|timeout exceeded (during|while|before)/i,
    reason: "TooSlow"
  },
  {
    text: /number of matching timeseries exceeds|exceeded series limit|max number of series|err-mimir-max-(fetched-)?series/i,
    reason: "TooManySeries"
  },
  {
    text: /exceeded maximum resolution|too many points for the given|would load too many samples|exceeded sample limit|cannot select more than|cannot process more than|not enough memory for processing|exceeded chunks limit|message larger than max|time range exceeds the limit|max number of (chunks|samples)|err-mimir-max-/i,
    reason: "TooLarge"
  },
  { statuses: [413], reason: "TooLarge" },
  { statuses: [401, 403], reason: "Unauthorized" },
  { statuses: [404, 405], reason: "WrongPath" },
  { statuses: [400], text: /unsupported path requested|missing -http\.pathPrefix/, reason: "WrongPath" },
  { statuses: [429], reason: "RateLimited" },
  // A proxy that got no response in time; 524 is Cloudflare's.
  { statuses: [504, 524], reason: "Timeout" },
  { statuses: [408, 499, ...between(500, 599)], reason: "Unavailable" },
  // The query is valid, but a source of the server did not respond.
  { statuses: [422], text: /expanding series|rpc error|context (canceled|deadline)/i, reason: "Unavailable" },
  { statuses: between(200, 299), isJson: true, reason: "Refused" },
  { statuses: between(200, 399), reason: "NotPrometheus" },
  { reason: "Refused" }
]

/** Turns a refusal into an error. `endpoint` is the address of the request, without its query. */
export const fromRefusal = (endpoint: string, refusal: Refusal): PrometheusError => {
  const { error, isJson } = serverMessage(refusal)
  const text = excerptLine(error)
  const summary = endSentence(`${endpoint} returned HTTP ${refusal.status}${text === "" ? "" : `: ${text}`}`)
  const wait = refusal.retryAfterMillis === undefined ? {} : { retryAfterMillis: refusal.retryAfterMillis }
  return new PrometheusError({ reason: reasonOf(refusal, error, isJson), summary, ...wait })
}

const reasonOf = ({ status }: Refusal, error: string, isJson: boolean): Reason =>
  rules.find(
    (rule) =>
      (rule.statuses?.includes(status) ?? true) &&
      (rule.text?.test(error) ?? true) &&
      (rule.isJson ?? isJson) === isJson
  )!.reason

/** The server's message: the `error` of its JSON, or the text of the page. */
const serverMessage = ({
  body,
  contentType
}: Refusal): { readonly error: string; readonly isJson: boolean } => {
  try {
    const json: unknown = JSON.parse(body)
    if (Predicate.hasProperty(json, "error") && typeof json.error === "string") {
      return { error: withoutOwnQuery(json.error), isJson: true }
    }
  } catch {
    // Not JSON: the text of a proxy or of another program.
  }
  if (/html/i.test(contentType) || body.trimStart().startsWith("<")) {
    const title = titleOf(body)
    return { error: title === "" ? "a web page" : `a web page titled "${title}"`, isJson: false }
  }
  return { error: body, isJson: false }
}

// Only plain searches read a server's text, each in one pass. A regular expression with two quantifiers tries all combinations
// of their matches, and a server could send a text for which that takes hours.

/** VictoriaMetrics repeats the query, which may be long, before the error, and then each part that it could not evaluate. */
const withoutOwnQuery = (error: string): string => {
  if (!error.startsWith('error when executing query="')) return error
  const range = error.lastIndexOf('" on the time range (')
  const end = range < 0 ? -1 : error.indexOf(")", range)
  return end >= 0 && error.startsWith("): ", end) ? withoutParts(error.slice(end + 3)) : error
}

const partPrefixes = ["cannot execute query: ", 'cannot execute "', 'cannot evaluate "']

const withoutParts = (error: string): string => {
  let from = 0
  for (;;) {
    const prefix = partPrefixes.find((prefix) => error.startsWith(prefix, from))
    if (prefix === undefined) return error.slice(from)
    let next = from + prefix.length
    if (prefix.endsWith('"')) {
      while (next < error.length && error[next] !== '"') next += error[next] === "\\" ? 2 : 1
      if (!error.startsWith('": ', next)) return error.slice(from)
      next += 3
    }
    from = next
  }
}

/** The title of a web page; empty if it has none. */
const titleOf = (page: string): string => {
  const tag = page.search(/<title[\s>]/i)
  const start = tag < 0 ? -1 : page.indexOf(">", tag)
  const end = start < 0 ? -1 : page.indexOf("<", start)
  return end < 0 ? "" : excerptLine(page.slice(start + 1, end))
}
