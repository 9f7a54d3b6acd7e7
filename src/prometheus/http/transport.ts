/** Sends requests with the configured credentials, follows redirects, and separates successes from refusals. */
import { Clock, Effect, Redacted, Result, type Scope } from "effect"
import { type Headers, HttpClient, HttpClientRequest, type UrlParams } from "effect/http"
import type { Settings } from "../../config/ConnectorConfig.ts"
import type { ExpectedSamples, LoadBudget } from "../load/LoadBudget.ts"
import { CurrentLoadMeter } from "../load/LoadMeter.ts"
import { isLoginAddress, loginPage, needsLogin } from "../loginPage.ts"
import { PrometheusError, type Reason } from "../PrometheusError.ts"
import { fromRefusal } from "../refusal.ts"
import type { ApiRequest } from "./ApiRequest.ts"
import { authenticationOf, refusedAdvice } from "./authentication/authentication.ts"
import type { CredentialRefusal } from "./authentication/Method.ts"
import { type Body, bodyStart, withPeekedBytes } from "./body.ts"
import { type Connection, hasCredentials, isInTheClear, keepsCredentials } from "./connectionSafety.ts"
import { parseRetryAfter } from "./httpDate.ts"
import { proxyName } from "./proxyErrors.ts"
import {
  type Form,
  type FormRefusal,
  paramsOf,
  RequestForms,
  refusesLength,
  saysMore
} from "./RequestForms.ts"
import { fromTransport } from "./transportError.ts"
import { forwarderOf } from "./Way.ts"
import type { WarnOnce } from "./warnOnce.ts"

/**
 * Sends a request, and succeeds if the status is 200 or 206 and the body JSON, or of a type that the request accepts. The scope
 * holds the connection.
 */
export type Transport = (
  request: ApiRequest,
  samples?: ExpectedSamples
) => Effect.Effect<Body, PrometheusError, Scope.Scope>

/** What a transport needs besides the settings. */
export interface TransportOptions {
  readonly httpClient: HttpClient.HttpClient
  /** Sends requests for tokens. It must not present the credentials that are meant for Prometheus, such as certificates. */
  readonly tokenClient: HttpClient.HttpClient
  /** Called with each secret that was fetched, such as a token. */
  readonly addSecret: (secret: string) => void
  /** Masks secrets in a server's text, before it is shortened: half of a secret would not be recognised. */
  readonly mask: (text: string) => string
  readonly warnOnce: WarnOnce
  /** Called with the headers of every response, and with the text of every refusal. */
  readonly observe?: (response: { readonly headers?: Headers.Headers; readonly refusal?: string }) => void
  /** Waits until a request may be sent. Its redirects are part of it. */
  readonly admit?: LoadBudget["admit"]
}

/** How many redirects of one request are followed. */
const MAX_REDIRECTS = 5

/** How much of a refusal is read for its text. */
const MAX_REFUSAL_BYTES = 64 * 1024

/** Reasons derived from the status alone: the text may be more specific. */
const vagueReasons: ReadonlySet<Reason> = new Set(["Refused", "NotPrometheus"])

/** Reasons derived from a status that may mean something else at one endpoint. */
const statusOnlyReasons: ReadonlySet<Reason> = new Set([
  "Unauthorized",
  "Forbidden",
  "WrongPath",
  "Unavailable",
  "Refused"
])

/** The statuses of refusals that may be about credentials. */
const credentialStatuses: ReadonlySet<number> = new Set([400, 401, 403])

/** The settings that a transport uses. */
export type TransportSettings = Connection & Pick<Settings, "compression" | "requestTimeoutMillis">

