/** Why requests fail, and the policy for each reason: one table for action, attribution and advice. */
import { Schema } from "effect"

/**
 * What is done about a failed request.
 *
 * - `retry`: the same request may succeed later
 * - `split`: smaller requests may succeed: by time, down to one point, then by series; or by series at once
 * - `stream`: this stream fails, others continue
 * - `sync`: no stream can be read
 */
export type ErrorAction = "retry" | "split" | "stream" | "sync"

/** The cause of a failure: the user's configuration, a passing condition, or a bug. */
export type ErrorAttribution = "config" | "transient" | "system"

/** The policy for one reason. */
export interface ErrorPolicy {
  /** What is done first. */
  readonly action: ErrorAction
  /** What a request is split by first, if at all: at once, or when retries do not help. */
  readonly splitBy?: "time" | "series"
  /** What fails once retries and splits are used up. */
  readonly onExhausted: "stream" | "sync"
  readonly attribution: ErrorAttribution
  /** What the user can do, as a sentence. */
  readonly advice: string
}

const policies = {
  Unreachable: {
    action: "retry",
    onExhausted: "sync",
    attribution: "transient",
    advice: "Check base_url, that the server runs, and that this machine may connect to it."
  },
  Tls: {
    action: "sync",
    onExhausted: "sync",
    attribution: "config",
    advice:
      "Check that base_url has the right scheme (http or https) and that the server's certificate is valid and trusted here."
  },
  Timeout: {
    action: "retry",
    splitBy: "time",
    onExhausted: "stream",
    attribution: "transient",
    advice: "If the server is only slow, raise request_timeout (and that of proxies) or lower concurrency."
  },
  Unauthorized: {
    action: "sync",
    onExhausted: "sync",
    attribution: "config",
    advice: "Check basic_auth_user, basic_auth_pass and headers."
  },
  WrongPath: {
    action: "sync",
    onExhausted: "sync",
    attribution: "config",
    advice:
      "Check the path of base_url: it must be where /api/v1 starts, for example https://example.com/prometheus."
  },
  NotPrometheus: {
    action: "sync",
    onExhausted: "sync",
    attribution: "config",
    advice: "Check base_url: what answers there is no Prometheus; a web page is often a login page."
  },
  Redirected: {
    action: "sync",
    onExhausted: "sync",
    attribution: "config",
    advice: "Set base_url to the address that it redirects to."
  },
  RateLimited: {
    action: "retry",
    onExhausted: "stream",
    attribution: "transient",
    advice: "Lower concurrency, or raise the limit of the server."
  },
  Unavailable: {
    action: "retry",
    onExhausted: "stream",
    attribution: "transient",
    advice: "The server or a proxy in front of it has a problem: try again later."
  },
  BrokenResponse: {
    action: "retry",
    onExhausted: "stream",
    attribution: "transient",
    advice:
      "Something between the server and here may cut or change answers: check proxies and their timeouts."
  },
  Corrupted: {
    action: "stream",
    onExhausted: "stream",
    attribution: "transient",
    advice:
      "What it brought may be wrong, and is written again by the next sync. Something between the server and here changes answers: check proxies, or set compression to none."
  },
  Oversized: {
    action: "stream",
    onExhausted: "stream",
    attribution: "config",
    advice:
      "No Prometheus sends so much there: check what answers at base_url, or use selector to read fewer series."
  },
  UnexpectedSample: {
    action: "stream",
    onExhausted: "stream",
    attribution: "system",
    advice:
      "If no cache in front of the server answers for it, the server does not do as Prometheus does: please report it with the server's name and version."
  },
  PartialResponse: {
    action: "retry",
    onExhausted: "stream",
    attribution: "transient",
    advice:
      "See to it that all of the server's sources answer. If what it warns of is known and harmless, set partial_data to accept."
  },
  TooLarge: {
    action: "split",
    splitBy: "time",
    onExhausted: "stream",
    attribution: "config",
    advice: "Use selector to read fewer series, or raise the limit of the server."
  },
  TooManySeries: {
    action: "split",
    splitBy: "series",
    onExhausted: "stream",
    attribution: "config",
    advice: "Use selector to read fewer series, or raise the limit of the server."
  },
  TooSlow: {
    action: "split",
    splitBy: "time",
    onExhausted: "stream",
    attribution: "transient",
    advice:
      "The server may have too much to do: lower concurrency, or raise request_timeout and the server's own limit (query.timeout)."
  },
  Refused: {
    action: "stream",
    onExhausted: "stream",
    attribution: "config",
    advice: "The server does not take this query: check selector, and what the server allows."
  }
} as const satisfies Record<string, ErrorPolicy>

