/**
 * One window of one stream. It is requested ahead of time. If the response breaks off, the rest is requested again. If the
 * server refuses the window, for whatever reason, it is split by time, down to a single point, and then by series. What the
 * server cannot return at all, although it returns other points, becomes a hole. In every case each sample is emitted once.
 */
import { Effect, Fiber, Ref, Schedule, Scope, Stream } from "effect"
import { PrometheusError, type Reason } from "../prometheus/PrometheusError.ts"
import { selectorText } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import type { Response, StreamSource } from "./BlockSource.ts"
import { MAX_SPLITS, splitDense } from "./metricParts.ts"
import type { ReadEvent } from "./ReadEvent.ts"
import { type Halves, hasSeveralMetrics, MAX_SPLIT_DEPTH, type SeriesPart, split } from "./SeriesPart.ts"
import { extentText, type GridRange, halve, isRawRange, pointCount, rangeText } from "./TimeGrid.ts"
import { WindowLedger } from "./WindowLedger.ts"
import { afterRefusal, afterResponse, larger, type WindowSize } from "./WindowSize.ts"
import {
  answers,
  answersOthers,
  drain,
  isHole,
  type RequestedWindow,
  request,
  type Window,
  type WindowContext
} from "./windowRequests.ts"

/** The events of a window. */
export type WindowEvent =
  | Extract<ReadEvent, { readonly _tag: "Running" | "Samples" }>
  /** All samples up to and including this grid point have been emitted, and no later ones. */
  | { readonly _tag: "WindowCompleted"; readonly lastMillis: number }

/** A response that was requested ahead: some points of a part. */
interface RequestedAhead {
  readonly range: GridRange
  readonly part: SeriesPart
  readonly response: Effect.Effect<Response, PrometheusError>
}

/** A window while it is read. */
interface OpenWindow extends Window {
  readonly ledger: WindowLedger
  /** The size of windows before this one was read. */
  readonly sizeBefore: WindowSize
  /** The response that was requested ahead, until it is used. */
  ahead: RequestedAhead | undefined
  /** The most points to request at once, because larger parts of the window were refused for their size. */
  limit: number
  /** The fewest points of the window that were refused. */
  refusedPoints: number
  /** How many ranges of each number of points were refused, perhaps for their size and perhaps for damage. */
  readonly refusals: Map<number, number>
  /** The most points of the window that were returned at once. */
  answeredPoints: number
  /** The largest number of samples per point in any part of the series. */
  densest: number
  /** Whether retries were in vain for a part of the window. A smaller request is then more likely to succeed. */
  isStubborn: boolean
  /** Parts of the series that were split, perhaps only because of damage. */
  readonly splits: Array<SeriesPart>
  /** The number of points in holes of the window. */
  holePoints: number
  /** Whether the server began a range later than requested. */
  isMoved: boolean
}

type Events = Stream.Stream<WindowEvent, PrometheusError>

/** The samples of a requested window, and its progress. Must be run to release the window. */
export const windowEvents = (context: WindowContext, requested: RequestedWindow): Events =>
  Stream.unwrap(
    Effect.map(Ref.get(context.size), (size) => {
      const { part, range, response } = requested
      const window: OpenWindow = {
        context,
        requested,
        ledger: new WindowLedger(context.source.expect(range), context.source.metrics),
        sizeBefore: size,
        // Its part may have been joined with others since.
        ahead: isFirstOf(context.series, part) ? { range, part, response } : undefined,
        limit: size.limit,
        refusedPoints: Number.POSITIVE_INFINITY,
        refusals: new Map(),
        answeredPoints: 0,
        densest: 0,
        isStubborn: false,
        splits: [],
        holePoints: 0,
        isMoved: false
      }
      return eventsOf(window, range, context.series).pipe(
        Stream.concat(Stream.fromEffectDrain(Effect.suspend(() => endOf(window))))
      )
    })
  ).pipe(Stream.onExit((exit) => Scope.close(requested.scope, exit)))

/**
 * The samples of some points and series of a window, in as many requests as necessary. After them, the same points of the series of
 * `next` are read.
 */
