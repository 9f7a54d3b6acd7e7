/** The saved states that a read resumes from, as a read-only service. */
import { Context, Effect, Layer, Option, Result } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import { decodeStreamState, type StreamState } from "./StreamState.ts"

/** Reads the states of streams. */
export class StateReader extends Context.Service<
  StateReader,
  {
    /** The last saved state of a stream, if there is one. Fails for a damaged or foreign state. */
    readonly load: (stream: string) => Effect.Effect<Option.Option<StreamState>, ConfigError>
  }
>()("source-prometheus/sync/StateReader") {
  /** Reads JSON by the name of a stream, from a table, a file or a key-value store. `load` returns undefined if there is none. */
  static readonly layerJson = (
    load: (stream: string) => Effect.Effect<unknown, ConfigError>
  ): Layer.Layer<StateReader> =>
    Layer.succeed(StateReader, {
      load: (stream) => Effect.flatMap(load(stream), (json) => decodeState(stream, json))
    })
}

/** Decodes a stream's JSON; none if it is undefined. */
export const decodeState = (
  stream: string,
  json: unknown
): Effect.Effect<Option.Option<StreamState>, ConfigError> =>
  json === undefined
    ? Effect.succeed(Option.none())
    : Effect.fromResult(Result.map(decodeStreamState(stream, json), Option.some))
