/** Errors of a server that issues tokens or credentials: other advice than for Prometheus, and other consequences. */
import { endSentence, excerptLine } from "../../../text/excerpt.ts"
import { PrometheusError, type Reason } from "../../PrometheusError.ts"
import { serverText } from "../../serverText.ts"
import { parseRetryAfter } from "../httpDate.ts"

/** A server that issues tokens. */
export interface TokenServer {
  /** What sets its address, such as the key `authentication.token_url`. Advice names it. */
  readonly addressKey: string
}

/**
 * The error for a failure to reach the server, or to read its response. Without a token, no stream can be read: a smaller query
 * would not help, and the samples are not damaged. So a failure that passes is `Unreachable`, whatever it would be of Prometheus.
 */
export const fromTokenServer = (error: PrometheusError, { addressKey }: TokenServer): PrometheusError =>
  new PrometheusError({
    reason: reasonOf(error),
    summary: error.summary,
    advice:
      advice[error.reason]?.(addressKey) ??
      (error.advice ?? error.policy.advice).replaceAll("base_url", addressKey)
  })

const reasonOf = ({ policy, reason }: PrometheusError): Reason => {
  if (reason === "NoServer" || reason === "Tls") return reason
  return policy.action === "retry" ? "Unreachable" : "Unauthorized"
}

const advice: { readonly [R in Reason]?: (addressKey: string) => string } = {
  Oversized: (addressKey) => `Check ${addressKey}: the server there sends more than a token.`,
  Timeout: (addressKey) =>
    `Check ${addressKey}, that the server runs, and that this machine may connect to it. If it is only slow, raise request_timeout.`
}

/** A response that has no token. */
export interface TokenRefusal {
  /** The address of the request, without its query. */
  readonly address: string
  readonly status: number
  readonly headers: Headers
  readonly body: string
  /** What the body says, if the method knows better than to look for the usual keys. */
  readonly text?: string | undefined
  /** What to do, if the server says by a code what is wrong. */
  readonly knownAdvice?: string | undefined
  /** Whether the same request may succeed later, if the status does not say so. */
  readonly isTemporary?: boolean
  readonly nowMillis: number
}

/** How to report a refusal. */
export interface RefusalOptions extends TokenServer {
  /** What to do if the server does not accept the credentials, as a sentence. */
  readonly advice: string
  /** Masks secrets in a server's text. */
  readonly mask: (text: string) => string
}

/** The error for a response that has no token. */
export const fromTokenRefusal = (
  { address, body, headers, isTemporary, knownAdvice, nowMillis, status, text }: TokenRefusal,
  { addressKey, advice, mask }: RefusalOptions
): PrometheusError => {
  const error = (reason: Reason, summary: string, advice: string, retryAfterMillis?: number) =>
    new PrometheusError({
      reason,
      summary,
      advice,
      ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
    })
  const location = headers.get("location")
  if (status >= 300 && status < 400 && location !== null) {
    const target = URL.parse(location, address)
    const to =
      target === null
        ? "an invalid address"
        : `${target.protocol}${mask(`//${target.host}${target.pathname}`)}`
    return error(
      "Redirected",
      `${address} redirects to ${to}, which is not followed, because credentials would be sent there.`,
      `Set ${addressKey} to the address that it redirects to, if that is the right one.`
    )
  }
  const masked = mask(body)
  const { page, text: found } = serverText(masked, headers.get("content-type") ?? "")
  // The body of a success may be a token in another form. No mask knows it yet.
  const mayBeToken = text === undefined && status < 300 && found !== "" && found === masked
  const said = mayBeToken ? "" : excerptLine(text === undefined ? found : mask(text))
  const what = mayBeToken
    ? ", but no JSON object with a token (its content is not shown)"
    : said && `: ${said}`
  const summary = endSentence(`${address} returned HTTP ${status}${what}`)
  const retryAfter = parseRetryAfter(
    headers.get("retry-after") ?? undefined,
    headers.get("date") ?? undefined,
    nowMillis
  )
  if (status === 429) return error("RateLimited", summary, TOO_MANY, retryAfter)
  if (status === 408 || status >= 500 || isTemporary === true)
    return error("Unreachable", summary, UNAVAILABLE, retryAfter)
  if (status === 407) return error("Unauthorized", summary, PROXY)
  if (knownAdvice !== undefined) return error("Unauthorized", summary, knownAdvice)
  if ((isPage(page) && status !== 401) || wrongPlaces.has(status)) {
    return error(
      "Unauthorized",
      summary,
      `Check ${addressKey}: it must be the address where the server issues tokens to programs, not that of a page for people.`
    )
  }
  return error("Unauthorized", summary, advice)
}

const TOO_MANY = "The server limits how many tokens it issues: try again later, or raise its limit."

const UNAVAILABLE =
  "The server that issues tokens, or a proxy in front of it, has a problem: try again later, or see its log."

const PROXY = "The proxy between here and the server that issues tokens wants credentials: set proxy_url."

/** Statuses that say that nothing issues tokens at an address, or not by POST. A success without a token does so too. */
const wrongPlaces: ReadonlySet<number> = new Set([200, 201, 202, 203, 204, 404, 405, 410])

const isPage = (page: string): boolean => page.trimStart().startsWith("<")

/** An address without its query, which may contain secrets. */
export const addressOf = (url: string): string => {
  const { host, pathname, protocol } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