const eventsOf = (window: OpenWindow, range: GridRange, part: SeriesPart, next?: SeriesPart): Events =>
  Stream.suspend(() => {
    const { ahead } = window
    // The response that was requested ahead is that of the first part.
    const hasAhead = ahead !== undefined && range === ahead.range && isFirstOf(part, ahead.part)
    // It would be refused again.
    if (!hasAhead && pointCount(range) > window.limit) return earlierAndLater(window, range, part)
    if (part.halves !== undefined && !(hasAhead && part === ahead.part)) {
      return bothHalves(window, range, part, part.halves, next)
    }
    return attempt(window, range, part, next).pipe(
      Stream.retry(retriesOf(window, range)),
      Stream.concat(Stream.fromEffectDrain(Effect.suspend(() => learnFromResponse(window, range, part)))),
      Stream.concat(Stream.unwrap(Effect.suspend(() => afterResponseTo(window, range, part)))),
      Stream.catchIf(
        (error) => error.policy.splitBy !== undefined,
        (error) => Stream.unwrap(inParts(window, range, part, error))
      )
    )
  })

/** The samples of one request, without those that an earlier attempt emitted. */
const attempt = (window: OpenWindow, range: GridRange, part: SeriesPart, next?: SeriesPart): Events =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { ahead, context, ledger, requested } = window
      const { source, stream } = context
      const isAhead = ahead !== undefined && range === ahead.range && part === ahead.part
      if (isAhead) window.ahead = undefined
      const response = isAhead ? ahead.response : request(context, range, part, requested)
      ledger.begin(source.expect(range))
      const samples = accepted(stream, ledger, yield* response)
      if (next !== undefined) yield* requestNext(window, range, next.first)
      return (yield* Ref.getAndSet(context.hasResponded, true))
        ? samples
        : Stream.concat(Stream.succeed<WindowEvent>({ _tag: "Running", stream }), samples)
    })
  )

/** Requests the next part, so that the server evaluates it while this response is read. */
const requestNext = Effect.fnUntraced(function* (window: OpenWindow, range: GridRange, part: SeriesPart) {
  const { context, limit, requested } = window
  if (window.ahead !== undefined || pointCount(range) > limit) return
  const fiber = yield* Effect.forkIn(request(context, range, part, requested), requested.scope)
  window.ahead = { range, part, response: Fiber.join(fiber) }
})

/** Responses that break off, maybe at the same size each time. */
const breaksOff: ReadonlySet<Reason> = new Set(["BrokenResponse", "Disconnected", "Timeout"])

/**
 * The retries of a request. It is not repeated if a smaller one is more likely to succeed: after two more responses that broke
 * off with nothing new, or after retries were in vain for another part of the window.
 */
const retriesOf = (window: OpenWindow, range: GridRange) => {
  const { damage, retries } = window.context
  const canShrink = canHalve(window, range)
  let breaks = 0
  let emitted = -1
  return Schedule.while(retries, ({ input }) => {
    breaks = window.ledger.emittedSamples > emitted ? 0 : breaks + 1
    emitted = window.ledger.emittedSamples
    if (input.policy.splitBy === undefined) return true
    if (canShrink) return !window.isStubborn && (breaks < 2 || !breaksOff.has(input.reason))
    return input.policy.mayBeDamage !== true || damage.isEmpty
  })
}

const learn = ({ context }: OpenWindow, update: (size: WindowSize) => WindowSize) =>
  Effect.andThen(Ref.update(context.size, update), context.sizeLearned.open)

const learnFromResponse = (window: OpenWindow, range: GridRange, part: SeriesPart) => {
  const { context, holePoints, ledger, refusedPoints } = window
  const { answered, limits } = context
  const points = pointCount(range)
  const { samples } = ledger
  answered.latest = [{ ...range, firstMillis: range.lastMillis }, part]
  window.answeredPoints = Math.max(window.answeredPoints, points)
  window.isStubborn = false
  limits.onResponse(samples)
  window.densest = Math.max(window.densest, samples / points)
  if (Number.isFinite(refusedPoints) && holePoints === 0) {
    limits.onRefusal(refusedPoints, (samples / points) * refusedPoints)
  }
  // The size of later windows is that of the largest part.
  const most = context.series.halves === undefined ? samples : window.densest * points
  splitIntoMetrics(window, range, part)
  return learn(window, (size) => afterResponse(size, points, most, limits))
}

