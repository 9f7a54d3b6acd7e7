/** What is remembered of a stream between syncs. */
import { Predicate, Result, Schema, SchemaIssue } from "effect"
import { ConfigError } from "../ConnectorConfig.ts"
import { formatTime } from "../formatTime.ts"

/** Everything up to and including `time` has been read, on a grid of `step` seconds. */
export class StreamState extends Schema.Class<StreamState>("StreamState")({
  /** The last grid point that is complete, `2026-01-01T00:00:00Z`. */
  time: Schema.String.check(Schema.makeFilter((text: string) => isTime(text))),
  step: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  version: Schema.Literal(1),
  /** Set on the checkpoints of a full refresh: only another attempt of that refresh goes on from them. */
  full_refresh: Schema.optionalKey(Schema.Literal(true)),
  /** Which refresh that was, where the platform numbers them. */
  generation_id: Schema.optionalKey(Schema.Int)
}) {
  /** Milliseconds since the epoch. */
  get timeMillis(): number {
    return Date.parse(this.time)
  }
}

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
