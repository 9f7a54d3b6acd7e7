/** The states of streams between syncs, as services that read and save them: on a platform, in a file, or in memory. */
import { Context, Effect, Layer, Option, Result, Schema } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import { endSentence } from "../text/excerpt.ts"
import { decodeStreamState, encodeStreamState, type StreamState } from "./StreamState.ts"

/** Reads the states of streams: all that a read needs to resume. */
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

/** A state could not be saved. `message` names the stream, the reason, and the effect on the next sync. */
export class StateStoreError extends Schema.TaggedError<StateStoreError>()("StateStoreError", {
  message: Schema.String
}) {}

/** The state to save once all samples before it have been written. Every `Checkpoint` of a read is one. */
export interface Checkpoint {
  readonly stream: string
  readonly state: StreamState
  /** How many samples the read emitted since the stream's previous checkpoint. */
  readonly recordCount: number
}

/** Reads and saves the states of all streams of a connection. Each of its layers also provides a `StateReader`. */
export class StateStore extends Context.Service<
  StateStore,
  StateReader["Service"] & {
    /** Saves a state. Call it only after all samples that the state covers have been written. */
    readonly save: (checkpoint: Checkpoint) => Effect.Effect<void, StateStoreError>
  }
>()("source-prometheus/sync/StateStore") {
  /**
   * A store on anything that keeps JSON by name: a table, a file, a key-value store. `load` returns undefined for a stream
   * without a state. `save` fails with an error that has a message. To survive a crash between the two, save states in the
   * transaction of the samples.
   */
  static readonly layerJson = (kept: {
    readonly load: (stream: string) => Effect.Effect<unknown, ConfigError>
    readonly save: (
      stream: string,
      state: object,
      recordCount: number
    ) => Effect.Effect<void, { readonly message: string }>
  }): Layer.Layer<StateStore | StateReader> =>
    Layer.effect(
      StateStore,
      Effect.map(StateReader, ({ load }) => ({
        load,
        save: ({ recordCount, state, stream }) =>
          Effect.mapError(
            kept.save(stream, encodeStreamState(state), recordCount),
            ({ message }) =>
              new StateStoreError({
                message: `The state of the stream ${stream} (up to ${state.time}) could not be saved: ${endSentence(message)} The next sync reads again what came after the last saved state.`
              })
          )
      }))
    ).pipe(Layer.provideMerge(StateReader.layerJson(kept.load)))

  /** In memory, for tests and for programs that keep states elsewhere. Starts with the given states, as JSON. */
  static readonly layerMemory = (
    initial: Iterable<readonly [stream: string, state: unknown]> = []
  ): Layer.Layer<StateStore | StateReader> =>
    Layer.suspend(() => {
      const states = new Map(initial)
      return StateStore.layerJson({
        load: (stream) => Effect.sync(() => states.get(stream)),
        save: (stream, state) => Effect.sync(() => void states.set(stream, state))
      })
    })
}