/** If a response has very many series of several metrics, later windows request them in parts. */
const splitIntoMetrics = ({ context, ledger }: OpenWindow, range: GridRange, part: SeriesPart): void => {
  const { lastMillis, limits, source } = context
  const left = pointCount({ ...range, firstMillis: range.lastMillis + range.stepMillis, lastMillis })
  const points = pointCount(range)
  splitDense(
    part,
    (metric) => (ledger.samplesByMetric.get(metric) ?? 0) / points,
    Math.min(source.bounds.firstPoints, left),
    limits.targetSamples
  )
}

/**
 * A server that limits how far back queries look may move the start of a range by less than a step. All points are then beside
 * the grid, where hourly samples on the grid are too old: the response is empty. A range of one point cannot be moved.
 */
const afterResponseTo = Effect.fnUntraced(function* (window: OpenWindow, range: GridRange, part: SeriesPart) {
  const last = { ...range, firstMillis: range.lastMillis }
  const isMoved =
    window.ledger.samples === 0 &&
    canHalve(window, range) &&
    (yield* window.context.source.mayMoveStart) &&
    (yield* drain(window, last, part)) > 0
  window.isMoved ||= isMoved
  return isMoved ? earlierAndLater(window, range, part) : completed(window, range, part)
})

const completed = (
  { context, ledger }: OpenWindow,
  range: GridRange,
  part: SeriesPart
): Stream.Stream<WindowEvent> =>
  Stream.suspend(() =>
    part !== context.series ||
    // If a window broke off and was then split, it may have emitted later samples already.
    ledger.latestMillis > range.lastMillis
      ? Stream.empty
      : Stream.succeed<WindowEvent>({ _tag: "WindowCompleted", lastMillis: range.lastMillis })
  )

const bothHalves = (
  window: OpenWindow,
  range: GridRange,
  part: SeriesPart,
  [some, others]: Halves,
  next?: SeriesPart
): Events =>
  eventsOf(window, range, some, others).pipe(
    Stream.concat(eventsOf(window, range, others, next)),
    Stream.concat(completed(window, range, part))
  )

const earlierAndLater = (window: OpenWindow, range: GridRange, part: SeriesPart): Events => {
  const [earlier, later] = halve(range)
  return Stream.concat(eventsOf(window, earlier, part), eventsOf(window, later, part))
}

/** Continues with smaller parts after a refusal. Fails with the refusal if the window cannot be split. */
const inParts = Effect.fnUntraced(function* (
  window: OpenWindow,
  range: GridRange,
  part: SeriesPart,
  refusal: PrometheusError
): Effect.fn.Return<Events, PrometheusError> {
  // It was requested before an earlier window was split.
  if (part.halves !== undefined) return eventsOf(window, range, part)
  const { action, failsAtPoints, mayBeDamage, splitBy } = refusal.policy
  const points = pointCount(range)
  if (action === "retry") window.isStubborn = true
  if (refusal.reason === "UnexpectedSample") window.isMoved = true
  const { damage, source, stream } = window.context
  const isLong = canHalve(window, range)
  const log = (what: string) => {
    const text = `${stream}: ${refusal.summary} ${what}`
    // Every damaged point would have its own lines. The final error names the first point that fails.
    return damage.isEmpty && !failsAtPoints ? Effect.logInfo(text) : Effect.logDebug(text)
  }
  if (mayBeDamage && isLong && damage.isLongBefore(range, part)) {
    if (yield* isHole(window, range, part)) return yield* leaveOut(window, range, part, refusal)
  } else if (isLong && splitBy === "time" && !isTooWide(source, part, points)) {
    const half = { points: Math.ceil(points / 2), stepMillis: range.stepMillis }
    const whole = isRawRange(range) ? extentText({ ...half, points }) : points
    yield* log(`Requesting ${extentText(half)} at once instead of ${whole}.`)
  } else {
    const halves = yield* splitSeries(window, range, part, refusal)
    if (halves !== undefined) {
      yield* log(
        hasSeveralMetrics(part)
          ? `Requesting ${pluralize(halves[0].metrics?.length ?? 0, "metric")} at once instead of ${part.metrics.length}.`
          : `Requesting its series ${selectorText(halves[0].matchers.slice(-1))} apart from the others.`
      )
      return bothHalves(window, range, part, halves)
    }
    if (!isLong) return yield* isolated(window, range, part, refusal)
  }
  // Smaller requests would not avoid it.
  if (failsAtPoints) return earlierAndLater(window, range, part)
  if (mayBeDamage !== true || isForSize(window, points)) {
    window.limit = Math.min(window.limit, Math.ceil(points / 2))
  }
  window.refusedPoints = Math.min(window.refusedPoints, points)
  yield* learn(window, (size) => afterRefusal(size, points))
  return earlierAndLater(window, range, part)
})

