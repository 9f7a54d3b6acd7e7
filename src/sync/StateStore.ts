/** The states of streams between syncs, as a service that reads and saves them: a platform, a file, or memory. */
import { Context, Effect, Layer, Schema } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import { decodeState, StateReader } from "./StateReader.ts"
import { encodeStreamState, type StreamState } from "./StreamState.ts"

/** A state could not be saved; `message` says of which stream, why, and what the next sync does. */
export class StateStoreError extends Schema.TaggedError<StateStoreError>()("StateStoreError", {
  message: Schema.String
}) {}

/** What to save once all samples before it have been written. Every `Checkpoint` of a read is one. */
export interface Checkpoint {
  readonly stream: string
  readonly state: StreamState
  /** How many samples the read emitted since the stream's previous checkpoint. */
  readonly recordCount: number
}

/** Reads and saves the states of all streams of a connection. Each of its layers provides a `StateReader`, too. */
export class StateStore extends Context.Service<
  StateStore,
  StateReader["Service"] & {
    /** Saves a state. Call it only after everything that the state stands for has been written. */
    readonly save: (checkpoint: Checkpoint) => Effect.Effect<void, StateStoreError>
  }
>()("source-prometheus/sync/StateStore") {
  /** A store that an effect makes. */
  static readonly layer = <E, R>(
    make: Effect.Effect<StateStore["Service"], E, R>
  ): Layer.Layer<StateStore | StateReader, E, R> =>
    Layer.effectContext(
      Effect.map(make, (store) => Context.make(StateStore, store).pipe(Context.add(StateReader, store)))
    )

  /**
   * Over anything that keeps JSON by a name: a table, a file, a key-value store. `load` returns undefined for a stream that has
   * no state yet. `save` fails with an error that has a message. To survive a crash between the two, save states in the
   * transaction of the samples.
   */
  static readonly layerJson = (kept: {
    readonly load: (stream: string) => Effect.Effect<unknown, ConfigError>
    readonly save: (
      stream: string,
      state: unknown,
      recordCount: number
    ) => Effect.Effect<void, { readonly message: string }>
  }): Layer.Layer<StateStore | StateReader> =>
    StateStore.layer(
      Effect.succeed({
        load: (stream) => Effect.flatMap(kept.load(stream), (json) => decodeState(stream, json)),
        save: ({ recordCount, state, stream }) =>
          Effect.mapError(
            kept.save(stream, encodeStreamState(state), recordCount),
            ({ message }) =>
              new StateStoreError({
                message: `The state of the stream ${stream} (up to ${state.time}) could not be saved: ${message.replace(/\.?$/, ".")} The next sync reads again what came after the last saved state.`
              })
          )
      })
    )

  /** In memory, for tests and for programs that keep states elsewhere. Starts with the states given, as JSON. */
  static readonly layerMemory = (
    initial: Iterable<readonly [stream: string, state: unknown]> = []
  ): Layer.Layer<StateStore | StateReader> =>
    StateStore.layer(
      Effect.sync(() => {
        const states = new Map(initial)
        return {
          load: (stream) => Effect.suspend(() => decodeState(stream, states.get(stream))),
          save: ({ state, stream }) => Effect.sync(() => void states.set(stream, encodeStreamState(state)))
        }
      })
    )
}
