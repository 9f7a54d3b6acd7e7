/** The service for Prometheus' HTTP API, as far as a reader needs it. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Clock, Context, Effect, Layer, type Scope, type Stream } from "effect"
import { HttpClient } from "effect/http"
import { ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import { makeMask } from "../config/SecretMask.ts"
import type { Matcher } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import type { RangeQuery, TimeRange } from "./api.ts"
import * as Api from "./api.ts"
import { type Backend, unknownBackend } from "./Backend.ts"
import { bodyText } from "./http/body.ts"
import { retryPolicy } from "./http/retryPolicy.ts"
import { type ApiRequest, makeTransport } from "./http/transport.ts"
import { makeWarnOnce } from "./http/warnOnce.ts"
import type { MetricMetadata } from "./Metadata.ts"
import type { PrometheusError, Reason } from "./PrometheusError.ts"
import { rangeBlocks } from "./query/rangeBlocks.ts"
import { requestSpan } from "./requestSpan.ts"
import { allSecretTexts } from "./secretTexts.ts"
import { judgeClock, type ServerClock } from "./serverClock.ts"

/**
 * Whether a person waits for the first response. If nothing listens at the address, or its host does not exist, they learn it
 * soon: it is likely to be wrong. Otherwise the server may be starting.
 */
export const IsAwaited = Context.Reference<boolean>("source-prometheus/prometheus/IsAwaited", {
  defaultValue: () => false
})

/**
 * A Prometheus server. Every request carries the configured credentials and headers.
 *
 * All methods but `queryRange` retry. The reader of a range query retries it, since only the reader knows how much of the
 * response it has used.
 */
export class PrometheusClient extends Context.Service<
  PrometheusClient,
  {
    /** The server's time, and whether it is plausible. */
    readonly clock: Effect.Effect<ServerClock, PrometheusError>
    /** The server's time, in milliseconds since the epoch. */
    readonly now: Effect.Effect<number, PrometheusError>
    /** What kind of server it is. Asked once, without holding up a read: an unknown server is read too. */
    readonly backend: Effect.Effect<Backend>
    /**
     * Why samples may be missing although responses do not say so, as a sentence: a source of the server is away. Only some
     * backends report this.
     */
    readonly missingSource: Effect.Effect<string | undefined, PrometheusError>
    /** The distinct metric names of the series that the configured selector and `matchers` select in a range. */
    readonly metricNames: (
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /** The distinct values of a label of those series. */
    readonly labelValues: (
      label: string,
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /** The distinct label names of those series, without `__name__`. */
    readonly labelNames: (
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /** Type, help and unit by metric family. Empty if the server does not offer it. */
    readonly metadata: Effect.Effect<ReadonlyMap<string, MetricMetadata>, PrometheusError>
    /**
     * Sends a range query. The effect completes when the response starts, so that the server can work ahead of the reader, which
     * consumes the stream of blocks. The scope holds the connection.
     */
    readonly queryRange: (
      query: RangeQuery
    ) => Effect.Effect<Stream.Stream<SampleBlock, PrometheusError>, PrometheusError, Scope.Scope>
  }
>()("source-prometheus/prometheus/PrometheusClient") {
  /** Uses any `HttpClient`, such as a mock's in tests. */
  static readonly layerNoDeps: Layer.Layer<PrometheusClient, never, ConnectorConfig | HttpClient.HttpClient> =
    Layer.effect(
      PrometheusClient,
      Effect.gen(function* () {
        return make(yield* ConnectorConfig, yield* HttpClient.HttpClient, yield* IsAwaited)
      })
    )

  /** Uses Node's HTTP client, with keep-alive connections. */
  static readonly layer: Layer.Layer<PrometheusClient, never, ConnectorConfig> =
    PrometheusClient.layerNoDeps.pipe(
      Layer.provide(NodeHttpClient.layerNodeHttpNoAgent),
      Layer.provide(NodeHttpClient.layerAgentOptions({ keepAlive: true, scheduling: "fifo" }))
    )
}

const make = (
  settings: Settings,
  httpClient: HttpClient.HttpClient,
  isAwaited: boolean
): PrometheusClient["Service"] => {
  const mask = makeMask(allSecretTexts(settings))
  const warnOnce = makeWarnOnce(settings.baseUrl)
  let isFirst = isAwaited
  const transport = makeTransport(settings, { httpClient, mask, warnOnce })
  const heard = (reason?: Reason) =>
    Effect.sync(() => {
      if (reason !== "NoServer") isFirst = false
    })
  const send = (request: ApiRequest) =>
    transport(request).pipe(
      Effect.tap(() => heard()),
      Effect.tapError(({ reason }) => heard(reason))
    )
  const retries = retryPolicy(settings.maxRetries, "", () => isFirst)
  const { matchers: selector } = settings
  const spanOf = (request: ApiRequest) => requestSpan(settings.baseUrl, request, mask)

  const call = <A>(
    name: string,
    { bounds, decode, request }: Api.Endpoint<A>
  ): Effect.Effect<A, PrometheusError> =>
    Effect.gen(function* () {
      const body = yield* send(request)
      const text = yield* bodyText(body, bounds)
      return yield* Effect.fromResult(decode(text, body.response.headers, { address: body.address, mask }))
    }).pipe(
      Effect.scoped,
      Effect.retry(retries),
      Effect.withSpan(`PrometheusClient.${name}`, spanOf(request), { captureStackTrace: false })
    )

  const clock = Effect.gen(function* () {
    const times = yield* call("clock", Api.serverTime)
    return judgeClock(settings.baseUrl, { ...times, ownMillis: yield* Clock.currentTimeMillis })
  })

  return {
    clock,
    now: Effect.map(clock, ({ nowMillis }) => nowMillis),
    backend: Effect.succeed(unknownBackend),
    missingSource: Effect.undefined,
    metricNames: (range, matchers) =>
      call("metricNames", Api.labelValues(METRIC_NAME, range, { matchers, selector })),
    labelValues: (label, range, matchers) =>
      call("labelValues", Api.labelValues(label, range, { matchers, selector })),
    labelNames: (range, matchers) => call("labelNames", Api.labelNames(range, { matchers, selector })),
    metadata: call("metadata", Api.metadata).pipe(
      // Not every backend has metadata, and a stream needs no description.
      Effect.catchIf(
        ({ reason }) => reason !== "Unreachable" && reason !== "NoServer" && reason !== "Tls",
        ({ summary }) =>
          Effect.as(Effect.logInfo(`Metric types and help texts are not available: ${summary}`), new Map())
      )
    ),
    queryRange: Effect.fnUntraced(function* (query) {
      const request = Api.rangeRequest(query, settings.requestTimeoutMillis)
      // The span ends with the scope, after the complete response has been read.
      const span = yield* Effect.makeSpanScoped("PrometheusClient.queryRange", spanOf(request))
      const body = yield* Effect.withParentSpan(send(request), span, { captureStackTrace: false })
      return rangeBlocks(body, {
        series: query.series,
        excludedLabels: settings.excludedLabels,
        mask,
        onEnd: (envelope) =>
          Effect.flatMap(
            Effect.fromResult(
              Api.rangeOutcome(envelope, settings.partialData, { address: body.address, mask })
            ),
            Effect.forEach((warning) => warnOnce(`${settings.baseUrl} warns: ${warning}`), { discard: true })
          )
      })
    })
  }
}
