/** Where the state of streams is kept between syncs, as a service: a platform, a file, or memory. */
import { Context, Effect, Layer, Option, Result } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import { decodeStreamState, encodeStreamState, type StreamState } from "./StreamState.ts"

/** The states of all streams of a connection. */
export class StateStore extends Context.Service<
  StateStore,
  {
    /** The state a stream was left with, if any. Damaged or foreign state fails. */
    readonly load: (stream: string) => Effect.Effect<Option.Option<StreamState>, ConfigError>
    /**
     * Remembers a state. Only called once all that it stands for has been written; `recordCount` is how many
     * records that were since the stream's previous state.
     */
    readonly save: (stream: string, state: StreamState, recordCount: number) => Effect.Effect<void>
  }
>()("source-prometheus/sync/StateStore") {
  /**
   * Over whatever keeps JSON by a name: a table, a file, a key-value store. `load` answers undefined for a stream that has
   * no state yet. To be safe from a crash between the two, `save` belongs into the transaction of the samples.
   */
  static readonly layerJson = (kept: {
    readonly load: (stream: string) => Effect.Effect<unknown, ConfigError>
    readonly save: (stream: string, state: unknown, recordCount: number) => Effect.Effect<void>
  }): Layer.Layer<StateStore> =>
    Layer.succeed(StateStore, {
      load: (stream) =>
        Effect.flatMap(kept.load(stream), (state) => decodeFrom(new Map([[stream, state]]), stream)),
      save: (stream, state, recordCount) => kept.save(stream, encodeStreamState(state), recordCount)
    })

  /** In memory, for tests and for programs that keep state elsewhere. Starts with the states given. */
  static readonly layerMemory = (
    initial: Iterable<readonly [stream: string, state: unknown]> = []
  ): Layer.Layer<StateStore> =>
    Layer.effect(
      StateStore,
      Effect.gen(function* () {
        const states = yield* Effect.sync(() => new Map(initial))
        return StateStore.of({
          load: (stream) => Effect.suspend(() => decodeFrom(states, stream)),
          save: (stream, state) => Effect.sync(() => states.set(stream, state))
        })
      })
    )
}

/** One stream's state out of all that were saved. */
export const decodeFrom = (
  states: ReadonlyMap<string, unknown>,
  stream: string
): Effect.Effect<Option.Option<StreamState>, ConfigError> => {
  const state = states.get(stream)
  return state === undefined
    ? Effect.succeed(Option.none())
    : Effect.fromResult(Result.map(decodeStreamState(stream, state), Option.some))
}
