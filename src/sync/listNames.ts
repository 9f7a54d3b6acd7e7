/**
 * Lists of names in a long range. Servers shorten them without a sign: they move the start of a long range, leave out what has
 * not been written to a block yet, or cut the list. So names are requested for the range, for its parts, and without its end.
 */
import { Effect } from "effect"
import type { Backend } from "../prometheus/Backend.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import { grouped } from "../text/figures.ts"

export const DAY_MILLIS = 86_400_000

type Request = (range: TimeRange) => Effect.Effect<ReadonlyArray<string>, PrometheusError>

/** The most characters of all names from several parts of a range. A single response has no more. */
const MAX_CHARACTERS = 64 * 1024 * 1024

export const tooMany = (what: string) =>
  new PrometheusError({ reason: "Oversized", summary: `The server lists ${what}.` })

/** Names from several lists, as many as fit into memory. */
export class NameSet {
  readonly names = new Set<string>()
  #characters = 0

  /** Returns how many of the names are new. */
  readonly add = (names: Iterable<string>): Effect.Effect<number, PrometheusError> =>
    Effect.suspend(() => {
      const before = this.names.size
      for (const name of names) {
        if (!this.names.has(name)) {
          this.names.add(name)
          this.#characters += name.length
        }
      }
      return this.#characters > MAX_CHARACTERS
        ? Effect.fail(tooMany("more names in all parts of the range than fit into memory"))
        : Effect.succeed(this.names.size - before)
    })
}

/**
 * Adds the names of a range. Servers that count the matching series may refuse a long range. Both halves are then requested,
 * down to a day, because some servers index names by day. Returns whether the complete range was accepted.
 */
export const addNames = (
  all: NameSet,
  range: TimeRange,
  request: Request
): Effect.Effect<boolean, PrometheusError> => {
  const { endMillis, startMillis } = range
  const middle = startMillis + Math.floor((endMillis - startMillis) / 2)
  const isTooLong = ({ policy }: PrometheusError) =>
    policy.action === "split" && middle - startMillis >= DAY_MILLIS
  return request(range).pipe(
    Effect.flatMap((names) => Effect.as(all.add(names), true)),
    Effect.catchIf(isTooLong, () =>
      Effect.as(
        Effect.andThen(
          addNames(all, { startMillis, endMillis: middle }, request),
          addNames(all, { startMillis: middle, endMillis }, request)
        ),
        false
      )
    )
  )
}

/** The names of a range, requested like `addNames` does. */
export const namesIn = Effect.fnUntraced(function* (ranges: ReadonlyArray<TimeRange>, request: Request) {
  const all = new NameSet()
  for (const range of ranges) yield* addNames(all, range, request)
  return [...all.names]
})

/** In how many parts a range is requested first, and their minimum length. */
const PARTS = 16
const MIN_PART_MILLIS = 5 * 60_000

/** Parts in which something is listed are cut into parts of this length, if that makes no more than so many. */
const SHORT_PART_MILLIS = 7 * DAY_MILLIS
const MAX_PARTS = 110

/** With long lists there are fewer parts, so that not more names than this are received in all. */
const MAX_RECEIVED = 2_000_000

/** At most `count` equal parts of a range that are at least `leastMillis` long. */
export const equalParts = (
  { endMillis, startMillis }: TimeRange,
  count: number,
  leastMillis = 1
): ReadonlyArray<TimeRange> => {
  const length = endMillis - startMillis
  const parts = Math.max(1, Math.min(count, Math.floor(length / leastMillis)))
  const cut = (i: number) => startMillis + Math.floor((length * i) / parts)
  return Array.from({ length: parts }, (_, i) => ({ startMillis: cut(i), endMillis: cut(i + 1) }))
}

/** The parts of a range that are requested beside it. */
export const firstParts = (range: TimeRange) => equalParts(range, PARTS, MIN_PART_MILLIS)

/** What the parts of a range list. */
export interface PartLists {
  /** Whether parts list names that the complete range does not. */
  readonly isCut: boolean
  /** The parts that list all: those with names. */
  readonly parts: ReadonlyArray<TimeRange>
}

