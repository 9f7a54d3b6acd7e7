/**
 * A `fetch` for libraries that request tokens, over an Effect `HttpClient`: so the user's proxy and authorities, timeouts, and
 * our errors apply to their requests too.
 */
import { Context, Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { PrometheusError } from "../../PrometheusError.ts"
import { bodyText } from "../body.ts"
import { fromTransport } from "../transportError.ts"
import type { AuthenticationContext } from "./Method.ts"
import { addressOf, fromTokenServer, type TokenServer } from "./tokenServerError.ts"

type Fetch = typeof globalThis.fetch

/** Tokens and credentials have some kilobytes. Nested JSON is as harmless as that. */
const BOUNDS = { bytes: 1024 * 1024, depth: Number.POSITIVE_INFINITY, containers: Number.POSITIVE_INFINITY }

/**
 * Makes a `fetch`. The promise has the complete response, with any status: redirects are not followed. It is rejected with a
 * `PrometheusError` if there is none in time. `services` are those of the caller's fiber, such as its clock.
 */
export const libraryFetch =
  (
    { timeoutMillis, tokenClient }: Pick<AuthenticationContext, "tokenClient" | "timeoutMillis">,
    server: TokenServer,
    services: Context.Context<never> = Context.empty()
  ): Fetch =>
  async (input, init) => {
    const request = new Request(input, init)
    const body = new Uint8Array(await request.arrayBuffer())
    const { signal } = request
    const effect = Effect.mapError(send(tokenClient, request, body, timeoutMillis), (error) =>
      fromTokenServer(error, server)
    )
    try {
      return await Effect.runPromiseWith(services)(effect, { signal })
    } catch (error) {
      // As `fetch` does, and unlike an interrupted effect.
      throw signal.aborted && !(error instanceof PrometheusError) ? signal.reason : error
    }
  }

/**
 * Calls a library with a `fetch`. Its request ends when the effect is interrupted. Errors of `fetch` stay what they are, also
 * within others; `onError` says what a library's own error means.
 */
export const callLibrary = <A>(
  context: Pick<AuthenticationContext, "tokenClient" | "timeoutMillis">,
  server: TokenServer,
  call: (fetch: Fetch, signal: AbortSignal) => Promise<A>,
  onError: (error: unknown) => PrometheusError
): Effect.Effect<A, PrometheusError> =>
  Effect.flatMap(Effect.context<never>(), (services) =>
    Effect.tryPromise({
      try: (signal) => {
        const fetch = libraryFetch(context, server, services)
        // Libraries do not all pass a signal.
        return call(
          (input, init) => fetch(input, { ...init, signal: eitherSignal(init?.signal, signal) }),
          signal
        )
      },
      catch: (error) => errorOfFetch(error) ?? onError(error)
    })
  )

const eitherSignal = (one: AbortSignal | null | undefined, other: AbortSignal): AbortSignal =>
  one === null || one === undefined ? other : AbortSignal.any([one, other])

/** The error of `libraryFetch` in an error of a library, which may have wrapped it. */
export const errorOfFetch = (error: unknown): PrometheusError | undefined => {
  let inner = error
  for (let depth = 0; depth < 8 && inner instanceof Error; depth++) {
    if (inner instanceof PrometheusError) return inner
    inner = inner.cause
  }
  return undefined
}

const send = (client: HttpClient.HttpClient, request: Request, body: Uint8Array, timeoutMillis: number) => {
  const address = addressOf(request.url)
  return Effect.gen(function* () {
    const response = yield* Effect.mapError(
      HttpClient.withScope(client).execute(requestOf(request, body)),
      (error) => fromTransport(address, error)
    )
    yield* Effect.annotateCurrentSpan("http.response.status_code", response.status)
    const text = yield* bodyText({ address, response, timeoutMillis }, BOUNDS)
    return yield* responseOf(address, response, text)
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: timeoutMillis,
      orElse: () =>
        Effect.fail(
          new PrometheusError({
            reason: "Timeout",
            summary: `${address} did not respond within ${timeoutMillis / 1000} s.`
          })
        )
    }),
    // As for other requests, headers of traces are not sent.
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
    Effect.withSpan(
      "TokenServer.request",
      { kind: "client", attributes: { "http.request.method": request.method, "url.full": address } },
      { captureStackTrace: false }
    )
  )
}

const requestOf = ({ headers, method, url }: Request, body: Uint8Array) => {
  const request = HttpClientRequest.make(method as "POST")(url).pipe(
    HttpClientRequest.setHeaders([...headers]),
    // Libraries name themselves.
    HttpClientRequest.setHeader("user-agent", "source-prometheus"),
    HttpClientRequest.setHeader("accept-encoding", "identity")
  )
  return body.length === 0
    ? request
    : HttpClientRequest.bodyUint8Array(
        request,
        body,
        headers.get("content-type") ?? "application/octet-stream"
      )
}

/** Statuses for which a `Response` has no body. */
const bodiless: ReadonlySet<number> = new Set([204, 205, 304])

/** Headers about the bytes on the wire, which the text is not any more. */
const wireHeaders: ReadonlySet<string> = new Set(["content-encoding", "content-length", "transfer-encoding"])

const responseOf = (
  address: string,
  { headers, status }: { readonly headers: Readonly<Record<string, string>>; readonly status: number },
  text: string
): Effect.Effect<Response, PrometheusError> =>
  status < 200 || status > 599
    ? Effect.fail(
        new PrometheusError({ reason: "NotPrometheus", summary: `${address} returned HTTP ${status}.` })
      )
    : Effect.sync(
        () =>
          new Response(bodiless.has(status) ? null : text, {
            status,
            headers: Object.entries(headers).filter(([name]) => !wireHeaders.has(name))
          })
      )
