/**
 * Requests the points of a grid with `query_range` or by remote read. With `api: auto`, it takes remote read where that is less load
 * and a trial has shown the same records. A request that fails by remote read is repeated with `query_range`.
 */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { storedRange } from "../prometheus/remoteRead/GridEvaluator.ts"
import type { Matcher } from "../promql/Matcher.ts"
import { SeriesCache } from "../samples/Series.ts"
import { ApiChoice, type SharedChoice } from "./ApiChoice.ts"
import { tryRemoteRead } from "./apiTrial.ts"
import type { Response } from "./BlockSource.ts"
import { type LabelCheck, makeLabelCheck } from "./externalLabels.ts"
import { MIN_SAMPLES, maxStoredPerPoint, trialRange } from "./gridApi.ts"
import type { Reading } from "./metricSources.ts"
import { remoteReadRule } from "./remoteReadRule.ts"
import { type StoredCounts, type StoredGridOptions, storedGrid } from "./storedGrid.ts"
import { type GridRange, pointCount } from "./TimeGrid.ts"

/** How long a trial may take. It can be done without. */
const TRIAL_LIMIT = "30 seconds"

const UNCERTAIN_LABELS = "it is not certain which labels of the series are external labels of the server"

/** Returns a function that adds remote read to the reading of a stream with `query_range`, as far as it is configured. */
export const makeEitherApi = Effect.gen(function* () {
  const { api, compression } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const server: ServerOptions = {
    client,
    droppable: makeLabelCheck(client).droppable,
    shared: { refusal: undefined },
    most: maxStoredPerPoint(compression)
  }
  const requestStored = yield* makeRequestStored(server)
  return (name: string, reading: Reading): Reading => {
    if (api === "query_range") return reading
    const series = new SeriesCache()
    const byRemoteRead: ByRemoteRead = (request) => storedGrid(client, { ...request, series })
    return {
      ...reading,
      request:
        api === "remote_read"
          ? requestStored(byRemoteRead)
          : requestEither({ ...server, byRemoteRead, name, reading })
    }
  }
})

type ByRemoteRead = (request: Omit<StoredGridOptions, "series">) => ReturnType<typeof storedGrid>

interface ServerOptions extends LabelCheck {
  readonly client: PrometheusClient["Service"]
  readonly shared: SharedChoice
  /** The most stored samples per point. */
  readonly most: number
}

/** Requests for a configuration that demands remote read: what is not known of a server is assumed, with a warning. */
const makeRequestStored = Effect.fnUntraced(function* ({ client, droppable }: ServerOptions) {
  const warn = (why: string) =>
    Effect.logWarning(
      `The records may differ from those of query_range, because ${why} (api is remote_read).`
    )
  const assumedRule = yield* Effect.cached(
    Effect.gen(function* () {
      const rule = yield* remoteReadRule(client)
      if (typeof rule === "string") yield* warn(rule)
      const { lookback, lookbackMillis } = yield* client.backend
      return lookback ?? { lookbackMillis, isLeftOpen: true }
    })
  )
  const warnOfLabels = yield* Effect.cached(warn(UNCERTAIN_LABELS))
  return (byRemoteRead: ByRemoteRead): Reading["request"] =>
    Effect.fnUntraced(function* (range, matchers) {
      const lookback = yield* assumedRule
      const externalLabels = yield* droppable(matchers, storedRange(range, lookback))
      // A hidden configuration has its own warning.
      if (externalLabels === undefined && (yield* client.configuration) !== undefined) yield* warnOfLabels
      return yield* byRemoteRead({
        externalLabels: externalLabels ?? new Map(),
        lookback,
        matchers,
        range,
        onEnd: () => {}
      })
    })
})

interface EitherOptions extends ServerOptions {
  readonly byRemoteRead: ByRemoteRead
  readonly name: string
  readonly reading: Reading
}