/** Whether a range is long enough to be split by time. */
const canHalve = ({ context }: OpenWindow, range: GridRange): boolean =>
  pointCount(range) > context.source.bounds.leastPoints

/** Whether a part is refused for the number of its series rather than its points: several metrics with few points. */
const isTooWide = ({ bounds }: StreamSource, part: SeriesPart, points: number): boolean =>
  hasSeveralMetrics(part) && points <= bounds.firstPoints

/**
 * Whether ranges of so many points are refused for their size rather than for damage: no range of the window that was returned
 * is as long, and more than one was refused. If it is damage, other parts of the window can be requested as they are.
 */
const isForSize = ({ answeredPoints, refusals }: OpenWindow, points: number): boolean => {
  const refused = (refusals.get(points) ?? 0) + 1
  refusals.set(points, refused)
  return refused > 1 && answeredPoints > 0 && answeredPoints < points
}

/** Splits the series of a part; undefined if there is only one, or if they need not be split. */
const splitSeries = Effect.fnUntraced(function* (
  window: OpenWindow,
  range: GridRange,
  part: SeriesPart,
  refusal: PrometheusError
): Effect.fn.Return<Halves | undefined, PrometheusError> {
  const { damage, hasResponded, permits, source, splits } = window.context
  const { action, mayBeDamage } = refusal.policy
  if (refusal.reason === "UnexpectedSample" || refusal.policy.failsAtPoints) return undefined
  // If the server is too slow for one point and has never responded, the series are not the reason.
  if (action === "retry" && mayBeDamage !== true && !(yield* Ref.get(hasResponded))) return undefined
  if (mayBeDamage && damage.isWideAt(range.firstMillis)) return undefined
  const limitReached = (times: string) =>
    because(refusal, `Its series were split ${times}, and that is the limit.`)
  // Each split adds a matcher.
  if (part.matchers.length >= MAX_SPLIT_DEPTH) {
    return yield* limitReached(`${MAX_SPLIT_DEPTH} times, one part from another`)
  }
  if (!hasSeveralMetrics(part)) {
    const done = yield* Ref.getAndUpdate(splits, (splits) => splits + 1)
    if (done >= MAX_SPLITS) return yield* limitReached(pluralize(MAX_SPLITS, "time"))
  }
  const halves = yield* Effect.catch(permits.withPermit(split(part, source.index(range))), (error) => {
    if (error.reason === "Unreachable" || error.reason === "NoServer") return Effect.fail(error)
    // A damaged index cannot list them either.
    if (mayBeDamage) return Effect.undefined
    return Effect.fail(
      because(
        refusal,
        `Its series could not be requested in parts, since the server did not list them: ${error.summary}`
      )
    )
  })
  if (mayBeDamage && halves !== undefined) window.splits.push(part)
  return halves
})