/** Why a request failed. */
export type Reason = keyof typeof policies

const reasons = Object.keys(policies) as [Reason, ...Array<Reason>]

/** A request to the server failed. `message` is for a person: what happened, where, and what to do. */
export class PrometheusError extends Schema.TaggedError<PrometheusError>()("PrometheusError", {
  reason: Schema.Literals(reasons),
  /** What happened, as a sentence. */
  summary: Schema.String,
  /** Milliseconds that the server asked to wait before the next try. */
  retryAfterMillis: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    return `${this.summary} ${this.policy.advice}`
  }

  get policy(): ErrorPolicy {
    return policies[this.reason]
  }
}

/** What the server answered instead of data. */
export interface Refusal {
  readonly status: number
  /** The start of the body, as text. */
  readonly body: string
  readonly contentType: string
  readonly retryAfterMillis: number | undefined
}

/** What a refusal must have to mean something: one of these statuses, if any are named, and such a text, if one is. */
interface Rule {
  readonly statuses?: ReadonlyArray<number>
  readonly text?: RegExp
  /** Whether it must be JSON, as Prometheus' own errors are. */
  readonly isJson?: boolean
  readonly reason: Reason
}

const between = (first: number, last: number): ReadonlyArray<number> =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)

/**
 * What a refusal means: the first rule that applies. Texts come first, since the codes that come with them differ from
 * server to server and release to release.
 */
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
  // What a proxy says that did not get an answer in time; the latter is Cloudflare's.
  { statuses: [504, 524], reason: "Timeout" },
  { statuses: [408, 499, ...between(500, 599)], reason: "Unavailable" },
  // The query is right, but what the server reads from did not answer.
  { statuses: [422], text: /expanding series|rpc error|context (canceled|deadline)/i, reason: "Unavailable" },
  { statuses: between(200, 299), isJson: true, reason: "Refused" },
  { statuses: between(200, 399), reason: "NotPrometheus" },
  { reason: "Refused" }
]

