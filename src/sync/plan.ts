/**
 * The plan of a sync as data: for each stream the parts of the time grid to read, and the state after each of their points.
 *
 * Pure, and with schemas, so that another process can execute a plan or a part of it.
 */
import { Option, Schema } from "effect"
import type { Settings } from "../config/ConnectorConfig.ts"
import { render } from "../promql/Matcher.ts"
import { formatTime } from "../text/formatTime.ts"
import { intersection, type Span, uncovered, union, without } from "./coverage.ts"
import { patternsText } from "./groups.ts"
import {
  type DefiningSettings,
  definitionOf,
  type GroupStream,
  ownStepOf,
  type StreamDefinition,
  stepMillisOf
} from "./StreamDefinition.ts"
import { encodeSpans, labelsDigest, StateDetails, StreamState, samplingFields } from "./StreamState.ts"
import { afterCursor, GridRange, gridRange, pointCount } from "./TimeGrid.ts"

/** One stream to read. `definitionOf` says what it contains. */
export interface StreamRequest {
  readonly name: string
  readonly mode: "full_refresh" | "incremental"
  /** The number of a full refresh, if the platform has one. Only the refresh with that number resumes from its checkpoints. */
  readonly generationId?: number | undefined
}

/** How states are used and written. */
export interface PlanOptions {
  /**
   * Whether states list the ranges, the selector and the excluded labels that they cover. An incremental read then also fills
   * the gap before the earlier start if the start was moved back, and reads nothing twice. Otherwise a read just resumes after
   * the time of a state.
   */
  readonly detailedStates?: boolean
}

/** A range of points of one stream. Any process can read a part, and reading it twice does no harm. */
export const Part = Schema.Struct({
  stream: Schema.String,
  range: GridRange,
  /**
   * Why it is read. `start`: there is no state to resume from. `resume`: it is after the state's time minus the look-back.
   * `gap`: it is earlier, and not among the ranges that the state lists as read, or among those to read again.
   */
  reason: Schema.Literals(["start", "resume", "gap"])
})

export type Part = typeof Part.Type

/** The plan of one stream. */
export class StreamPlan extends Schema.Class<StreamPlan>("StreamPlan")({
  stream: Schema.String,
  mode: Schema.Literals(["full_refresh", "incremental"]),
  generationId: Schema.optionalKey(Schema.Int),
  /** All points from the configured start to the last settled one. */
  grid: GridRange,
  /** The state that the stream resumes from. */
  resumed: Schema.optionalKey(StreamState),
  /** The other details that detailed states list. */
  details: Schema.optionalKey(StateDetails),
  /** In the order of time, without empty ones. There are several only if states are detailed. */
  parts: Schema.Array(Part)
}) {
  /** How many points are read. */
  get points(): number {
    return this.parts.reduce((sum, { range }) => sum + pointCount(range), 0)
  }

  /** From the first point to read to the last one; empty if there is none. */
  get range(): GridRange {
    const { grid, parts } = this
    const firstMillis = parts[0]?.range.firstMillis ?? grid.lastMillis + grid.stepMillis
    return { ...grid, firstMillis, lastMillis: parts.at(-1)?.range.lastMillis ?? grid.lastMillis }
  }

  /**
   * The state to save after all points up to `lastMillis` except for `holes`, and the number of these points. Its time is before
   * the first hole.
   */
  checkpointAt(lastMillis: number, holes: ReadonlyArray<Span> = []) {
    const { details, generationId, grid, mode, parts, resumed, stream } = this
    const done = parts
      .filter(({ range }) => range.firstMillis <= lastMillis)
      .map(({ range }) => ({ ...range, lastMillis: Math.min(range.lastMillis, lastMillis) }))
    const firstHole = holes[0]?.firstMillis ?? Number.POSITIVE_INFINITY
    const timeMillis = Math.min(lastMillis, firstHole - grid.stepMillis)
    // A new state is never earlier than the resumed one.
    const kept = resumed !== undefined && resumed.timeMillis >= timeMillis ? resumed : undefined
    const { stepMillis } = grid
    const covered = () => union(resumed?.covered ?? [], without(done, holes, stepMillis), stepMillis)
    /** Some series of the holes may have been written. */
    const again = () =>
      union(
        without(resumed?.again ?? [], done, stepMillis),
        without(intersection(holes, done), resumed?.covered ?? [], stepMillis),
        stepMillis
      )
    return {
      stream,
      lastMillis,
      points: done.reduce((sum, range) => sum + pointCount(range), 0),
      state: new StreamState({
        time: kept?.time ?? formatTime(timeMillis),
        ...samplingFields(kept?.stepMillis ?? stepMillis),
        version: 1,
        ...(mode === "full_refresh" ? { full_refresh: true } : {}),
        ...(generationId === undefined ? {} : { generation_id: generationId }),
        ...(details === undefined ? {} : { read: encodeSpans(covered()), ...listed(again()), ...details })
      })
    }
  }

  /** The state to save if there is nothing to read. */
  get unchangedCheckpoint() {
    return this.checkpointAt(pointCount(this.grid) === 0 ? 0 : this.grid.lastMillis)
  }
}

const listed = (again: ReadonlyArray<Span>) => (again.length === 0 ? {} : { read_again: encodeSpans(again) })

type GridSettings = Pick<Settings, "startMillis" | "endMillis" | "settleDelayMillis">

/** The points of a step to read at the server's time `nowMillis`: the settled ones between start and end. */
export const gridToRead = (settings: GridSettings, nowMillis: number, stepMillis: number): GridRange => {
  const settled = nowMillis - settings.settleDelayMillis
  const end = Option.getOrElse(settings.endMillis, () => settled)
  return gridRange(settings.startMillis, Math.min(end, settled), stepMillis)
}

