/**
 * Requests the points of a grid with `query_range` or by remote read. With `api: auto`, it takes remote read where that
 * is less load and a trial has shown the same records. A request that fails by remote read is repeated with `query_range`.
 */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import type { Lookback } from "../prometheus/Backend.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { Matcher } from "../promql/Matcher.ts"
import { SeriesCache } from "../samples/Series.ts"
import { ApiChoice, type SharedChoice } from "./ApiChoice.ts"
import type { Response } from "./BlockSource.ts"
import { MAX_STORED_PER_POINT, storedPerPoint, trialRange } from "./gridApi.ts"
import type { Reading } from "./metricSources.ts"
import { recordsDigest } from "./recordsDigest.ts"
import { remoteReadRule } from "./remoteReadRule.ts"
import { type StoredCounts, storedGrid } from "./storedGrid.ts"
import { type GridRange, pointCount } from "./TimeGrid.ts"

/** How long a trial may take. It can be done without. */
const TRIAL_LIMIT = "30 seconds"

/** Returns a function that adds remote read to the reading of a stream with `query_range`, as far as it is configured. */
export const makeEitherApi = Effect.gen(function* () {
  const { api } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const shared: SharedChoice = { refusal: undefined }
  /** The rule is Prometheus 3's for servers that have another one, or none that is known. */
  const assumedRule = yield* Effect.cached(assumeRule(client))
  return (name: string, reading: Reading): Reading => {
    if (api === "query_range") return reading
    const series = new SeriesCache()
    const byRemoteRead: ByRemoteRead = (lookback, range, matchers, onEnd) =>
      storedGrid(client, { lookback, matchers, onEnd, range, series })
    return {
      ...reading,
      request:
        api === "remote_read"
          ? (range, matchers) =>
              Effect.flatMap(assumedRule, (lookback) => byRemoteRead(lookback, range, matchers, () => {}))
          : requestEither({ byRemoteRead, client, name, reading, shared })
    }
  }
})

type ByRemoteRead = (
  lookback: Lookback,
  range: GridRange,
  matchers: ReadonlyArray<Matcher>,
  onEnd: (counts: StoredCounts) => void
) => ReturnType<typeof storedGrid>

/** The rule for a configuration that demands remote read. */
const assumeRule = Effect.fnUntraced(function* (client: PrometheusClient["Service"]) {
  const { lookback, lookbackMillis } = yield* client.backend
  const rule = yield* remoteReadRule(client)
  if (typeof rule === "string") {
    yield* Effect.logWarning(
      `The records may differ from those of query_range, because ${rule} (api is remote_read).`
    )
  }
  return lookback ?? { lookbackMillis, isLeftOpen: true }
})

interface EitherOptions {
  readonly byRemoteRead: ByRemoteRead
  readonly client: PrometheusClient["Service"]
  readonly name: string
  readonly reading: Reading
  readonly shared: SharedChoice
}

const requestEither = ({
  byRemoteRead,
  client,
  name,
  reading,
  shared
}: EitherOptions): Reading["request"] => {
  const choice = new ApiChoice(shared)
  let counts: StoredCounts = { stored: 0, points: 0 }

  const byQuery: Reading["request"] = (range, matchers) =>
    Effect.map(reading.request(range, matchers), (response) =>
      withCount(response, (samples) => {
        choice.samplesPerPoint = samples / pointCount(range)
      })
    )

  const staysWithQuery = (why: string) =>
    Effect.suspend(() => {
      choice.refuse()
      return Effect.logInfo(`${name}: reading with query_range, because ${why} (api is auto).`)
    })

  /** The same for all streams. */
  const allStayWithQuery = (why: string) =>
    Effect.suspend(() => {
      if (shared.refusal !== undefined) return Effect.void
      shared.refusal = why
      return Effect.logInfo(`Reading with query_range, because ${why} (api is auto).`)
    })

  /** Requests some points in both ways and compares the records. */
  const trial = Effect.fnUntraced(function* (
    range: GridRange,
    matchers: ReadonlyArray<Matcher>,
    lookback: Lookback
  ) {
    const tried = trialRange(range, choice.samplesPerPoint)
    let counts: StoredCounts = { stored: 0, points: 0 }
    const digestOf = (request: ReturnType<Reading["request"]>) =>
      Effect.scoped(Effect.flatMap(request, recordsDigest))
    const ours = yield* digestOf(
      byRemoteRead(lookback, tried, matchers, ({ points, stored }) => {
        counts = { points, stored }
      })
    )
    if (counts.points === 0) return
    const ratio = storedPerPoint(range, { range: tried, ...counts }, lookback.lookbackMillis)
    if (ratio > MAX_STORED_PER_POINT) {
      return yield* staysWithQuery(
        `remote read would send about ${ratio.toFixed(1)} stored samples per data point`
      )
    }
    const theirs = yield* digestOf(reading.request(tried, matchers))
    if (ours.digest !== theirs.digest) {
      return yield* staysWithQuery("remote read has other records at the points of a trial")
    }
    choice.accept()
    yield* Effect.logInfo(
      `${name}: reading by remote read, because it has the same records, and sends about ${ratio.toFixed(1)} stored samples per data point (api is auto).`
    )
  })

  /** A trial that fails for a reason that may pass has no result. */
  const withoutFailure = (error: PrometheusError) => {
    if (error.reason === "NoRemoteRead") return allStayWithQuery("the server does not offer remote read")
    const { action } = error.policy
    return action === "retry" || action === "split"
      ? Effect.logDebug(`${name}: a trial of remote read failed. ${error.summary}`)
      : staysWithQuery(`remote read fails. ${error.summary}`)
  }

  const onFailure = (range: GridRange, error: PrometheusError) =>
    Effect.suspend(() => {
      const isLast = choice.failed(range, error)
      return Effect.logInfo(
        `${name}: ${error.summary} Reading ${isLast ? "the rest" : "this window"} with query_range (api is auto).`
      )
    })

  const byRemoteReadOrQuery = (lookback: Lookback, range: GridRange, matchers: ReadonlyArray<Matcher>) =>
    byRemoteRead(lookback, range, matchers, ({ points, stored }) => {
      counts = { points, stored }
    }).pipe(
      Effect.map((response) =>
        Stream.catch(response, (error) =>
          Stream.unwrap(Effect.as(onFailure(range, error), Stream.fail(asBroken(error))))
        )
      ),
      Effect.catch((error) => Effect.andThen(onFailure(range, error), byQuery(range, matchers)))
    )

  return Effect.fnUntraced(function* (range, matchers) {
    if (choice.takes(range) && choice.hasTooMany(counts)) {
      yield* staysWithQuery(
        `remote read sent ${counts.stored} stored samples for ${counts.points} data points`
      )
    }
    const isTrial = choice.isWorthTrial(range)
    if (!isTrial && !choice.takes(range)) return yield* byQuery(range, matchers)
    const lookback = yield* remoteReadRule(client)
    if (typeof lookback === "string") {
      yield* allStayWithQuery(lookback)
      return yield* byQuery(range, matchers)
    }
    if (isTrial) {
      choice.beginTrial()
      yield* trial(range, matchers, lookback).pipe(
        Effect.catch(withoutFailure),
        Effect.timeoutOption(TRIAL_LIMIT),
        Effect.ensuring(Effect.sync(() => choice.endTrial()))
      )
    }
    return yield* choice.takes(range)
      ? byRemoteReadOrQuery(lookback, range, matchers)
      : byQuery(range, matchers)
  })
}

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