/** The transport for a server. */
export const makeTransport = (settings: TransportSettings, options: TransportOptions): Transport => {
  const { admit = () => Effect.void, httpClient, mask, observe = () => {}, warnOnce } = options
  // The scope closes the connection of a response that is not read to its end.
  const http = HttpClient.withScope(httpClient)
  const timeoutMillis = settings.requestTimeoutMillis
  const { authenticate, renew } = authenticationOf(settings.authentication, { ...options, timeoutMillis })
  const parameters = settings.parameters.map(({ name, value }) => [name, Redacted.value(value)] as const)
  const isConfigured = new Set(parameters.map(([name]) => name))
  const forms = new RequestForms()

  const withHeaders = (request: HttpClientRequest.HttpClientRequest, { accepts, binary }: ApiRequest) =>
    HttpClientRequest.setHeaders(request, {
      accept: accepts === undefined ? "application/json" : "text/plain",
      "accept-encoding": settings.compression === "gzip" ? "gzip" : "identity",
      // The result caches of Thanos, Mimir and Cortex hide samples that arrived late.
      "cache-control": "no-store",
      "user-agent": "source-prometheus",
      ...(binary === undefined ? {} : { accept: "*/*", ...binary.headers })
    }).pipe(
      HttpClientRequest.setHeaders(
        settings.headers.map(({ name, value }) => [name, Redacted.value(value)] as const)
      ),
      authenticate
    )

  const execute = (request: HttpClientRequest.HttpClientRequest, address: string, apiRequest: ApiRequest) =>
    // A request for a token has a time of its own.
    Effect.flatMap(withHeaders(request, apiRequest), (request) =>
      Effect.timeoutOrElse(
        Effect.mapError(http.execute(request), (error) => fromTransport(address, error)),
        {
          duration: timeoutMillis,
          orElse: () =>
            Effect.fail(
              new PrometheusError({
                reason: "Timeout",
                summary: `${address} did not respond within ${timeoutMillis / 1000} s.`
              })
            )
        }
      )
    ).pipe(
      // Servers do not expect the headers of traces, and some proxies refuse them. The request has a span of its own.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
    )

  /** An address from a server, masked except for its scheme. */
  const shownAddress = (url: URL): string =>
    `${url.protocol}${mask(withoutQuery(url).slice(url.protocol.length))}`

  /** Sends a request and follows redirects, but never carries credentials to another host. */
  const send = Effect.fnUntraced(function* (
    apiRequest: ApiRequest,
    method: ApiRequest["method"],
    params: UrlParams.UrlParams
  ) {
    const { binary, path } = apiRequest
    const endpoint = settings.baseUrl + path
    const requestTo = (url: string) =>
      binary !== undefined
        ? HttpClientRequest.bodyUint8Array(
            HttpClientRequest.post(url),
            binary.body,
            binary.headers["content-type"]
          )
        : method === "POST"
          ? HttpClientRequest.bodyUrlParams(HttpClientRequest.post(url), params)
          : HttpClientRequest.get(url)
    let first = HttpClientRequest.appendUrlParams(requestTo(endpoint), parameters)
    if (method === "GET") first = HttpClientRequest.appendUrlParams(first, params)
    let request = first
    let isRenewed = false
    for (let redirects = 0; ; redirects++) {
      const source = new URL(request.url)
      const response = yield* execute(request, redirects === 0 ? endpoint : shownAddress(source), apiRequest)
      observe({ headers: response.headers })
      const { location } = response.headers
      if (response.status < 300 || response.status >= 400 || location === undefined) return response
      const target = URL.parse(location, request.url)
      const isTooMany = redirects === MAX_REDIRECTS
      const isLogin = target !== null && isLoginAddress(target)
      if (target === null || isTooMany || !keepsCredentials(source, target)) {
        // Some proxies send a browser to a login page, instead of refusing a token that has expired.
        const { headers, request: sent, status } = response
        if (isLogin && !isRenewed && (yield* renew({ status, headers, text: "", request: sent, isLogin }))) {
          isRenewed = true
          request = first
          redirects = -1
          continue
        }
        const to = target === null ? "an invalid address" : shownAddress(target).replace(path, "")
        return yield* new PrometheusError({
          reason: isTooMany ? "NotPrometheus" : "Redirected",
          summary: isTooMany
            ? `${endpoint} redirects more than ${MAX_REDIRECTS} times, the last time to ${to}.`
            : `${endpoint} redirects to ${to}, which is not followed.`,
          ...(isLogin ? { advice: needsLogin } : {})
        })
      }
      if (hasCredentials(settings) && isInTheClear(source) && target.protocol === "https:") {
        yield* warnOnce(
          `${settings.baseUrl} redirects to ${withoutQuery(target).replace(path, "")}, but credentials are sent without encryption before the redirect. Set base_url to that address.`
        )
      }
      // A Location includes the query. That of a form may lack it.
      const lacking = parameters.filter(([name]) => method === "POST" && !target.searchParams.has(name))
      request = HttpClientRequest.appendUrlParams(requestTo(target.href), lacking)
    }
  })

  /** A refusal of credentials with the keys of their method, unless it says more already. */
  const withMethodsAdvice = (error: PrometheusError): PrometheusError => {
    const advice = error.advice ?? refusedAdvice(settings, error.reason)
    return advice === undefined ? error : new PrometheusError({ ...error, advice })
  }

  /** Interprets a response that is not a success. */
  const refusalOf = Effect.fnUntraced(function* (
    body: Body,
    request: ApiRequest
  ): Effect.fn.Return<Refused, never, Scope.Scope> {
    const { headers, status } = body.response
    const contentType = contentTypeOf(body)
    const start = yield* Effect.result(bodyStart(body, MAX_REFUSAL_BYTES))
    const text = Result.getOrElse(start, () => "")
    observe({ refusal: text })
    const forwarder = forwarderOf(body.response)
    const refusal = withMethodsAdvice(
      fromRefusal(
        `${body.address}${forwarder === undefined ? "" : `, through the proxy ${proxyName(forwarder)},`}`,
        {
          status,
          body: mask(text),
          contentType,
          errorType: headers["x-amzn-errortype"],
          finalAddress: body.response.request.url,
          retryAfterMillis: parseRetryAfter(
            headers["retry-after"],
            headers.date,
            yield* Clock.currentTimeMillis
          )
        }
      )
    )
    const { request: sent } = body.response
    const refused = (error: PrometheusError): Refused => ({
      status,
      text,
      error,
      headers,
      request: sent,
      isLogin: error.advice === needsLogin || loginPage.test(text)
    })
    // Some servers send 400 instead of 404 for a path that they do not have.
    const isMissing = status === 400 && refusal.reason === "WrongPath"
    const reason = request.statusReasons?.[isMissing ? 404 : status]
    if (reason !== undefined && reason !== refusal.reason && statusOnlyReasons.has(refusal.reason)) {
      return refused(new PrometheusError({ reason, summary: refusal.summary }))
    }
    if (!vagueReasons.has(refusal.reason)) return refused(refusal)
    // A text that broke off may have asked for smaller requests.
    if (Result.isFailure(start)) return refused(start.failure)
    return refused(
      isJsonType(contentType) && text.length < MAX_REFUSAL_BYTES && !isJson(text)
        ? new PrometheusError({ reason: "BrokenResponse", summary: refusal.summary })
        : refusal
    )
  })

  /** Sends a request in one form. */
  const attempt = Effect.fnUntraced(function* (
    request: ApiRequest,
    { method, optional }: Form,
    samples: ExpectedSamples | undefined
  ) {
    const address = settings.baseUrl + request.path
    yield* admit(samples)
    const meter = yield* CurrentLoadMeter
    meter.requests++
    // A parameter of the configuration replaces ours.
    const names = optional.filter((name) => !isConfigured.has(name))
    const response = yield* send(request, method, paramsOf(request, names))
    yield* Effect.annotateCurrentSpan("http.response.status_code", response.status)
    const received: Body = {
      address,
      response,
      timeoutMillis,
      onBytes: (bytes) => {
        meter.bytes += bytes
      },
      ...(request.binary === undefined ? {} : { keptEncoding: request.binary.encoding })
    }
    if (response.status !== 200 && response.status !== 206) {
      return Result.fail(yield* refusalOf(received, request))
    }
    const contentType = contentTypeOf(received)
    const accepts = request.accepts ?? request.binary?.accepts
    if (accepts !== undefined) {
      return accepts.test(contentType)
        ? Result.succeed(received)
        : Result.fail(yield* refusalOf(received, request))
    }
    if (contentType === "" || isJsonType(contentType)) return Result.succeed(received)
    // Some servers do not name the type of their responses. A web page does not start like an object.
    const body = yield* withPeekedBytes(received)
    return startsWithBrace(body.start) ? Result.succeed(body) : Result.fail(yield* refusalOf(body, request))
  })

  return Effect.fnUntraced(function* (request, samples) {
    let form = forms.first(request)
    let before: Refused | undefined
    let isRenewed = false
    for (;;) {
      const result = yield* attempt(request, form, samples)
      if (Result.isSuccess(result)) {
        forms.succeeded(request, form)
        return result.success
      }
      const refused = result.failure
      const mayBeCredentials = refused.isLogin === true || credentialStatuses.has(refused.status)
      if (!isRenewed && mayBeCredentials && (yield* renew(refused))) {
        isRenewed = true
        continue
      }
      const next = forms.next(request, form, refused)
      if (next === undefined) return yield* reported(request, form, refused, before)
      form = next
      before = refused
    }
  })
}