/** How names are listed. */
export interface ListOptions {
  /**
   * Whether samples of a name that is not listed would never be read: fails if the server fails on a list for a while, instead of
   * going without it. What it always refuses is left out in any case.
   */
  readonly isStrict: boolean
}

/** Whether a list may be complete later. */
export const mayBeListedLater = ({ policy }: PrometheusError): boolean => policy.action === "retry"

/**
 * Adds the names that parts of a range list, to those that the range lists. An empty half of many years costs few requests,
 * unless the server turns out to shorten lists. If the server fails on a part, the others are used, with a warning.
 */
export const addNamesOfParts = Effect.fnUntraced(function* (
  all: NameSet,
  range: TimeRange,
  request: Request,
  { concurrency, isStrict }: ListOptions & { readonly concurrency: number }
): Effect.fn.Return<PartLists, PrometheusError> {
  const inRange = all.names.size
  let failure: PrometheusError | undefined
  /** Whether a part lists names. */
  const list = (part: TimeRange) =>
    namesIn([part], request).pipe(
      Effect.flatMap((names) => Effect.as(all.add(names), names.length > 0)),
      Effect.catchIf(mayBeOfPart, (error) =>
        Effect.sync(() => {
          failure ??= error
          return false
        })
      )
    )
  const listAll = Effect.fnUntraced(function* (parts: ReadonlyArray<TimeRange>) {
    const before = all.names.size
    const listed = yield* Effect.forEach(
      parts,
      (part) => (failure === undefined ? list(part) : Effect.succeed(false)),
      { concurrency }
    )
    return { full: parts.filter((_, i) => listed[i]), added: all.names.size - before }
  })
  const most = Math.floor(MAX_RECEIVED / (inRange + 1))
  const parts = equalParts(range, Math.max(2, Math.min(PARTS, most)), MIN_PART_MILLIS)
  if (parts.length === 1) return { isCut: false, parts }
  const { added, full } = yield* listAll(parts)
  // If lists are shortened, an empty one does not mean that the part is empty.
  const long = (added > 0 ? parts : full).filter((part) => lengthOf(part) > SHORT_PART_MILLIS)
  const left = Math.max(1, Math.min(MAX_PARTS, most - parts.length))
  const shortMillis = Math.max(SHORT_PART_MILLIS, long.reduce((sum, part) => sum + lengthOf(part), 0) / left)
  const short = long.flatMap((part) => equalParts(part, Math.ceil(lengthOf(part) / shortMillis)))
  const shorter = yield* listAll(short.length > long.length ? short : [])
  if (failure !== undefined) {
    if (isStrict && mayBeListedLater(failure)) return yield* failure
    yield* Effect.logWarning(
      `The names of metrics could not be listed for each part of the range, so metrics that ended long ago may be missing. ${failure.summary}`
    )
  }
  return {
    isCut: all.names.size > inRange,
    parts: shorter.added === 0 ? full : [...full.filter((part) => !long.includes(part)), ...shorter.full]
  }
})

/** Whether an error may concern a part of a range only: a server may fail, or reset the connection, before its data. */
const mayBeOfPart = ({ policy, reason }: PrometheusError): boolean =>
  reason !== "PartialResponse" && policy.action !== "sync"

export const lengthOf = ({ endMillis, startMillis }: TimeRange): number => endMillis - startMillis

/** Usual limits on the length of a list, of servers, gateways and tenants. */
const isRoundLimit = (count: number): boolean =>
  [1000, 2000, 2500, 5000, 10_000, 20_000, 30_000, 40_000, 50_000, 100_000, 200_000, 500_000].includes(
    count
  ) ||
  (count > 0 && count % 1_000_000 === 0)

/** Warns of a list whose length looks like a limit, since some servers cut lists without a sign. */
export const warnOfLimit = (
  what: string,
  count: number,
  { listLimits }: Pick<Backend, "listLimits">
): Effect.Effect<void> =>
  isRoundLimit(count) || listLimits.includes(count)
    ? Effect.logWarning(
        `The server lists exactly ${grouped(count)} ${what}. That may be a limit of the server, and others may be missing: raise it there, or use selector or several connections to list fewer at once.`
      )
    : Effect.void
