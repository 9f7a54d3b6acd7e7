/** The state of a stream between two syncs. */
import { hash } from "node:crypto"
import { Predicate, Result, Schema, SchemaIssue } from "effect"
import { ConfigError } from "../config/ConnectorConfig.ts"
import { formatTime } from "../text/formatTime.ts"
import type { Span } from "./coverage.ts"
import { RAW_STEP_MILLIS } from "./TimeGrid.ts"

const Time = Schema.String.check(Schema.makeFilter((text: string) => isTime(text)))

/**
 * The most spans in a list. Parts that several processes read in any order leave gaps between them, but `parts.ts` keeps their
 * number far below this one.
 */
export const MAX_SPANS = 100_000

/** First and last grid points of ranges, in the order of time. */
const Spans = Schema.Array(Schema.Tuple([Time, Time])).check(
  Schema.isMaxLength(MAX_SPANS),
  Schema.makeFilter((spans) => {
    const times = spans.flat().map(Date.parse)
    return times.every((time, i) => i === 0 || times[i - 1]! <= time)
  })
)

const millisOf = (spans: typeof Spans.Type): ReadonlyArray<Span> =>
  spans.map(([first, last]) => ({ firstMillis: Date.parse(first), lastMillis: Date.parse(last) }))

/** What states list beside times and ranges, if `run` saves them. */
export const StateDetails = Schema.Struct({
  /** The selector of the series, or their expression. Empty for all series. */
  selector: Schema.String,
  /** A digest of the excluded labels. Empty for none. The names themselves are not saved. */
  excluded_labels: Schema.String,
  /** Whether the stream had a step of its own, which is not that of the run. */
  own_step: Schema.optionalKey(Schema.Literal(true))
})
export type StateDetails = typeof StateDetails.Type

/**
 * Everything up to and including `time` has been read: the points of a grid of `step` seconds, or with `sampling` all stored
 * samples. It has one of the two.
 */
export class StreamState extends Schema.Class<StreamState>("StreamState")({
  /** The last complete grid point, `2026-01-01T00:00:00Z`, or the last millisecond. */
  time: Time,
  step: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))),
  sampling: Schema.optionalKey(Schema.Literal("raw")),
  version: Schema.Literal(1),
  /** Set on the checkpoints of a full refresh. Only another attempt of that refresh resumes from them. */
  full_refresh: Schema.optionalKey(Schema.Literal(true)),
  /** The number of that refresh, if the platform has one. */
  generation_id: Schema.optionalKey(Schema.Int),
  /**
   * The first and last grid points of all ranges that have been read, in the order of time. Only `run` saves them: after the
   * start was moved back it reads what is missing. On a platform the user clears the state instead.
   */
  read: Schema.optionalKey(Spans),
  /**
   * Ranges that the next `run` reads again and replaces, since there may be rows of them: the server could not return all of
   * their series (these are not in `read`), or late samples may still arrive.
   */
  read_again: Schema.optionalKey(Spans),
  /** For this and the next two, see `StateDetails`. Only `run` saves them. */
  selector: Schema.optionalKey(StateDetails.fields.selector),
  excluded_labels: Schema.optionalKey(StateDetails.fields.excluded_labels),
  own_step: StateDetails.fields.own_step
}) {
  /** Milliseconds since the epoch. */
  get timeMillis(): number {
    return Date.parse(this.time)
  }

  /** The step of its grid, in milliseconds. */
  get stepMillis(): number {
    return this.step === undefined ? RAW_STEP_MILLIS : this.step * 1000
  }

  /** `read` in milliseconds. */
  get covered(): ReadonlyArray<Span> {
    return millisOf(this.read ?? [])
  }

  /** `read_again` in milliseconds. */
  get again(): ReadonlyArray<Span> {
    return millisOf(this.read_again ?? [])
  }
}

/** How a state says which samples it is about, by the step of their grid. */
export const samplingFields = (
  stepMillis: number
): Pick<StreamState, "step"> | Pick<StreamState, "sampling"> =>
  stepMillis === RAW_STEP_MILLIS ? { sampling: "raw" } : { step: stepMillis / 1000 }

/** The digest of a set of labels in a state. */
export const labelsDigest = (labels: ReadonlySet<string>): string =>
  labels.size === 0 ? "" : hash("sha256", JSON.stringify([...labels].sort())).slice(0, 32)

/** The ranges to list in a state: only the latest spans if there are too many. */
export const encodeSpans = (spans: ReadonlyArray<Span>): NonNullable<StreamState["read"]> =>
  spans
    .slice(-MAX_SPANS)
    .map(({ firstMillis, lastMillis }) => [formatTime(firstMillis), formatTime(lastMillis)] as const)

/** Whether a text is in the format of `formatTime`. JavaScript itself accepts 31 February and much else. */
const isTime = (text: string): boolean => {
  const millis = Date.parse(text)
  return Number.isFinite(millis) && formatTime(millis) === text
}

/** Encodes a state to save. */
export const encodeStreamState = Schema.encodeSync(StreamState)

/** Platforms write null for missing fields. */
const withoutNulls = (json: unknown): unknown =>
  Predicate.isObject(json)
    ? Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null))
    : json

/** Decodes a saved state. A damaged or foreign state is refused instead of starting again. */
export const decodeStreamState = (stream: string, json: unknown): Result.Result<StreamState, ConfigError> =>
  Result.flatMap(
    Result.mapError(Schema.decodeUnknownResult(StreamState)(withoutNulls(json)), ({ issue }) => {
      const { path = [] } = SchemaIssue.makeFormatterStandardSchemaV1()(issue).issues[0] ?? {}
      return foreign(stream, json, path.length === 0 ? undefined : `${path.join(".")} is missing or wrong`)
    }),
    (state) => {
      const { sampling, step } = state
      if (step !== undefined && sampling !== undefined) {
        return Result.fail(foreign(stream, json, "it has both step and sampling"))
      }
      return step === undefined && sampling === undefined
        ? Result.fail(foreign(stream, json, "step is missing or wrong"))
        : Result.succeed(state)
    }
  )

const foreign = (stream: string, json: unknown, problem: string | undefined): ConfigError =>
  new ConfigError({
    message: `The saved state of the stream ${stream} is not one of this connector${problem === undefined ? "" : ` (${problem})`}: ${JSON.stringify(json)?.slice(0, 200)}. Expected {"time":"2026-01-01T00:00:00Z","step":3600,"version":1}, or "sampling":"raw" in place of step. Restore the state from the last sync, or clear the stream's state to read it from start_date again.`
  })
