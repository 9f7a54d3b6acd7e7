/**
 * Prevents a full refresh from replacing rows that the server no longer has: by default Prometheus deletes data after 15 days.
 * A later start or a narrower selector loses rows too.
 */
import { Effect, type Option } from "effect"
import { ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import { sumOf } from "../destinations/contents.ts"
import { type Contents, Destination, DestinationError } from "../destinations/Destination.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { BeginningHints } from "../sync/beginning.ts"
import { gridToRead } from "../sync/plan.ts"
import { definitionOf, stepMillisOf } from "../sync/StreamDefinition.ts"
import { grouped } from "../text/figures.ts"
import { formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import { listNames } from "./filledDestination.ts"
import { serverRows, withGroupsOnce } from "./seriesCounts.ts"

/** The rows of one stream before and after a refresh. The stream had rows before. */
interface Change {
  readonly name: string
  readonly before: Contents
  readonly after: Contents
}

/**
 * Whether a refresh would leave fewer rows, a later first row or an earlier last row. With different steps, the last points may
 * differ by a step.
 */
const isLoss = ({ after, before }: Change, stepMillis: number): boolean =>
  after.rows < before.rows ||
  after.firstMillis! > before.firstMillis! ||
  after.lastMillis! <= before.lastMillis! - stepMillis

/** The most streams with a line of their own. */
const MAX_LINES = 20

/** The minimum number of lost rows, because new rows may hide a loss. */
const rowsLost = ({ after, before }: Change): number => Math.max(0, before.rows - after.rows)

/** The loss of one stream, as a line. */
const lossLine = (loss: Change): string => {
  const { after, before, name } = loss
  const lost = rowsLost(loss)
  const gone: Array<string> = []
  if (after.firstMillis !== null && after.firstMillis > before.firstMillis!) {
    gone.push(`all from ${formatTime(before.firstMillis!)} to before ${formatTime(after.firstMillis)}`)
  }
  if (after.lastMillis !== null && after.lastMillis < before.lastMillis!) {
    gone.push(`all after ${formatTime(after.lastMillis)}`)
  }
  const all = pluralize(before.rows, "row")
  return lost === 0
    ? `${name}: of ${all}, ${gone.join(" and ")} would be lost`
    : [`${name}: ${grouped(lost)} of ${all} would be lost`, ...gone].join(", ")
}

/** The losses of a refresh, as lines. */
const lossLines = (losses: ReadonlyArray<Change>, destination: string): ReadonlyArray<string> => {
  const lost = losses.reduce((sum, loss) => sum + rowsLost(loss), 0)
  const all = losses.reduce((sum, { before }) => sum + before.rows, 0)
  const more = losses.length - MAX_LINES
  return [
    `A full refresh would leave ${destination} with less data:`,
    ...losses.slice(0, MAX_LINES).map((loss) => `  ${lossLine(loss)}`),
    ...(more > 0 ? [`  … and ${pluralize(more, "other stream")}`] : []),
    `In total, ${lost === 0 ? "some" : `at least ${grouped(lost)}`} of ${pluralize(all, "row")} in ${pluralize(losses.length, "stream")} would be lost. The server no longer has them, or the start, the end, the step or the selector excludes them.`
  ]
}

/** Asks the user to confirm; none without a terminal. */
export type Confirm = Option.Option<(question: string) => Effect.Effect<boolean>>

/**
 * Compares the rows of the streams in the destination with those on the server, and logs what a refresh would lose. Returns the
 * existing rows of each stream.
 */
export const compareWithServer = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  destinationName: string
) {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const destination = yield* Destination
  const existing = new Map<string, Contents>()
  /** Streams with damaged manifests, which may have rows. */
  const unknown: Array<string> = []
  // A snapshot may have fewer rows than the previous one.
  const counted = names.filter((name) => definitionOf(settings, name)._tag !== "Table")
  for (const name of counted) {
    const contents = yield* Effect.option(destination.contents(name, "current"))
    if (contents._tag === "None") unknown.push(name)
    else if (contents.value.rows > 0) existing.set(name, contents.value)
  }
  let losses: ReadonlyArray<Change> = []
  if (existing.size > 0) {
    yield* Effect.logInfo(
      `Counting on the server what a full refresh of ${pluralize(existing.size, "stream")} would bring (--yes skips that).`
    )
    const { nowMillis } = yield* client.clock
    const gridOf = (name: string) =>
      gridToRead(settings, nowMillis, stepMillisOf(definitionOf(settings, name)))
    const hints: BeginningHints = {}
    const changes = yield* Effect.forEach(
      existing,
      ([name, before]) =>
        serverRows(name, gridOf(name), hints).pipe(
          // The read fails in the same way and reports the error. The end of a refresh is guarded too.
          Effect.catchIf(
            ({ policy }) => policy.onExhausted === "stream",
            () => Effect.succeed(before)
          ),
          Effect.map((after) => ({ name, before, after }))
        ),
      { concurrency: settings.concurrency }
    ).pipe(withGroupsOnce)
    losses = changes.filter((change) => isLoss(change, gridOf(change.name).stepMillis))
  }
  if (losses.length > 0) {
    yield* Effect.forEach(lossLines(losses, destinationName), (line) => Effect.logWarning(line))
  }
  if (unknown.length > 0) {
    yield* Effect.logWarning(
      `${destinationName} has rows of ${listNames(unknown)} that cannot be counted, since their bookkeeping is damaged. A full refresh replaces them.`
    )
  }
  return { existing, isSafe: losses.length === 0 && unknown.length === 0 }
})

/**
 * Fails before the read if a refresh would lose rows, unless the user accepts that. Returns the existing rows of each stream,
 * which the refresh must not fall below. Returns nothing if the user accepted a loss.
 */
export const guardRefresh = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  destination: string,
  confirm: Confirm
) {
  const { existing, isSafe } = yield* compareWithServer(names, destination)
  if (isSafe) return existing
  if (confirm._tag === "None") {
    return yield* new ConfigError({
      message:
        "No data was changed. To replace the rows anyway, run with --yes. To keep them, run without a full refresh."
    })
  }
  if (yield* confirm.value("Replace the rows anyway?")) return new Map<string, Contents>()
  return yield* new ConfigError({ message: "No data was changed." })
})

/** The rows that a refresh replaces, and the rows of this refresh that an earlier run committed. */
export interface Replaced {
  readonly before: Contents
  readonly resumed: Contents
}

/** Fails if a refresh has fewer rows than it replaces, although the server had counted enough. */
export const guardEnd = (
  name: string,
  { before, resumed }: Replaced,
  committed: Contents,
  stepMillis: number
): Effect.Effect<void, DestinationError> => {
  const change = { name, before, after: sumOf([resumed, committed]) }
  return isLoss(change, stepMillis)
    ? Effect.fail(
        new DestinationError({
          message: `The full refresh would leave less than before, so the old rows stay. ${lossLine(change)}. Run again with --yes to replace them anyway.`
        })
      )
    : Effect.void
}