/** Handles one point that was refused and cannot be split: it is a hole if the server returns others. */
const isolated = Effect.fnUntraced(function* (
  window: OpenWindow,
  range: GridRange,
  part: SeriesPart,
  refusal: PrometheusError
): Effect.fn.Return<Events, PrometheusError> {
  const { action, failsAtPoints, mayBeDamage } = refusal.policy
  if (failsAtPoints) {
    return yield* because(
      refusal,
      `It fails at ${formatTime(range.lastMillis)}, and the stream ends before this point.`
    )
  }
  const series = part.matchers.length === 0 ? "" : ` of ${selectorText(part.matchers)}`
  const failure = because(
    refusal,
    isRawRange(range)
      ? `It does so even for one second of one series, ${rangeText(range)}${series}.`
      : `It does so even for one point of one series, at ${formatTime(range.lastMillis)}${series}.`
  )
  const { damage, source, stream } = window.context
  const isKnown = action === "split" && !damage.isEmpty
  if (mayBeDamage !== true || !(isKnown || (yield* answersOthers(window, range, part)))) return yield* failure
  // It may answer others only because it is well again.
  if (action === "retry" && (yield* answers(window, range, part))) return eventsOf(window, range, part)
  // The sample of the point may be intact, and only an older one within its look-back damaged.
  const close = damage.isWideAt(range.firstMillis) ? [] : yield* source.closeTo(range, part.matchers)
  if (close.length === 0) return yield* leaveOut(window, range, part, refusal)
  window.ledger.begin(source.expect(range))
  return accepted(stream, window.ledger, Stream.fromIterable(close)).pipe(
    Stream.concat(completed(window, range, part))
  )
})

/** Leaves a hole. */
const leaveOut = Effect.fnUntraced(function* (
  window: OpenWindow,
  range: GridRange,
  part: SeriesPart,
  refusal: PrometheusError
): Effect.fn.Return<Events, PrometheusError> {
  const { damage, stream } = window.context
  if (window.holePoints === 0) {
    yield* Effect.logWarning(
      `${stream}: ${refusal.summary} The server returns other points, so its data may be damaged there. The rest is read.`
    )
  }
  damage.add(range, part, refusal)
  window.holePoints += pointCount(range)
  return completed(window, range, part)
})

/** Damage changes neither the size of later windows nor how their series are split. */
const endOf = Effect.fnUntraced(function* (window: OpenWindow) {
  const { context, holePoints, isMoved, ledger, requested, sizeBefore, splits } = window
  const { damage, size, sizeLearned, stream } = context
  if (isMoved && Number.isFinite(ledger.earliestMillis)) {
    yield* Effect.logWarning(
      `${stream}: the server returns nothing before ${formatTime(ledger.earliestMillis)}, because it limits how far back queries look.`
    )
  }
  if (holePoints > 0) {
    damage.splits = [...damage.splits, ...splits]
    const isAll = holePoints >= pointCount(requested.range)
    yield* Ref.set(size, isAll ? larger(sizeBefore) : sizeBefore)
    yield* sizeLearned.open
    return
  }
  for (const part of damage.splits) part.halves = undefined
  damage.splits = []
})

/** Whether a part is the one that a request of the whole asks for first. */
const isFirstOf = (whole: SeriesPart, part: SeriesPart): boolean =>
  whole === part || (whole.halves !== undefined && isFirstOf(whole.halves[0], part))

/** A refusal after which the request could not be made smaller, and why. */
const because = (refusal: PrometheusError, why: string): PrometheusError =>
  refusal.saying(`${refusal.summary} ${why}`)

/** Emits the samples of a response that are new. If responses keep breaking off, any event counts as progress. */
const accepted = (stream: string, ledger: WindowLedger, response: Response) =>
  Stream.chunks(response).pipe(
    Stream.mapEffect((blocks) => {
      const fresh: Array<SampleBlock> = []
      for (const block of blocks) {
        const result = ledger.accept(block)
        if (result instanceof PrometheusError) return Effect.fail(result)
        if (result !== undefined) fresh.push(result)
      }
      return Effect.succeed<WindowEvent>({ _tag: "Samples", stream, blocks: fresh })
    }),
    Stream.filter((event) => event._tag === "Samples" && event.blocks.length > 0)
  )