/** A refusal, and the error for it. */
interface Refused extends FormRefusal, CredentialRefusal {
  readonly error: PrometheusError
}

/** The error to report for a request that was refused in two forms: of the form that it was meant to have. */
const reported = (
  request: ApiRequest,
  { attempt }: Form,
  refused: Refused,
  before: Refused | undefined
): PrometheusError => {
  if (before === undefined || attempt === "params") return refused.error
  if (attempt === "noParams") return before.error
  const [form, address] = attempt === "form" ? [refused, before] : [before, refused]
  // The query is not in the head of a form: what is too long there is a header, such as a token.
  if (refusesLength(address) && refusesLength(form)) return form.error
  if (saysMore(refused) || (attempt === "form" && saysMore(form))) return refused.error
  return refusesLength(address)
    ? new PrometheusError({
        reason: "InvalidQuery",
        summary: `${before.error.summary} As ${attempt === "form" ? "a form" : "an address"}, it returned HTTP ${refused.status}: the query has ${(request.params.query ?? request.params["match[]"] ?? "").length} characters.`
      })
    : before.error
}

/** An address without its query. */
const withoutQuery = ({ host, pathname, protocol }: URL): string => `${protocol}//${host}${pathname}`

const contentTypeOf = ({ response }: Body): string => response.headers["content-type"] ?? ""

/** Whether the first byte that is not white space starts an object. */
const startsWithBrace = (bytes: Uint8Array): boolean => /^\s*\{/.test(Buffer.from(bytes).toString("latin1"))

const isJsonType = (contentType: string): boolean => /json/i.test(contentType)

const isJson = (text: string): boolean => Result.isSuccess(Result.try((): unknown => JSON.parse(text)))
