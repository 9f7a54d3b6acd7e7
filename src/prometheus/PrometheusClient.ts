/** Prometheus' HTTP API, as far as a reader needs it. */

import { createGunzip } from "node:zlib"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { NodeHttpIncomingMessage } from "@effect/platform-node/NodeHttpIncomingMessage"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Clock, Context, Effect, Layer, Option, Redacted, Result, Schema, type Scope, Stream } from "effect"
import { HttpClient, HttpClientRequest, type HttpClientResponse, UrlParams } from "effect/http"
import {
  allSecretTexts,
  basicCredentials,
  ConnectorConfig,
  type Settings
} from "../config/ConnectorConfig.ts"
import { makeMask } from "../config/SecretMask.ts"
import * as Matcher from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { METRIC_NAME, type SeriesCache } from "../samples/Series.ts"
import { bodyChunks } from "./http/bodyChunks.ts"
import { hasCredentials, isInTheClear } from "./http/connectionWarnings.ts"
import { retryPolicy } from "./http/retryPolicy.ts"
import type { MetricMetadata } from "./Metadata.ts"
import {
  beginning,
  causeText,
  fromRefusal,
  fromTransport,
  PrometheusError,
  type Reason,
  shorten
} from "./PrometheusError.ts"
import {
  BoundedJson,
  type Bounds,
  clockBounds,
  metadataBounds,
  namesBounds,
  OversizedError
} from "./query/BoundedJson.ts"
import { decodeChunks } from "./query/decodeChunks.ts"
import { isNumber } from "./query/jsonBytes.ts"
import { DecodeError, type Envelope, isAboutQuery, ResponseDecoder } from "./query/ResponseDecoder.ts"
import { judgeClock, type ServerClock } from "./serverClock.ts"

/** A closed range of time, in milliseconds since the epoch. */
export interface TimeRange {
  readonly startMillis: number
  readonly endMillis: number
}

/** A range query: points at start, start + step, … up to and including end, in milliseconds. */
export interface RangeQuery extends TimeRange {
  readonly query: string
  readonly stepMillis: number
  /** The series of earlier responses to the same query. */
  readonly series?: SeriesCache
}

/**
 * A Prometheus server. Every request carries the configured credentials and headers.
 *
 * All methods but `queryRange` retry by themselves; a range query is retried by its reader, who alone knows
 * what of its answer has been used already.
 */