/** Requests for `api: auto`. */
const requestEither = ({
  byRemoteRead,
  client,
  droppable,
  most,
  name,
  reading,
  shared
}: EitherOptions): Reading["request"] => {
  const choice = new ApiChoice(shared)
  /** Those of the latest response by remote read. */
  let counts: StoredCounts = { stored: 0, points: 0 }
  const onEnd = ({ points, stored }: StoredCounts): void => {
    counts = { points, stored }
  }

  const byQuery: Reading["request"] = (range, matchers) =>
    Effect.map(reading.request(range, matchers), (response) =>
      withCount(response, (samples) => {
        choice.samplesPerPoint = samples / pointCount(range)
      })
    )

  const refuse = (why: string) =>
    Effect.suspend(() => {
      choice.refuse()
      return Effect.logInfo(`${name}: reading with query_range, because ${why} (api is auto).`)
    })

  const refuseAll = (why: string) =>
    Effect.suspend(() => {
      if (shared.refusal !== undefined) return Effect.void
      shared.refusal = why
      return Effect.logInfo(`Reading with query_range, because ${why} (api is auto).`)
    })

  /** What remote read of a range needs; undefined if it cannot have the same records. */
  const prepare = Effect.fnUntraced(function* (range: GridRange, matchers: ReadonlyArray<Matcher>) {
    const lookback = yield* remoteReadRule(client)
    if (typeof lookback === "string") {
      yield* refuseAll(lookback)
      return undefined
    }
    const externalLabels = yield* droppable(matchers, storedRange(range, lookback))
    if (externalLabels !== undefined) return { externalLabels, lookback }
    yield* refuse(UNCERTAIN_LABELS)
    return undefined
  })

  const runTrial = (
    range: GridRange,
    matchers: ReadonlyArray<Matcher>,
    prepared: Pick<StoredGridOptions, "externalLabels" | "lookback">
  ) => {
    const tried = trialRange(range, choice.samplesPerPoint)
    return tryRemoteRead({
      range,
      tried,
      most,
      lookbackMillis: prepared.lookback.lookbackMillis,
      byQuery: reading.request(tried, matchers),
      byRemoteRead: (onEnd) => byRemoteRead({ ...prepared, matchers, onEnd, range: tried })
    }).pipe(
      Effect.flatMap((result) => {
        switch (result._tag) {
          case "Nothing":
            return Effect.void
          case "Different":
            return refuse("remote read returned different records in a trial")
          case "TooMany":
            return refuse(
              `remote read would send about ${result.storedPerPoint.toFixed(1)} stored samples per data point`
            )
          case "Same":
            choice.accept()
            return Effect.logInfo(
              `${name}: reading by remote read, which has the same records and sends about ${result.storedPerPoint.toFixed(1)} stored samples per data point (api is auto).`
            )
        }
      }),
      Effect.catch((error) => {
        if (error.reason === "NoRemoteRead") return refuseAll("the server does not offer remote read")
        return mayPass(error)
          ? Effect.logDebug(`${name}: a trial of remote read failed. ${error.summary}`)
          : refuse(`remote read fails: ${error.summary}`)
      }),
      serverTimeout(TRIAL_LIMIT, () => Effect.void),
      Effect.ensuring(Effect.sync(() => choice.endTrial()))
    )
  }

  const onFailure = (range: GridRange, error: PrometheusError) =>
    Effect.suspend(() => {
      choice.failed(range.lastMillis, mayPass(error))
      const rest = choice.takesMore ? "This window is" : "The rest is"
      return Effect.logInfo(`${name}: ${error.summary} ${rest} read with query_range (api is auto).`)
    })

  return Effect.fnUntraced(function* (range, matchers) {
    if (choice.takes(range) && counts.stored >= MIN_SAMPLES && counts.stored > 2 * most * counts.points) {
      yield* refuse(
        `remote read sent ${counts.stored} stored samples for the last ${counts.points} data points`
      )
    }
    const isTrial = choice.isWorthTrial(range)
    if (!isTrial && !choice.takes(range)) return yield* byQuery(range, matchers)
    if (isTrial) choice.beginTrial()
    const prepared = yield* Effect.onInterrupt(prepare(range, matchers), () =>
      Effect.sync(() => choice.endTrial())
    )
    if (prepared === undefined) return yield* byQuery(range, matchers)
    if (isTrial) yield* runTrial(range, matchers, prepared)
    if (!choice.takes(range)) return yield* byQuery(range, matchers)
    return yield* byRemoteRead({ ...prepared, matchers, onEnd, range }).pipe(
      Effect.map((response) =>
        Stream.catch(response, (error) =>
          Stream.unwrap(Effect.as(onFailure(range, error), Stream.fail(asBroken(error))))
        )
      ),
      Effect.catch((error) => Effect.andThen(onFailure(range, error), byQuery(range, matchers)))
    )
  })
}

/** Whether another request may succeed. */
const mayPass = ({ policy: { action } }: PrometheusError): boolean => action === "retry" || action === "split"

/** Calls back at the end of a response, with the number of its samples. */
const withCount = (response: Response, onEnd: (samples: number) => void): Response => {
  let samples = 0
  return Stream.mapArray(response, (blocks) => {
    for (const { length } of blocks) samples += length
    return blocks
  }).pipe(Stream.concat(Stream.fromEffectDrain(Effect.sync(() => onEnd(samples)))))
}

/** The window is then requested again, with `query_range`: a response that has begun cannot be continued. */
const asBroken = ({ summary }: PrometheusError): PrometheusError =>
  new PrometheusError({ reason: "BrokenResponse", summary })