/** Turns an answer that is no success into an error. `endpoint` is the address asked, without query. */
export const fromRefusal = (endpoint: string, refusal: Refusal): PrometheusError => {
  const { error, isJson } = serverMessage(refusal)
  const told = shorten(error)
  const answered = `${endpoint} answered HTTP ${refusal.status}${told === "" ? "" : `: ${told}`}`
  const summary = /[.!?…]$/.test(answered) ? answered : `${answered}.`
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

/** The server's own words: the `error` of its JSON, or the text of the page. */
const serverMessage = ({
  body,
  contentType
}: Refusal): { readonly error: string; readonly isJson: boolean } => {
  try {
    const json: unknown = JSON.parse(body)
    if (typeof json === "object" && json !== null && "error" in json && typeof json.error === "string") {
      return { error: withoutOwnQuery(json.error), isJson: true }
    }
  } catch {
    // Not JSON: a proxy or another program speaks.
  }
  if (/html/i.test(contentType) || body.trimStart().startsWith("<")) {
    const title = titleOf(body)
    return { error: title === "" ? "a web page" : `a web page titled "${title}"`, isJson: false }
  }
  return { error: body, isJson: false }
}

// Plain searches look through a server's text, each in one pass. A regular expression with two
// quantifiers tries each combination of what they may match, and a server can choose the text for which that takes hours.

/** VictoriaMetrics repeats the query, which may be long, before it says what is wrong. */
const withoutOwnQuery = (error: string): string => {
  if (!error.startsWith('error when executing query="')) return error
  const range = error.lastIndexOf('" on the time range (')
  const end = range < 0 ? -1 : error.indexOf(")", range)
  return end >= 0 && error.startsWith("): ", end) ? error.slice(end + 3) : error
}

/** The title of a web page; empty where it has none. */
const titleOf = (page: string): string => {
  const tag = page.search(/<title[\s>]/i)
  const start = tag < 0 ? -1 : page.indexOf(">", tag)
  const end = start < 0 ? -1 : page.indexOf("<", start)
  return end < 0 ? "" : shorten(page.slice(start + 1, end))
}

/** What a message is made of is cut to this before anything is searched in it. */
const MAX_CHARACTERS = 4000

/**
 * The beginning of a foreign text, for a message. It is copied: V8 keeps the whole of a text for as long as a part of it.
 */
export const beginning = (text: string, characters = MAX_CHARACTERS): string =>
  text.length <= characters ? text : Buffer.from(text.slice(0, characters)).toString()

/** A server's words on one line, of a length that a message can have. */
export const shorten = (text: string): string => {
  const line = beginning(text).replace(/\s+/g, " ").trim()
  return line.length > 300 || text.length > MAX_CHARACTERS ? `${beginning(line, 300)}…` : line
}

/** Turns a failure to connect, send or receive into an error. `cause` is what the platform threw. */
export const fromTransport = (endpoint: string, cause: unknown): PrometheusError => {
  const { code, text } = describeCause(cause)
  if (code.startsWith("HPE_")) {
    return new PrometheusError({
      reason: "BrokenResponse",
      summary: `The answer of ${endpoint} is not HTTP (${text}).`
    })
  }
  if (isTls(code)) {
    return new PrometheusError({
      reason: "Tls",
      summary: `${endpoint} cannot be reached securely (${text}).`
    })
  }
  return new PrometheusError({ reason: "Unreachable", summary: `${endpoint} cannot be reached (${text}).` })
}

const isTls = (code: string): boolean => /CERT|TLS|SSL|EPROTO|SELF_SIGNED|UNABLE_TO/.test(code)

const plainTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "the host name does not exist",
  EAI_AGAIN: "the host name cannot be looked up at the moment",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  EPROTO: "the TLS handshake failed",
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network"
}

/** What OpenSSL says of a handshake, and what that means; its own words hold the names of its source files. */
const handshakes: ReadonlyArray<readonly [words: RegExp, text: string]> = [
  // An alert is sent by the server, or this side has found no version in what it got.
  [
    /alert protocol version|unsupported protocol|version too low|no protocols available/i,
    "it speaks no version of TLS that is accepted here, which are 1.2 and later; let the server, or a proxy in front of it, offer TLS 1.2 or 1.3"
  ],
  [
    /handshake failure|no shared cipher|no ciphers available/i,
    "it has no cipher or key exchange in common with this side, or wants a client certificate"
  ],
  [
    /wrong version number|packet length too long|unknown protocol|http request|record layer failure/i,
    "it does not speak TLS, as https asks for"
  ]
]

const handshakeText = (message: string): string | undefined =>
  handshakes.find(([words]) => words.test(beginning(message)))?.[1]

/** Without the advice for who starts Node by hand. */
const withoutNodeHint = (text: string): string => {
  const hint = text.search(/;? if the root CA is installed locally/i)
  return hint < 0 ? text : text.slice(0, hint)
}

/** What a platform's failure says, in a few words for a person. */
export const causeText = (cause: unknown): string => describeCause(cause).text

/** The innermost failure that says something: platforms wrap errors in errors, or several in one. */
const describeCause = (cause: unknown): { readonly code: string; readonly text: string } => {
  let error = cause
  for (let depth = 0; depth < 8 && typeof error === "object" && error !== null; depth++) {
    if ("code" in error && typeof error.code === "string") {
      const message = "message" in error && typeof error.message === "string" ? error.message : error.code
      return {
        code: error.code,
        text:
          (isTls(error.code) ? handshakeText(message) : undefined) ??
          plainTexts[error.code] ??
          withoutNodeHint(shorten(message))
      }
    }
    if ("errors" in error && Array.isArray(error.errors) && error.errors.length > 0) error = error.errors[0]
    else if ("cause" in error && error.cause !== undefined) error = error.cause
    else if ("reason" in error) error = error.reason
    else break
  }
  const message = typeof error === "object" && error !== null && "message" in error ? error.message : error
  return { code: "", text: shorten(String(message)) }
}