export class PrometheusClient extends Context.Service<
  PrometheusClient,
  {
    /** The server's own time, and whether it can be believed. */
    readonly clock: Effect.Effect<ServerClock, PrometheusError>
    /** The server's own time, in milliseconds since the epoch. */
    readonly now: Effect.Effect<number, PrometheusError>
    /** The names of the metrics of all series in the range that the configured selector and `matchers` select, each once. */
    readonly metricNames: (
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher.Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /** The values of a label of all those series. */
    readonly labelValues: (
      label: string,
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher.Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /** The names of the labels of all those series, without `__name__`. */
    readonly labelNames: (
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher.Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /** Type, help and unit by metric family. Empty where the server does not offer it. */
    readonly metadata: Effect.Effect<ReadonlyMap<string, MetricMetadata>, PrometheusError>
    /**
     * Asks a range query. The effect ends when the answer begins, so that the server can work ahead of whoever
     * consumes the stream of blocks. The scope holds the connection.
     */
    readonly queryRange: (
      query: RangeQuery
    ) => Effect.Effect<Stream.Stream<SampleBlock, PrometheusError>, PrometheusError, Scope.Scope>
  }
>()("source-prometheus/prometheus/PrometheusClient") {
  /** Over any `HttpClient`: a mock's in tests. */
  static readonly layerNoDeps: Layer.Layer<PrometheusClient, never, ConnectorConfig | HttpClient.HttpClient> =
    Layer.effect(
      PrometheusClient,
      Effect.gen(function* () {
        const settings = yield* ConnectorConfig
        const http = yield* HttpClient.HttpClient
        return PrometheusClient.of(make(settings, http))
      })
    )

  /** Over Node's own HTTP client, with kept-alive connections. */
  static readonly layer: Layer.Layer<PrometheusClient, never, ConnectorConfig> =
    PrometheusClient.layerNoDeps.pipe(
      Layer.provide(NodeHttpClient.layerNodeHttpNoAgent),
      Layer.provide(NodeHttpClient.layerAgentOptions({ keepAlive: true, scheduling: "fifo" }))
    )
}

/**
 * Longer parameters than this go into a form: servers and proxies limit the length of an address. Label values are
 * the one thing that Prometheus does not take a form for.
 */
const MAX_QUERY_CHARACTERS = 4000

/**
 * Thanos and VictoriaMetrics' cluster answer what they can get unless told otherwise, and a gap in that looks like a
 * gap in the data; VictoriaMetrics answers from its cache, which does not know of late samples (for seconds, or in a
 * cluster for good). Prometheus ignores what it does not know.
 */
const wholeAnswers = {
  partial_response: "false",
  dedup: "true",
  max_source_resolution: "0s",
  deny_partial_response: "1",
  nocache: "1"
}

const DAY = 86_400_000

/**
 * VictoriaMetrics has an index per day and does not look into that of the range's last millisecond: it misses series that
 * begin at midnight where the range ends then. One millisecond more takes them in, and no point of a grid of whole seconds.
 */
const endText = (endMillis: number): string =>
  String((endMillis % DAY === 0 ? endMillis + 1 : endMillis) / 1000)

/** How much of an answer that is no success is read to learn what it says. */
const MAX_REFUSAL_BYTES = 64 * 1024

/** What an answer means whose status alone does not tell: its text might. */
const vagueReasons: ReadonlySet<Reason> = new Set(["Refused", "NotPrometheus"])

/** So many different warnings are reported. */
const MAX_WARNINGS = 100

const MAX_REDIRECTS = 5

const make = (settings: Settings, httpClient: HttpClient.HttpClient): PrometheusClient["Service"] => {
  // With a scope, an answer that nobody reads to its end is dropped with its connection at once.
  const http = HttpClient.withScope(httpClient)
  const retries = retryPolicy(settings.maxRetries)
  // Before an answer is shortened for a message: half a secret would not be known again.
  const mask = makeMask(allSecretTexts(settings))
  const timeoutText = `${settings.requestTimeoutMillis / 1000} s`
  // A server that gives up before we do says that the query takes too long, and is asked for less; and it works no longer
  // on what nobody waits for.
  const timeout = String((settings.requestTimeoutMillis / 1000) * 0.9)

  const withCredentials = (
    request: HttpClientRequest.HttpClientRequest
  ): HttpClientRequest.HttpClientRequest => {
    let out = HttpClientRequest.setHeaders(request, {
      accept: "application/json",
      "accept-encoding": settings.compression === "gzip" ? "gzip" : "identity",
      "user-agent": "source-prometheus"
    })
    if (Option.isSome(settings.basicAuth)) {
      out = HttpClientRequest.setHeader(
        out,
        "authorization",
        `Basic ${basicCredentials(settings.basicAuth.value)}`
      )
    }
    for (const { name, value } of settings.headers) {
      out = HttpClientRequest.setHeader(out, name, Redacted.value(value))
    }
    return out
  }

  const makeRequest = (url: string, params: UrlParams.UrlParams): HttpClientRequest.HttpClientRequest =>
    UrlParams.toString(params).length > MAX_QUERY_CHARACTERS && !url.endsWith("/values")
      ? HttpClientRequest.bodyUrlParams(HttpClientRequest.post(url), params)
      : HttpClientRequest.setUrlParams(HttpClientRequest.get(url), params)

  /** An address that a server has given. Its scheme is no word of the server's. */
  const shownAddress = (url: URL): string =>
    `${url.protocol}${mask(withoutQuery(url).slice(url.protocol.length))}`

  /** Sends a request and follows redirects, but never carries credentials to another host. */
  const send = Effect.fnUntraced(function* (path: string, params: UrlParams.UrlParams) {
    const endpoint = settings.baseUrl + path
    let request = withCredentials(makeRequest(endpoint, params))
    for (let redirects = 0; ; redirects++) {
      const address = redirects === 0 ? endpoint : shownAddress(new URL(request.url))
      const response = yield* http.execute(request).pipe(
        // Servers do not expect the headers of our traces, and some proxies refuse what they do not know.
        Effect.provideService(HttpClient.TracerPropagationEnabled, false),
        Effect.mapError((error) => fromTransport(address, error)),
        Effect.timeoutOrElse({
          duration: settings.requestTimeoutMillis,
          orElse: () =>
            Effect.fail(
              new PrometheusError({
                reason: "Timeout",
                summary: `${address} did not answer within ${timeoutText}.`
              })
            )
        })
      )
      const location = response.headers.location
      if (response.status < 300 || response.status >= 400 || location === undefined) return response
      const target = URL.canParse(location, request.url) ? new URL(location, request.url) : undefined
      const isTooMany = redirects === MAX_REDIRECTS
      if (target === undefined || isTooMany || !keepsCredentials(new URL(request.url), target)) {
        const to = target === undefined ? "an address that is none" : shownAddress(target).replace(path, "")
        return yield* new PrometheusError({
          reason: isTooMany ? "NotPrometheus" : "Redirected",
          summary: isTooMany
            ? `${endpoint} redirects more than ${MAX_REDIRECTS} times, the last time to ${to}.`
            : `${endpoint} redirects to ${to}, and that is not followed.`
        })
      }
      if (hasCredentials(settings) && isInTheClear(new URL(request.url)) && target.protocol === "https:") {
        yield* reportOnce(
          `${settings.baseUrl} redirects to ${withoutQuery(target).replace(path, "")}, but credentials are sent without encryption before it does so. Set base_url to that address.`
        )
      }
      // A Location holds the query too, unless the parameters travel in a form.
      request = withCredentials(
        request.method === "POST"
          ? HttpClientRequest.bodyUrlParams(HttpClientRequest.post(target), params)
          : HttpClientRequest.get(target.href)
      )
    }
  })

  const tooSlow = (endpoint: string, how: string): PrometheusError =>
    new PrometheusError({
      reason: "Timeout",
      summary: `The answer of ${endpoint} ${how} within ${timeoutText}.`
    })

  /** The bytes of a body as they come over the network. They fail where they do not go on, or only drip. */
  const packedBodyOf = (
    endpoint: string,
    response: HttpClientResponse.HttpClientResponse,
    onError: (error: unknown) => PrometheusError
  ): Stream.Stream<Uint8Array, PrometheusError> => {
    const patienceMillis = settings.requestTimeoutMillis
    const onSilence = () => tooSlow(endpoint, "did not go on")
    return response instanceof NodeHttpIncomingMessage
      ? bodyChunks(() => response.source, {
          onError,
          patienceMillis,
          onSilence,
          onDrip: () => tooSlow(endpoint, "brought only a few bytes")
        })
      : response.stream.pipe(
          Stream.mapError(onError),
          Stream.timeoutOrElse({ duration: patienceMillis, orElse: () => Stream.fail(onSilence()) })
        )
  }

  /**
   * The bytes of a body, unpacked. An answer that breaks off in the middle is an error, not an end. That a packed one was
   * changed on its way shows later than what was changed: too late, once something of it has been `used`.
   */
  const bodyOf = (
    endpoint: string,
    response: HttpClientResponse.HttpClientResponse,
    used: () => boolean = () => false
  ): Stream.Stream<Uint8Array, PrometheusError> => {
    const broken = (what: string) =>
      new PrometheusError({ reason: "BrokenResponse", summary: `The answer of ${endpoint} ${what}.` })
    const raw = packedBodyOf(endpoint, response, (error) => broken(`broke off (${causeText(error)})`))
    const encoding = response.headers["content-encoding"] ?? "identity"
    if (encoding === "identity") return raw
    if (encoding !== "gzip") {
      return Stream.fail(broken(`is packed as ${encoding}, which was not asked for`))
    }
    return raw.pipe(
      NodeStream.pipeThroughDuplex({
        evaluate: () => createGunzip(),
        onError: (error) => {
          if (hasCode(error, "Z_BUF_ERROR")) return broken("broke off (its gzip ends early)")
          return used()
            ? new PrometheusError({
                reason: "Corrupted",
                summary: `The answer of ${endpoint} is not valid gzip.`
              })
            : broken("is not valid gzip")
        }
      })
    )
  }

  /** A small body has to be there in the time that any response has to begin: one that drips is given up. */
  const inTime = <A>(endpoint: string, body: Effect.Effect<A, PrometheusError>) =>
    Effect.timeoutOrElse(body, {
      duration: settings.requestTimeoutMillis,
      orElse: () => Effect.fail(tooSlow(endpoint, "was not complete"))
    })

  /** The beginning of a refusal as text. */
  const refusalText = (endpoint: string, response: HttpClientResponse.HttpClientResponse) =>
    inTime(
      endpoint,
      bodyOf(endpoint, response).pipe(firstBytes(MAX_REFUSAL_BYTES), Stream.decodeText, Stream.mkString)
    )

  /** Sends a request and fails unless the answer is a success in JSON. */
  const request = Effect.fnUntraced(function* (path: string, params: UrlParams.Input) {
    const endpoint = settings.baseUrl + path
    const response = yield* send(path, UrlParams.fromInput(params))
    const contentType = response.headers["content-type"] ?? ""
    if (response.status === 200 && (contentType === "" || /json/i.test(contentType))) return response
    const body = yield* Effect.result(refusalText(endpoint, response))
    const text = Result.getOrElse(body, () => "")
    const now = yield* Clock.currentTimeMillis
    const refusal = fromRefusal(endpoint, {
      status: response.status,
      body: mask(text),
      contentType,
      retryAfterMillis: parseRetryAfter(response.headers["retry-after"], response.headers.date, now)
    })
    if (!vagueReasons.has(refusal.reason)) return yield* refusal
    // Of a text that broke off, what was to come may have said "ask for less".
    if (Result.isFailure(body)) return yield* body.failure
    if (/json/i.test(contentType) && text.length < MAX_REFUSAL_BYTES && !isJson(text)) {
      return yield* new PrometheusError({ reason: "BrokenResponse", summary: refusal.summary })
    }
    return yield* refusal
  })

  /** Asks for something small, and returns its `data` with the headers. */
  const getResponse = <A>(path: string, params: UrlParams.Input, bounds: Bounds, data: Schema.Decoder<A>) => {
    const endpoint = settings.baseUrl + path
    const decode = Schema.decodeUnknownEffect(Schema.Struct({ status: Schema.Literal("success"), data }))
    const unusable = (reason: "BrokenResponse" | "NotPrometheus", text: string) =>
      new PrometheusError({
        reason,
        summary: `The answer of ${endpoint} is not what Prometheus answers: ${beginning(mask(beginning(text)), 100)}`
      })
    const oversized = (error: unknown): PrometheusError => {
      if (!(error instanceof OversizedError)) throw error
      return new PrometheusError({
        reason: "Oversized",
        summary: `The response of ${endpoint} has ${error.message}.`
      })
    }
    return Effect.gen(function* () {
      const response = yield* request(path, params)
      const body = new BoundedJson(bounds)
      yield* inTime(
        endpoint,
        Stream.runForEachArray(bodyOf(endpoint, response), (chunks) =>
          Effect.try({
            try: () => {
              for (const chunk of chunks) body.push(chunk)
            },
            catch: oversized
          })
        )
      )
      const json = yield* Effect.try({
        try: () => body.finish(),
        catch: () => unusable("BrokenResponse", body.text)
      })
      const envelope = yield* Effect.mapError(decode(json), () => unusable("NotPrometheus", body.text))
      return { data: envelope.data, headers: response.headers }
    }).pipe(Effect.scoped, Effect.retry(retries))
  }

  /** Asks for names. Some servers merge those of several others, and list some twice; an empty one is none. */
  const getNames = (path: string, params: UrlParams.Input) =>
    Effect.map(getResponse(path, params, namesBounds, Schema.Array(Schema.String)), ({ data }) => {
      const names = new Set(data)
      names.delete("")
      return [...names]
    })

  const times = ({ endMillis, startMillis }: TimeRange) => ({
    start: String(startMillis / 1000),
    end: endText(endMillis)
  })

  /** Of which series something is asked; of all where nothing restricts them. */
  const selection = (matchers: ReadonlyArray<Matcher.Matcher> = []): { readonly "match[]"?: string } => {
    if (matchers.length > 0) return { "match[]": Matcher.render([...matchers, ...settings.matchers]) }
    if (settings.matchers.length === 0) return {}
    // A selector of which each matcher may match nothing is refused, unless something else must match.
    return { "match[]": Matcher.render([Matcher.hasLabel(METRIC_NAME), ...settings.matchers]) }
  }

  const warned = new Set<string>()
  /** What the server warns of concerns all its answers: it is told once. */
  const reportOnce = (warning: string) =>
    Effect.suspend(() => {
      if (warned.has(warning) || warned.size > MAX_WARNINGS) return Effect.void
      warned.add(warning)
      return Effect.logWarning(
        warned.size > MAX_WARNINGS
          ? `${settings.baseUrl} gave more than ${MAX_WARNINGS} different warnings. The others are not reported.`
          : warning
      )
    })
  const reportWarning = (warning: string) =>
    reportOnce(`${settings.baseUrl} warns: ${shorten(mask(warning))}`)

  /** What an answer says of itself at its end: warnings, and whether it is whole. */
  const checkWholeness = Effect.fnUntraced(function* (endpoint: string, envelope: Envelope) {
    const missing = envelope.warnings.filter((warning) => !isAboutQuery(warning))
    if (settings.partialData === "fail" && (envelope.isPartial || missing.length > 0)) {
      const words = missing.length === 0 ? "" : ` It warns: ${shorten(mask(missing.join("; ")))}`
      return yield* new PrometheusError({
        reason: "PartialResponse",
        summary: `The answer of ${endpoint} may lack data.${words === "" || /[.!?…]$/.test(words) ? words : `${words}.`}`
      })
    }
    yield* Effect.forEach(envelope.warnings, reportWarning, { discard: true })
    if (envelope.isPartial)
      yield* reportWarning("the answer lacks data, since some of its sources did not answer")
  })

  const queryRange = Effect.fnUntraced(function* (query: RangeQuery) {
    const path = "/api/v1/query_range"
    const endpoint = settings.baseUrl + path
    const response = yield* request(path, {
      query: query.query,
      ...times(query),
      step: String(query.stepMillis / 1000),
      timeout,
      ...wholeAnswers
    })
    const decoder = new ResponseDecoder(query.series, settings.excludedLabels)
    const unreadable = (error: unknown): PrometheusError => {
      if (!(error instanceof DecodeError)) throw error
      return new PrometheusError({
        reason: "BrokenResponse",
        summary: `The answer of ${endpoint} cannot be read: ${mask(error.message)}.`
      })
    }
    const end = Effect.gen(function* () {
      const envelope = yield* Effect.try({ try: () => decoder.finish(), catch: unreadable })
      if (envelope.status !== "success") {
        return yield* fromRefusal(endpoint, {
          status: response.status,
          body: JSON.stringify({
            error: mask(envelope.error ?? envelope.errorType ?? `status ${envelope.status}`)
          }),
          contentType: "application/json",
          retryAfterMillis: undefined
        })
      }
      yield* checkWholeness(endpoint, envelope)
    })
    let hasSamples = false
    const decode = (chunk: Uint8Array) => {
      const blocks = decoder.push(chunk)
      hasSamples ||= blocks.length > 0
      return blocks
    }
    return bodyOf(endpoint, response, () => hasSamples).pipe(
      decodeChunks({ try: decode, catch: unreadable }),
      Stream.concat(Stream.fromEffectDrain(end))
    )
  })

  const labelValues: PrometheusClient["Service"]["labelValues"] = (label, range, matchers) =>
    getNames(`/api/v1/label/${encodeURIComponent(label)}/values`, { ...times(range), ...selection(matchers) })

  const clock = Effect.gen(function* () {
    const { data, headers } = yield* getResponse(
      "/api/v1/query",
      { query: "time()" },
      clockBounds,
      TimeResponse
    )
    const [, seconds] = data.result.length === 1 ? data.result[0].value : data.result
    const dateMillis = parseHttpDate(headers.date ?? "")
    return judgeClock(settings.baseUrl, {
      serverMillis: Math.round(seconds * 1000),
      dateMillis: Number.isNaN(dateMillis) ? undefined : dateMillis,
      ownMillis: yield* Clock.currentTimeMillis
    })
  })

  return {
    clock,
    now: Effect.map(clock, ({ nowMillis }) => nowMillis),
    labelValues,
    metricNames: (range, matchers) => labelValues(METRIC_NAME, range, matchers),
    labelNames: (range, matchers) =>
      Effect.map(getNames("/api/v1/labels", { ...times(range), ...selection(matchers) }), (names) =>
        names.filter((name) => name !== METRIC_NAME)
      ),
    metadata: getResponse("/api/v1/metadata", {}, metadataBounds, MetadataResponse).pipe(
      Effect.map(
        ({ data }) =>
          new Map(
            Object.entries(data).flatMap(([family, [first]]) =>
              first === undefined ? [] : [[family, { ...first, help: beginning(first.help) }] as const]
            )
          )
      ),
      // Not every backend has it, and streams without a description are whole.
      Effect.catchIf(
        (error) => error.reason !== "Unreachable" && error.reason !== "Tls",
        (error) =>
          Effect.as(
            Effect.logInfo(`Metric types and help texts are not available: ${error.summary}`),
            new Map()
          )
      )
    ),
    queryRange
  }
}

/** JavaScript takes `""`, `" 5"` and `"0x69"` for numbers, too. */
const DecimalText = Schema.String.check(
  Schema.makeFilter((text: string) => text.length <= 40 && isNumber(text))
)

/** In seconds. A clock that shows no time from 1970 to 9999 would make the range to read one without an end. */
const ServerTime = DecimalText.pipe(
  Schema.decodeTo(Schema.FiniteFromString),
  Schema.check(Schema.isGreaterThanOrEqualTo(0), Schema.isLessThan(Date.UTC(10_000, 0) / 1000))
)

const InstantSample = Schema.Tuple([Schema.Number, ServerTime])

/** `time()` is a scalar, which VictoriaMetrics answers as a vector of one series. */
const TimeResponse = Schema.Struct({
  result: Schema.Union([InstantSample, Schema.Tuple([Schema.Struct({ value: InstantSample })])])
})

const MetadataResponse = Schema.Record(
  Schema.String,
  Schema.Array(
    Schema.Struct({
      type: Schema.String,
      help: Schema.String,
      unit: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("")))
    })
  )
)

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const firstBytes =
  (limit: number) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
    Stream.suspend(() => {
      let total = 0
      return Stream.takeUntil(bytes, (chunk) => {
        total += chunk.length
        return total >= limit
      })
    })

const hasCode = (error: unknown, code: string): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === code

const withoutQuery = ({ host, pathname, protocol }: URL): string => `${protocol}//${host}${pathname}`

/** Whether a redirect stays where credentials may be sent: on the same origin, or on its host's way from http to https. */
export const keepsCredentials = (source: URL, target: URL): boolean =>
  target.origin === source.origin ||
  (target.hostname === source.hostname && source.protocol === "http:" && target.protocol === "https:")

/**
 * `Retry-After` is a number of seconds or an HTTP date. Answers milliseconds from when the answer was sent: its own `Date`
 * is told by the clock that wrote the other, while ours, which stands in for a missing one, may be hours off.
 */
export const parseRetryAfter = (
  header: string | undefined,
  date: string | undefined,
  nowMillis: number
): number | undefined => {
  const wait = header?.trim() ?? ""
  if (/^\d{1,15}$/.test(wait)) return Number(wait) * 1000
  const until = parseHttpDate(wait)
  const sent = parseHttpDate(date ?? "")
  return Number.isNaN(until) ? undefined : Math.max(0, until - (Number.isNaN(sent) ? nowMillis : sent))
}

/** Longer than any date. */
const MAX_DATE_CHARACTERS = 64

/** Milliseconds since the epoch, or NaN. The oldest of the forms names no zone, and JavaScript alone takes that for ours. */
const parseHttpDate = (header: string): number => {
  const text = header.trim()
  if (text === "" || text.length > MAX_DATE_CHARACTERS) return Number.NaN
  return Date.parse(/(Z|[A-Z]{3}|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text} GMT`)
}
