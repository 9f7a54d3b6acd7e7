/** Reads Prometheus' own tables: a snapshot of the server's present state, or exemplars window by window. */
import { Effect, Option, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import type { TableName } from "../prometheus/tables/schemas.ts"
import { type RowBlock, rowBlocks } from "../samples/TableRow.ts"
import { allSourcesRespond } from "./allSourcesRespond.ts"
import type { Part, StreamPlan } from "./plan.ts"
import type { ReadEvent, ReadOptions } from "./ReadEvent.ts"
import { type GridRange, pointCount, takePoints } from "./TimeGrid.ts"

/** The plan of a table. */
export interface TablePlan {
  readonly plan: StreamPlan
  readonly table: TableName
}

/** Reads tables. If the server does not have a table, its stream is empty, with a notice. */
export const readTables = (
  plans: ReadonlyArray<TablePlan>,
  options: Pick<ReadOptions, "isAbandoned"> = {}
): Stream.Stream<ReadEvent, PrometheusError, ConnectorConfig | PrometheusClient> =>
  Stream.unwrap(
    Effect.map(ConnectorConfig, ({ concurrency }) =>
      Stream.fromIterable(plans.map((plan) => readTable(plan, options))).pipe(
        Stream.flatten({ concurrency, bufferSize: 1 })
      )
    )
  )

/**
 * The times of the exemplars of a window. A point is a second, and has the exemplars after the previous point, up to the point
 * itself. None is before the first point of all: when the start is moved back later, they are those after the gap's last point.
 */
const timesOf = (
  { grid }: StreamPlan,
  { range, reason }: Part,
  { firstMillis, lastMillis, stepMillis }: GridRange
): TimeRange => {
  const isGapsEnd = reason === "gap" && lastMillis === range.lastMillis && lastMillis < grid.lastMillis
  return {
    startMillis: Math.max(firstMillis - stepMillis + 1, grid.firstMillis),
    endMillis: isGapsEnd ? lastMillis + stepMillis - 1 : lastMillis
  }
}

/** The rows of a window of a part. */
const rowsOf = Effect.fnUntraced(function* (
  { plan, table }: TablePlan,
  part: Part,
  window: GridRange
): Effect.fn.Return<ReadonlyArray<RowBlock>, PrometheusError, PrometheusClient> {
  const client = yield* PrometheusClient
  if (table === "exemplars") return rowBlocks(yield* client.exemplars(timesOf(plan, part, window)))
  const { lastMillis } = window
  const rows = yield* client.snapshot(table, lastMillis)
  return rowBlocks(rows.map((row) => [lastMillis, row] as const))
})

/** How many smaller windows are tried in a row after timeouts. Each takes several times as long as a request may. */
const MAX_TIMEOUTS = 3

/** Whether a smaller window may succeed. If the server fails for a while, all windows fail, and each after several retries. */
const isTooLarge = ({ policy, reason }: PrometheusError, timeouts: number): boolean =>
  policy.action === "split" || reason === "Oversized" || (reason === "Timeout" && timeouts < MAX_TIMEOUTS)

/** What is left of a part, and how many points to request at once. */
interface Rest {
  readonly range: GridRange
  readonly size: number
  /** Whether later windows may be larger: not after a timeout. */
  readonly mayGrow: boolean
}

/** Cuts what is left into a window that succeeds, and the rest. */
const nextWindow = Effect.fnUntraced(function* (planned: TablePlan, part: Part, rest: Rest) {
  let timeouts = 0
  for (let size = Math.min(rest.size, pointCount(rest.range)); ; size = Math.ceil(size / 2)) {
    const [window, left] = takePoints(rest.range, size)
    const blocks = yield* Effect.catchIf(
      rowsOf(planned, part, window),
      (error) => isTooLarge(error, timeouts) && size > 1,
      ({ reason }) => {
        if (reason === "Timeout") timeouts++
        return Effect.undefined
      }
    )
    if (blocks === undefined) continue
    const mayGrow = rest.mayGrow && timeouts === 0
    const next: Rest = { range: left, size: mayGrow ? 2 * size : size, mayGrow }
    return { window, blocks, next: pointCount(left) === 0 ? Option.none() : Option.some(next) }
  }
})

/** Why a server may have no exemplars. */
const NO_EXEMPLARS =
  "the server has no exemplars in this range. Prometheus keeps them only with --enable-feature=exemplar-storage, and only the latest ones."

const readTable = (
  planned: TablePlan,
  { isAbandoned = () => false }: Pick<ReadOptions, "isAbandoned">
): Stream.Stream<ReadEvent, PrometheusError, ConnectorConfig | PrometheusClient> => {
  const { plan, table } = planned
  const { mode, parts, points, range, resumed, stream } = plan
  let notice: string | undefined
  let total = 0
  let isRunning = false
  /** The last point that has been read. */
  let doneMillis = range.firstMillis - range.stepMillis

  const checkpoint = (lastMillis: number, recordCount: number): ReadEvent => ({
    _tag: "Checkpoint",
    ...plan.checkpointAt(lastMillis),
    // A table counts as one point: the seconds of exemplars do not measure how much is read.
    points: plan.checkpointAt(lastMillis).points / points,
    holes: [],
    recordCount
  })

  const running = (): ReadonlyArray<ReadEvent> => {
    if (isRunning) return []
    isRunning = true
    return [{ _tag: "Running", stream }]
  }

  const nothing = Stream.make<Array<ReadEvent>>(
    { _tag: "Running", stream },
    { _tag: "Checkpoint", ...plan.unchangedCheckpoint, holes: [], recordCount: 0 }
  )

  const windows = (part: Part) =>
    Stream.paginate(
      { range: part.range, size: pointCount(part.range), mayGrow: true },
      Effect.fnUntraced(function* (rest: Rest) {
        const { blocks, next, window } = yield* nextWindow(planned, part, rest)
        const rows = blocks.reduce((sum, { length }) => sum + length, 0)
        total += rows
        doneMillis = window.lastMillis
        const events = [
          ...running(),
          ...blocks.map((block): ReadEvent => ({ _tag: "Rows", stream, blocks: [block] })),
          checkpoint(window.lastMillis, rows)
        ]
        return [events, next] as const
      })
    )

  const all = Stream.unwrap(
    Effect.map(PrometheusClient, ({ missingSource }) =>
      Stream.fromEffectDrain(allSourcesRespond(missingSource)).pipe(
        Stream.concat(Stream.flatMap(Stream.fromIterable(parts), windows))
      )
    )
  ).pipe(
    Stream.catchIf(
      ({ reason }) => reason === "NoTableApi",
      (error) => {
        notice =
          total === 0
            ? `the table is empty, because the server does not have it: ${error.message}`
            : `the rest of the table was not read, because the server does not have it any more: ${error.message}`
        // What it may have later is not read yet.
        return Stream.fromIterable([...running(), checkpoint(doneMillis, 0)])
      }
    )
  )
  const completed = Effect.sync((): ReadEvent => {
    if (table === "exemplars" && points > 0 && total === 0 && resumed === undefined) notice ??= NO_EXEMPLARS
    return { _tag: "Completed", stream, mode, ...(notice === undefined ? {} : { notice }) }
  })
  return Stream.succeed<ReadEvent>({
    _tag: "Started",
    stream,
    isResumed: resumed !== undefined,
    range,
    points: Math.min(1, points)
  }).pipe(
    Stream.concat(points === 0 ? nothing : all),
    Stream.concat(Stream.fromEffect(completed)),
    Stream.withSpan("Read.table", { attributes: { stream, mode } }),
    Stream.catchIf(
      // Others can be read, even if this one has an unknown form.
      ({ policy, reason }) => policy.onExhausted === "stream" || reason === "NotPrometheus",
      (error) => Stream.succeed<ReadEvent>({ _tag: "Failed", stream, error })
    ),
    Stream.takeUntil(() => isAbandoned(stream))
  )
}