/** The settings that decide with others which metrics a group has. */
type GroupingSettings = Pick<Settings, "metrics" | "groups">

/** What a stream selects. The state of the stream records it, so that later runs notice a change. */
export const selectorOf = (settings: GroupingSettings, definition: StreamDefinition): string =>
  definition._tag === "Group" ? groupText(settings, definition) : selectedBy(definition)

/** All that decides which metrics are in a group, before its matchers: also `metrics`, and the groups before it. */
const groupText = ({ groups, metrics }: GroupingSettings, group: GroupStream): string => {
  const earlier = groups.slice(
    0,
    groups.findIndex(({ name }) => name === group.name)
  )
  return [
    patternsText(group),
    ...(metrics.include.length + metrics.exclude.length === 0 ? [] : [`among ${patternsText({ metrics })}`]),
    ...earlier.map((group) => `without the group ${patternsText(group)}`),
    ...(group.matchers.length === 0 ? [] : [render(group.matchers)])
  ].join(" ")
}

const selectedBy = (definition: StreamDefinition): string =>
  definition._tag === "Query"
    ? definition.expression.text
    : definition.matchers.length === 0
      ? ""
      : render(definition.matchers)

/**
 * The plan of each stream, in the order of the requests, from the saved states by name and the server's time. Streams may have
 * different steps.
 */
export const plan = (
  requests: ReadonlyArray<StreamRequest>,
  states: ReadonlyMap<string, StreamState>,
  settings: GridSettings & DefiningSettings & Pick<Settings, "metrics" | "lookbackMillis" | "excludedLabels">,
  nowMillis: number,
  { detailedStates = false }: PlanOptions = {}
): ReadonlyArray<StreamPlan> => {
  const excluded = labelsDigest(settings.excludedLabels)
  return requests.map((request) => {
    const { generationId, mode, name } = request
    const definition = definitionOf(settings, name)
    if (definition._tag === "Table" && definition.table !== "exemplars") {
      return planSnapshot(request, states.get(name), nowMillis)
    }
    const grid = gridToRead(settings, nowMillis, stepMillisOf(definition))
    const details = detailedStates && {
      selector: selectorOf(settings, definition),
      excluded_labels: excluded,
      ...(ownStepOf(settings, name) === undefined ? {} : { own_step: true as const })
    }
    const saved = states.get(name)
    const resumed = saved !== undefined && isResumable(request, grid, saved) ? saved : undefined
    const lookbackMillis = mode === "incremental" ? settings.lookbackMillis : 0
    return new StreamPlan({
      stream: name,
      mode,
      ...(mode === "incremental" || generationId === undefined ? {} : { generationId }),
      grid,
      ...(resumed === undefined ? {} : { resumed }),
      ...(details === false ? {} : { details }),
      parts: partsOf(grid, resumed, lookbackMillis, detailedStates).map((part) => ({ stream: name, ...part }))
    })
  })
}

/**
 * The plan of a table that shows the server's present state: one point, which is now. A refresh that was stopped after its snapshot
 * needs no other one.
 */
const planSnapshot = (
  { generationId, mode, name }: StreamRequest,
  saved: StreamState | undefined,
  nowMillis: number
): StreamPlan => {
  const isDone =
    mode === "full_refresh" && saved?.full_refresh === true && saved.generation_id === generationId
  const millis = isDone ? saved.timeMillis : nowMillis
  const grid = { firstMillis: millis, lastMillis: millis, stepMillis: 1000 }
  return new StreamPlan({
    stream: name,
    mode,
    ...(mode === "incremental" || generationId === undefined ? {} : { generationId }),
    grid,
    ...(isDone ? { resumed: saved } : {}),
    parts: isDone ? [] : [{ stream: name, range: grid, reason: "start" }]
  })
}

/** A refresh resumes only from itself, on the same grid. An incremental read resumes only from an incremental state. */
const isResumable = (request: StreamRequest, grid: GridRange, state: StreamState): boolean =>
  request.mode === "incremental"
    ? state.full_refresh !== true
    : state.full_refresh === true &&
      state.stepMillis === grid.stepMillis &&
      // If the start was moved forward since, drop the spans of the refresh before it.
      (state.covered[0]?.firstMillis ?? grid.firstMillis) >= grid.firstMillis &&
      state.generation_id === request.generationId

const partsOf = (
  grid: GridRange,
  resumed: StreamState | undefined,
  lookbackMillis: number,
  detailedStates: boolean
): ReadonlyArray<Omit<Part, "stream">> => {
  if (resumed === undefined) return pointCount(grid) === 0 ? [] : [{ range: grid, reason: "start" }]
  // The state's time is before the first hole; what was read after it is among the spans.
  const covered = detailedStates ? resumed.covered : []
  const cursorMillis = Math.max(resumed.timeMillis, covered.at(-1)?.lastMillis ?? 0)
  const tail = afterCursor(grid, cursorMillis, lookbackMillis)
  // An end that was moved back may be before the state's time.
  const lastMillis = Math.min(grid.lastMillis, tail.firstMillis - tail.stepMillis)
  const done = without(covered, resumed.again, grid.stepMillis)
  const gaps = detailedStates && resumed.read !== undefined ? uncovered({ ...grid, lastMillis }, done) : []
  return [
    ...gaps.map((range) => ({ range, reason: "gap" as const })),
    { range: tail, reason: "resume" as const }
  ].filter(({ range }) => pointCount(range) > 0)
}
