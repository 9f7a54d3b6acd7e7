/** The service for Prometheus' HTTP API, as far as a reader needs it. */
import { Clock, Context, Effect, Fiber, Latch, Layer, Result, type Scope, type Stream } from "effect"
import { HttpClient } from "effect/http"
import { ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import { GrowingMask, isCommon } from "../config/SecretMask.ts"
import type { Matcher } from "../promql/Matcher.ts"
import { excludesAll, isIncluded } from "../promql/MetricFilter.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { METRIC_NAME, type SeriesCache } from "../samples/Series.ts"
import type { Row } from "../samples/TableRow.ts"
import { endSentence, excerptLine } from "../text/excerpt.ts"
import * as Api from "./api.ts"
import type { Backend } from "./Backend.ts"
import { detect, EvidenceLog, type Observed } from "./backend/EvidenceLog.ts"
import { identify } from "./backend/identify.ts"
import { profiles } from "./backend/profiles.ts"
import { judgeCompleteness, responseSigns } from "./completeness.ts"
import type { ApiRequest } from "./http/ApiRequest.ts"
import { type Body, bodyText } from "./http/body.ts"
import { layerNode, TokenClient } from "./http/nodeClients.ts"
import { retryPolicy } from "./http/retryPolicy.ts"
import { makeTransport } from "./http/transport.ts"
import { makeWarnOnce } from "./http/warnOnce.ts"
import { makeMemoryAccount, SharedLoadAccount } from "./load/LoadAccount.ts"
import { type ExpectedSamples, type LoadBudget, makeLoadBudget } from "./load/LoadBudget.ts"
import { makeResponseSamples } from "./load/responseSamples.ts"
import { serverTimeout } from "./load/serverTimeout.ts"
import type { MetricMetadata } from "./Metadata.ts"
import { PrometheusError, type Reason } from "./PrometheusError.ts"
import { rangeBlocks } from "./query/rangeBlocks.ts"
import { storedBlocks } from "./query/storedBlocks.ts"
import type { RangeQuery, RemoteReadQuery, StoredQuery, TimeRange } from "./RangeQuery.ts"
import type { ExternalLabels } from "./remoteRead/externalLabels.ts"
import { readBlocks } from "./remoteRead/readBlocks.ts"
import { makeSentinels } from "./remoteRead/sentinel.ts"
import { requestSpan } from "./requestSpan.ts"
import { allSecretTexts } from "./secretTexts.ts"
import { judgeClock, type ServerClock } from "./serverClock.ts"
import { type ServerConfiguration, serverConfiguration } from "./serverConfiguration.ts"
import { cpuBounds, cpuRequest, parseServerCpu, type ServerCpu, showsCpu } from "./serverCpu.ts"
import { exemplars, snapshots } from "./tables/endpoints.ts"
import type { SnapshotName } from "./tables/schemas.ts"

/**
 * Whether a person waits for the first response. If nothing listens at the address, or its host does not exist, they learn it
 * soon: it is likely to be wrong. Otherwise the server may be starting.
 */
export const IsAwaited = Context.Reference<boolean>("source-prometheus/prometheus/IsAwaited", {
  defaultValue: () => false
})

/** Called with each secret that was fetched, such as a token, so that the log masks it. */
export const OnFetchedSecret = Context.Reference<(secret: string) => void>(
  "source-prometheus/prometheus/OnFetchedSecret",
  { defaultValue: () => () => {} }
)

/**
 * A Prometheus server. Every request carries the configured credentials and headers.
 *
 * All methods retry except `backend`, `configuration`, `externalLabels` and `metadata`, which nothing depends on, and `queryRange`,
 * `remoteRead` and `instantRange`, because only their caller knows how much of the response it has used.
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
    /** Parts of the server's own configuration, asked once; undefined if it does not show it. */
    readonly configuration: Effect.Effect<ServerConfiguration | undefined>
    /**
     * Why samples may be missing although responses do not say so, as a sentence: a source of the server is away. Only some
     * backends report this.
     */
    readonly missingSource: Effect.Effect<string | undefined, PrometheusError>
    /**
     * The distinct metric names of the series that `matchers` and `selector` select in a range. `selector` defaults to the
     * configured one.
     */
    readonly metricNames: (
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher>,
      selector?: ReadonlyArray<Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /** The distinct values of a label of those series. */
    readonly labelValues: (
      label: string,
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher>,
      selector?: ReadonlyArray<Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /** The distinct label names of those series, without `__name__`. */
    readonly labelNames: (
      range: TimeRange,
      matchers?: ReadonlyArray<Matcher>,
      selector?: ReadonlyArray<Matcher>
    ) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
    /**
     * The labels that the server adds to the series of remote reads, but not to those of queries. Asked once. Undefined if they
     * cannot be found out.
     */
    readonly externalLabels: Effect.Effect<ExternalLabels | undefined>
    /** Type, help and unit by metric family. Empty if the server does not offer it. */
    readonly metadata: Effect.Effect<ReadonlyMap<string, MetricMetadata>, PrometheusError>
    /**
     * The CPU time that the server's process has used so far. Undefined if it does not show that, or not within two seconds. Never
     * fails, and begins after the first other response.
     */
    readonly cpu: Effect.Effect<ServerCpu | undefined>
    /** The present rows of a table. Their time is `timeMillis`. */
    readonly snapshot: (
      table: SnapshotName,
      timeMillis: number
    ) => Effect.Effect<ReadonlyArray<Row>, PrometheusError>
    /** The exemplars of the configured metrics and selector in a range, both ends included. */
    readonly exemplars: (
      range: TimeRange
    ) => Effect.Effect<ReadonlyArray<readonly [timeMillis: number, row: Row]>, PrometheusError>
    /**
     * Sends a range query. The effect completes when the response starts, so that the server can work ahead of the reader, which
     * consumes the stream of blocks. The scope holds the connection.
     */
    readonly queryRange: (
      query: RangeQuery
    ) => Effect.Effect<Stream.Stream<SampleBlock, PrometheusError>, PrometheusError, Scope.Scope>
    /**
     * Sends a remote read (`/api/v1/read`). The blocks have every stored sample of the range, both ends included, exactly once:
     * series after series, in the order of time, without stale markers unless they are asked for. Only `query.matchers` select
     * series; the configured `selector` is not added. For an equality matcher of an external label and its value, a server looks
     * for series without that label. Fails with `NoRemoteRead` if the server does not offer it, and with `UnknownEncoding` for an
     * unsupported encoding. The first one of a client also queries for a sample that exists: the last result of
     * each request has it, which shows that the response is complete: see `remoteRead/sentinel.ts`. Otherwise like `queryRange`.
     */
    readonly remoteRead: (
      query: RemoteReadQuery
    ) => Effect.Effect<Stream.Stream<SampleBlock, PrometheusError>, PrometheusError, Scope.Scope>
    /**
     * Sends an instant query for the stored samples of a range, both ends included: for servers without remote read. Each float
     * and each histogram comes once, in the order of time; of a series that has both, floats come first. Otherwise like
     * `remoteRead`.
     */
    readonly instantRange: (
      query: StoredQuery
    ) => Effect.Effect<Stream.Stream<SampleBlock, PrometheusError>, PrometheusError, Scope.Scope>
  }
>()("source-prometheus/prometheus/PrometheusClient") {
  /** Uses any `HttpClient`, such as a mock's in tests. */
  static readonly layerNoDeps: Layer.Layer<PrometheusClient, never, ConnectorConfig | HttpClient.HttpClient> =
    Layer.effect(
      PrometheusClient,
      Effect.gen(function* () {
        const httpClient = yield* HttpClient.HttpClient
        const settings = yield* ConnectorConfig
        const account = (yield* SharedLoadAccount) ?? (yield* makeMemoryAccount)
        return make(settings, {
          httpClient,
          budget: yield* makeLoadBudget(settings, account),
          tokenClient: (yield* TokenClient) ?? httpClient,
          onFetchedSecret: yield* OnFetchedSecret,
          isAwaited: yield* IsAwaited
        })
      })
    )

  /** Uses Node's HTTP client, with keep-alive connections, and the proxy and the certificates of the configuration. */
  static readonly layer: Layer.Layer<PrometheusClient, never, ConnectorConfig> =
    PrometheusClient.layerNoDeps.pipe(Layer.provide(layerNode))
}

/** What a client uses besides its settings. */
interface ClientOptions {
  readonly budget: LoadBudget
  readonly httpClient: HttpClient.HttpClient
  readonly tokenClient: HttpClient.HttpClient
  readonly onFetchedSecret: (secret: string) => void
  readonly isAwaited: boolean
}

const make = (
  settings: Settings,
  { budget, httpClient, isAwaited, onFetchedSecret, tokenClient }: ClientOptions
): PrometheusClient["Service"] => {
  const { addFetched, mask } = new GrowingMask(allSecretTexts(settings))
  const addSecret = (secret: string) => {
    addFetched(secret)
    // As for the configured secrets: only a server's text is masked with those that any text may contain.
    if (!isCommon(secret)) onFetchedSecret(secret)
  }
  const warnOnce = makeWarnOnce(settings.baseUrl)
  const evidence = new EvidenceLog(settings)
  const observe = (response: Observed) => evidence.observe(response)
  let isFirst = isAwaited
  const transport = makeTransport(settings, {
    httpClient,
    tokenClient,
    addSecret,
    mask,
    observe,
    warnOnce,
    admit: budget.admit
  })
  /** Opened by the first response that is no refusal. */
  const responded = Latch.makeUnsafe()
  const heard = (reason?: Reason) =>
    Effect.sync(() => {
      if (reason !== "NoServer") isFirst = false
      if (reason === undefined) responded.openUnsafe()
    })
  const send = (request: ApiRequest, samples?: ExpectedSamples) =>
    transport(request, samples).pipe(
      Effect.tap(() => heard()),
      Effect.tapError(({ reason }) => heard(reason))
    )
  const retries = retryPolicy(settings.maxRetries, "", () => isFirst)
  const { matchers: configured, partialData } = settings
  const spanOf = (request: ApiRequest) => requestSpan(settings.baseUrl, request, mask)

  const withSpan = (name: string, { request }: Api.Endpoint<unknown>) =>
    Effect.withSpan(`PrometheusClient.${name}`, spanOf(request), { captureStackTrace: false })

  /** Sends a request once. */
  const attempt = <A>({
    bounds,
    decode,
    request
  }: Api.Endpoint<A>): Effect.Effect<Api.Decoded<A>, PrometheusError> =>
    Effect.gen(function* () {
      const body = yield* send(request)
      const text = yield* bodyText(body, bounds)
      const decoded = yield* Effect.fromResult(decode(text, contextOf(body)))
      evidence.observe({ members: decoded.members })
      return decoded
    }).pipe(Effect.scoped)

  const gridSamples = makeResponseSamples(budget)
  const storedSamples = makeResponseSamples(budget)

  const contextOf = ({ address, response: { headers, status } }: Body): Api.ResponseContext => ({
    address,
    headers,
    status,
    mask
  })

  /** Logs what a response says about missing data, or fails. */
  const judge = (result: Result.Result<ReadonlyArray<string>, PrometheusError>) => {
    if (Result.isFailure(result) && result.failure.reason === "PartialResponse") {
      evidence.observe({ lacksData: true })
    }
    return Effect.flatMap(
      Effect.fromResult(result),
      Effect.forEach((warning) => warnOnce(`${settings.baseUrl} warns: ${warning}`), { discard: true })
    )
  }

  /** Sends a request, with retries, and requires that the response is complete unless partial data are accepted. */
  const call = <A>(
    name: string,
    endpoint: Api.Endpoint<A>,
    partial = partialData
  ): Effect.Effect<A, PrometheusError> =>
    attempt(endpoint).pipe(
      Effect.tap(({ completeness }) =>
        judge(
          judgeCompleteness(completeness, {
            address: settings.baseUrl + endpoint.request.path,
            mask,
            partialData: partial
          })
        )
      ),
      Effect.map(({ value }) => value),
      Effect.retry(retries),
      withSpan(name, endpoint)
    )

  /** Sends a request that nothing depends on: once, and not for long. */
  const tryOnce = <A>(name: string, endpoint: Api.Endpoint<A>) =>
    attempt(endpoint).pipe(
      serverTimeout(optionalTimeoutMillis, () =>
        Effect.fail(
          new PrometheusError({
            reason: "Timeout",
            summary: `${settings.baseUrl}${endpoint.request.path} did not respond within ${optionalTimeoutMillis / 1000} s.`
          })
        )
      ),
      withSpan(name, endpoint)
    )
  const optionalTimeoutMillis = Math.min(OPTIONAL_TIMEOUT_MILLIS, settings.requestTimeoutMillis)

  const clock = Effect.gen(function* () {
    // The time does not depend on data.
    const times = yield* call("clock", Api.serverTime, "accept")
    return judgeClock(settings.baseUrl, { ...times, ownMillis: yield* Clock.currentTimeMillis })
  })

  // Later responses may say more.
  const backend = Effect.map(
    once(
      detect(evidence, (endpoint) =>
        Effect.result(Effect.map(tryOnce("backend", endpoint), ({ value }) => value))
      )
    ),
    () => identify(evidence.known)
  )

  const configuration = once(
    Effect.orElseSucceed(
      Effect.map(tryOnce("configuration", serverConfiguration), ({ value }) => value),
      () => undefined
    )
  )

  const externalLabels = Effect.flatMap(backend, ({ kind }) =>
    profiles[kind].hasExternalLabels === false
      ? Effect.succeed<ExternalLabels | undefined>(new Map())
      : Effect.map(configuration, (known) => known?.externalLabels)
  )

  const sentinels = makeSentinels({
    ask: (endpoint) => Effect.map(tryOnce("sentinel", endpoint), ({ value }) => value),
    externalLabels,
    lookbackMillis: Effect.map(backend, ({ lookbackMillis }) => lookbackMillis),
    hasAllLabels: settings.excludedLabels.size === 0
  })

  /** The parameters for the server, as far as it is known now. */
  const exactness = Effect.map(
    backend,
    ({ kind }): Api.Exactness => ({
      profile: profiles[kind],
      isGuess: kind === "unknown" || kind === "m3",
      partialData,
      maxSourceResolution: settings.maxSourceResolution
    })
  )

  const missingSource = Effect.gen(function* () {
    yield* backend
    if (!evidence.known.hasStores) return undefined
    const away = (yield* call("missingSource", Api.stores)).filter(({ error }) => error !== undefined)
    if (away.length === 0) return undefined
    const [{ error = "", name }] = away as [Api.Store]
    const others = away.length === 1 ? "" : ` (and ${away.length - 1} more)`
    const sentence = endSentence(
      `${settings.baseUrl} cannot reach its store ${excerptLine(mask(name))}${others}: ${excerptLine(mask(error))}`
    )
    if (partialData === "fail") return sentence
    yield* warnOnce(`${sentence} Samples of it are missing (partial_data is accept).`)
    return undefined
  })

  /** Sends a query whose response is a matrix. The span ends with the scope, after the complete response has been read. */
  const matrix = Effect.fnUntraced(function* (
    name: string,
    request: ApiRequest,
    { samples, series }: { readonly samples: ExpectedSamples; readonly series: SeriesCache | undefined }
  ) {
    const span = yield* Effect.makeSpanScoped(`PrometheusClient.${name}`, spanOf(request))
    const body = yield* Effect.withParentSpan(send(request, samples), span, { captureStackTrace: false })
    return rangeBlocks(body, {
      series,
      excludedLabels: settings.excludedLabels,
      mask,
      onEnd: (envelope, members) => {
        evidence.observe({ members })
        return judge(Api.rangeOutcome(envelope, partialData, contextOf(body)))
      }
    })
  })

  return {
    clock,
    now: Effect.map(clock, ({ nowMillis }) => nowMillis),
    backend,
    configuration,
    missingSource,
    metricNames: (range, matchers, selector = configured) =>
      Effect.flatMap(exactness, (exactness) =>
        call("metricNames", Api.labelValues(METRIC_NAME, range, { matchers, selector }, exactness))
      ),
    labelValues: (label, range, matchers, selector = configured) =>
      Effect.flatMap(exactness, (exactness) =>
        call("labelValues", Api.labelValues(label, range, { matchers, selector }, exactness))
      ),
    labelNames: (range, matchers, selector = configured) =>
      Effect.flatMap(exactness, (exactness) =>
        call("labelNames", Api.labelNames(range, { matchers, selector }, exactness))
      ),
    externalLabels,
    // Not every backend has metadata, and a stream needs no description.
    metadata: Effect.matchEffect(tryOnce("metadata", Api.metadata), {
      onSuccess: ({ completeness: { signs, warnings }, value }) =>
        Effect.as(
          signs.length + warnings.length === 0
            ? Effect.void
            : Effect.logInfo(
                `Metric types and help texts may be incomplete: ${excerptLine(mask([...warnings, ...signs].join("; ")))}`
              ),
          value
        ),
      onFailure: ({ summary }) =>
        Effect.as(Effect.logInfo(`Metric types and help texts are not available: ${summary}`), new Map())
    }),
    cpu: Effect.gen(function* () {
      const { kind } = yield* backend
      if (!showsCpu.has(kind)) return undefined
      const body = yield* send(cpuRequest)
      return parseServerCpu(yield* bodyText(body, cpuBounds))
    }).pipe(
      Effect.scoped,
      Effect.timeout(CPU_TIMEOUT_MILLIS),
      Effect.orElseSucceed(() => undefined),
      // Credentials that are refused are not tried for this.
      responded.whenOpen
    ),
    snapshot: (table, timeMillis) =>
      Effect.flatMap(exactness, (exactness) =>
        call("snapshot", snapshots[table]({ timeMillis, excludedLabels: settings.excludedLabels }, exactness))
      ),
    exemplars: (range) =>
      Effect.flatMap(exactness, (exactness) =>
        call(
          "exemplars",
          exemplars(
            {
              range,
              matchers: configured,
              excludedLabels: settings.excludedLabels,
              // A configuration of tables alone excludes all metrics.
              isIncluded: (metric) => excludesAll(settings.metrics) || isIncluded(settings.metrics, metric)
            },
            exactness
          )
        )
      ),
    queryRange: Effect.fnUntraced(function* (query) {
      const request = Api.rangeRequest(query, settings.requestTimeoutMillis, yield* exactness)
      const points = Math.floor((query.endMillis - query.startMillis) / query.stepMillis) + 1
      const samples = yield* gridSamples.expect(query, points)
      const blocks = yield* matrix("queryRange", request, { samples, series: query.series })
      return yield* gridSamples.count(query, samples, blocks)
    }),
    instantRange: Effect.fnUntraced(function* (query) {
      const known = yield* exactness
      const request = Api.storedRequest(query, settings.requestTimeoutMillis, known)
      const samples = yield* storedSamples.expect(query, query.endMillis - query.startMillis + 1)
      const response = yield* matrix("instantRange", request, { samples, series: query.series })
      const blocks = storedBlocks(response, query, {
        oddities: known.profile.stored ?? {},
        address: settings.baseUrl + request.path
      })
      return yield* storedSamples.count(query, samples, blocks)
    }),
    remoteRead: Effect.fnUntraced(function* (query) {
      // The other form is one message, which shows whether it is complete.
      const isStreamed = query.accepted?.includes("chunks") !== false
      const sentinel = isStreamed ? yield* sentinels.choose(query) : undefined
      const request = Api.remoteReadRequest(query, sentinel)
      const span = yield* Effect.makeSpanScoped("PrometheusClient.remoteRead", spanOf(request))
      const samples = yield* storedSamples.expect(query, query.endMillis - query.startMillis + 1)
      const body = yield* send(request, samples).pipe(
        Effect.withParentSpan(span, { captureStackTrace: false }),
        Effect.tapError(sentinels.onFailure)
      )
      // The messages of the body have no room for warnings.
      const { headers, status } = body.response
      yield* judge(
        judgeCompleteness(
          { warnings: [], signs: responseSigns(status, headers), isEmpty: false },
          { address: body.address, mask, partialData }
        )
      )
      const blocks = readBlocks(body, {
        range: query,
        series: query.series,
        excludedLabels: settings.excludedLabels,
        externalLabels: query.externalLabels,
        keepStaleMarkers: query.keepStaleMarkers,
        hasSentinel: sentinel !== undefined,
        acceptsSamples: query.accepted?.includes("samples"),
        mask
      })
      return yield* storedSamples.count(query, samples, sentinels.watch(query, blocks))
    })
  }
}

/** How long a request may take that nothing depends on. */
const OPTIONAL_TIMEOUT_MILLIS = 5000

/** How long the server's figures are waited for, also for their turn within the load budget. */
const CPU_TIMEOUT_MILLIS = 2000

/** Runs an effect at most once and shares its result. It continues if a caller is interrupted. */
const once = <A>(effect: Effect.Effect<A>): Effect.Effect<A> => {
  let running: Fiber.Fiber<A> | undefined
  return Effect.suspend(() =>
    running === undefined
      ? Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), (fiber) => {
          running ??= fiber
          return Fiber.join(fiber)
        })
      : Fiber.join(running)
  )
}
