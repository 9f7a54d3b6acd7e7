/** Sends requests with the configured credentials, follows redirects, and separates successes from refusals. */
import { Clock, Effect, Redacted, Result, type Scope } from "effect"
import { HttpClient, HttpClientRequest, UrlParams } from "effect/http"
import type { Settings } from "../../config/ConnectorConfig.ts"
import { isLoginAddress, needsLogin } from "../loginPage.ts"
import { PrometheusError, type Reason } from "../PrometheusError.ts"
import { fromRefusal } from "../refusal.ts"
import { authenticationOf } from "./authentication.ts"
import { type Body, bodyStart } from "./body.ts"
import { hasCredentials, isInTheClear, keepsCredentials } from "./connectionSafety.ts"
import { parseRetryAfter } from "./httpDate.ts"
import { fromTransport } from "./transportError.ts"
import type { WarnOnce } from "./warnOnce.ts"

/** A request to an endpoint of the API. */
export interface ApiRequest {
  readonly method: "GET" | "POST"
  /** Below `base_url`. */
  readonly path: string
  readonly params: Readonly<Record<string, string>>
}

/** Sends a request, and succeeds if the status is 200 and the type JSON. The scope holds the connection. */
export type Transport = (request: ApiRequest) => Effect.Effect<Body, PrometheusError, Scope.Scope>

/** What a transport needs besides the settings. */
export interface TransportOptions {
  readonly httpClient: HttpClient.HttpClient
  /** Masks secrets in a server's text, before it is shortened: half of a secret would not be recognised. */
  readonly mask: (text: string) => string
  readonly warnOnce: WarnOnce
}

/** How many redirects of one request are followed. */
const MAX_REDIRECTS = 5

/** How much of a refusal is read for its text. */
const MAX_REFUSAL_BYTES = 64 * 1024

/** Reasons derived from the status alone: the text may be more specific. */
const vagueReasons: ReadonlySet<Reason> = new Set(["Refused", "NotPrometheus"])

/** The transport for a server. */
export const makeTransport = (
  settings: Pick<Settings, "baseUrl" | "basicAuth" | "headers" | "compression" | "requestTimeoutMillis">,
  { httpClient, mask, warnOnce }: TransportOptions
): Transport => {
  // The scope closes the connection of a response that is not read to its end.
  const http = HttpClient.withScope(httpClient)
  const timeoutMillis = settings.requestTimeoutMillis
  const { authenticate } = authenticationOf(settings)

  const withHeaders = (request: HttpClientRequest.HttpClientRequest) =>
    HttpClientRequest.setHeaders(request, {
      accept: "application/json",
      "accept-encoding": settings.compression === "gzip" ? "gzip" : "identity",
      "user-agent": "source-prometheus"
    }).pipe(
      authenticate,
      Effect.map(
        HttpClientRequest.setHeaders(
          settings.headers.map(({ name, value }) => [name, Redacted.value(value)] as const)
        )
      )
    )

  const execute = (request: HttpClientRequest.HttpClientRequest, address: string) =>
    withHeaders(request).pipe(
      Effect.flatMap((request) =>
        Effect.mapError(http.execute(request), (error) => fromTransport(address, error))
      ),
      // Servers do not expect the headers of traces, and some proxies refuse them. The request has a span of its own.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.timeoutOrElse({
        duration: timeoutMillis,
        orElse: () =>
          Effect.fail(
            new PrometheusError({
              reason: "Timeout",
              summary: `${address} did not respond within ${timeoutMillis / 1000} s.`
            })
          )
      })
    )

  /** An address from a server, masked except for its scheme. */
  const shownAddress = (url: URL): string =>
    `${url.protocol}${mask(withoutQuery(url).slice(url.protocol.length))}`

  /** Sends a request and follows redirects, but never carries credentials to another host. */
  const send = Effect.fnUntraced(function* (apiRequest: ApiRequest, endpoint: string) {
    const { method, path } = apiRequest
    const params = UrlParams.fromInput(apiRequest.params)
    const requestTo = (url: string) =>
      method === "POST"
        ? HttpClientRequest.bodyUrlParams(HttpClientRequest.post(url), params)
        : HttpClientRequest.get(url)
    let request = requestTo(endpoint)
    if (method === "GET") request = HttpClientRequest.setUrlParams(request, params)
    for (let redirects = 0; ; redirects++) {
      const source = new URL(request.url)
      const response = yield* execute(request, redirects === 0 ? endpoint : shownAddress(source))
      const { location } = response.headers
      if (response.status < 300 || response.status >= 400 || location === undefined) return response
      const target = URL.parse(location, request.url)
      const isTooMany = redirects === MAX_REDIRECTS
      if (target === null || isTooMany || !keepsCredentials(source, target)) {
        const to = target === null ? "an invalid address" : shownAddress(target).replace(path, "")
        return yield* new PrometheusError({
          reason: isTooMany ? "NotPrometheus" : "Redirected",
          summary: isTooMany
            ? `${endpoint} redirects more than ${MAX_REDIRECTS} times, the last time to ${to}.`
            : `${endpoint} redirects to ${to}, which is not followed.`,
          ...(target !== null && isLoginAddress(target) ? { advice: needsLogin } : {})
        })
      }
      if (hasCredentials(settings) && isInTheClear(source) && target.protocol === "https:") {
        yield* warnOnce(
          `${settings.baseUrl} redirects to ${withoutQuery(target).replace(path, "")}, but credentials are sent without encryption before the redirect. Set base_url to that address.`
        )
      }
      // A Location includes the query, unless the parameters are in a form.
      request = requestTo(target.href)
    }
  })

  /** The error for a response that is not a success. */
  const refusalError = Effect.fnUntraced(function* (body: Body, contentType: string) {
    const { headers, status } = body.response
    const start = yield* Effect.result(bodyStart(body, MAX_REFUSAL_BYTES))
    const text = Result.getOrElse(start, () => "")
    const refusal = fromRefusal(body.address, {
      status,
      body: mask(text),
      contentType,
      finalAddress: body.response.request.url,
      retryAfterMillis: parseRetryAfter(headers["retry-after"], headers.date, yield* Clock.currentTimeMillis)
    })
    if (!vagueReasons.has(refusal.reason)) return refusal
    // A text that broke off may have asked for smaller requests.
    if (Result.isFailure(start)) return start.failure
    return isJsonType(contentType) && text.length < MAX_REFUSAL_BYTES && !isJson(text)
      ? new PrometheusError({ reason: "BrokenResponse", summary: refusal.summary })
      : refusal
  })

  return Effect.fnUntraced(function* (request) {
    const address = settings.baseUrl + request.path
    const response = yield* send(request, address)
    yield* Effect.annotateCurrentSpan("http.response.status_code", response.status)
    const contentType = response.headers["content-type"] ?? ""
    const body: Body = { address, response, timeoutMillis }
    if (response.status !== 200 || !(contentType === "" || isJsonType(contentType))) {
      return yield* yield* refusalError(body, contentType)
    }
    return body
  })
}

/** An address without its query. */
const withoutQuery = ({ host, pathname, protocol }: URL): string => `${protocol}//${host}${pathname}`

const isJsonType = (contentType: string): boolean => /json/i.test(contentType)

const isJson = (text: string): boolean => Result.isSuccess(Result.try((): unknown => JSON.parse(text)))
