/** What is remembered of a stream between syncs. */
import { createHash } from "node:crypto"
import { Predicate, Result, Schema, SchemaIssue } from "effect"
import { ConfigError } from "../config/ConnectorConfig.ts"
import { formatTime } from "../text/formatTime.ts"
import type { Span } from "./coverage.ts"

const Time = Schema.String.check(Schema.makeFilter((text: string) => isTime(text)))

/** More spans than this come of no start that a person moved. */
const MOST_SPANS = 1000

/** Everything up to and including `time` has been read, on a grid of `step` seconds. */
export class StreamState extends Schema.Class<StreamState>("StreamState")({
  /** The last grid point that is complete, `2026-01-01T00:00:00Z`. */
  time: Time,
  step: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  version: Schema.Literal(1),
  /** Set on the checkpoints of a full refresh: only another attempt of that refresh goes on from them. */
  full_refresh: Schema.optionalKey(Schema.Literal(true)),
  /** Which refresh that was, where the platform numbers them. */
  generation_id: Schema.optionalKey(Schema.Int),
  /**
   * The first and last grid points of what has been read, in the order of time. Only a `run` remembers that: it reads what lies
   * before where the start was moved back, while a platform's user clears the state.
   */
  read: Schema.optionalKey(
    Schema.Array(Schema.Tuple([Time, Time])).check(
      Schema.isMaxLength(MOST_SPANS),
      Schema.makeFilter((spans) => areInOrder(spans.flat()))
    )
  ),
  /** The selector that chose the series, where a `run` remembers it; empty for all. */
  selector: Schema.optionalKey(Schema.String),
  /** Stands for the labels that were left out of the rows, where a `run` remembers them; empty for none. Not even their names are written. */
  excluded_labels: Schema.optionalKey(Schema.String)
}) {
  /** Milliseconds since the epoch. */
  get timeMillis(): number {
    return Date.parse(this.time)
  }

  /** `read` in milliseconds. */
  get covered(): ReadonlyArray<Span> {
    return (this.read ?? []).map(([first, last]) => ({
      firstMillis: Date.parse(first),
      lastMillis: Date.parse(last)
    }))
  }
}

/** What stands for a set of labels in a state. */
export const labelsDigest = (labels: ReadonlySet<string>): string =>
  labels.size === 0
    ? ""
    : createHash("sha256")
        .update(JSON.stringify([...labels].sort()))
        .digest("hex")
        .slice(0, 32)

/** What has been read, as a state has it: the latest spans, should there be more than it may have. */
export const encodeSpans = (spans: ReadonlyArray<Span>): NonNullable<StreamState["read"]> =>
  spans
    .slice(-MOST_SPANS)
    .map(({ firstMillis, lastMillis }) => [formatTime(firstMillis), formatTime(lastMillis)] as const)

/** Whether no time is before the one in front of it. */
const areInOrder = (times: ReadonlyArray<string>): boolean =>
  times.every((time, index) => index === 0 || Date.parse(times[index - 1]!) <= Date.parse(time))

/** Whether a text is what `formatTime` writes: JavaScript itself reads 31 February, and much else, as a time. */
const isTime = (text: string): boolean => {
  const millis = Date.parse(text)
  return Number.isFinite(millis) && formatTime(millis) === text
}

/** A state as it is saved. */
export const encodeStreamState = Schema.encodeSync(StreamState)

/** Platforms write null for what a state does not have. */
const withoutNulls = (json: unknown): unknown =>
  Predicate.isObject(json) && !Array.isArray(json)
    ? Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null))
    : json

/** Reads a state that was saved earlier; damaged or foreign state is refused, never read as "start again". */
export const decodeStreamState = (stream: string, json: unknown): Result.Result<StreamState, ConfigError> =>
  Result.mapError(Schema.decodeUnknownResult(StreamState)(withoutNulls(json)), (error) => {
    const { path = [] } = SchemaIssue.makeFormatterStandardSchemaV1()(error.issue).issues[0] ?? {}
    const where = path.length === 0 ? "" : ` (${path.join(".")} is missing or wrong)`
    return new ConfigError({
      message: `The saved state of the stream ${stream} is not one of this connector${where}: ${JSON.stringify(json)?.slice(0, 200)}. Expected {"time":"2026-01-01T00:00:00Z","step":3600,"version":1}. Restore the state from the last sync, or clear the stream's state to read it from start_date again.`
    })
  })
