/** The state that a platform saves: read from its state file, written as STATE messages. */
import { Effect, type FileSystem, Layer, Option, Predicate, Schema } from "effect"
import { ConfigError } from "../config/ConnectorConfig.ts"
import { type InputFileError, readJsonFile } from "../config/inputFile.ts"
import { type StateReader, StateStore } from "../sync/StateStore.ts"
import { Output } from "./Output.ts"
import { type AirbyteMessage, FULL_REFRESH_COMPLETE, NO_CURSOR_STATE, StateEntry } from "./Protocol.ts"

/** The message with a stream's state. `recordCount` is the number of records since the stream's previous state. */
export const stateMessage = (name: string, state: object, recordCount: number): AirbyteMessage => ({
  type: "STATE",
  state: {
    type: "STREAM",
    stream: { stream_descriptor: { name }, stream_state: state },
    sourceStats: { recordCount }
  }
})

/** A `StateStore` that starts with the states of a file, if there is one, and saves to the `Output`. */
export const layer = (
  path: Option.Option<string>
): Layer.Layer<StateStore | StateReader, ConfigError | InputFileError, FileSystem.FileSystem | Output> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const output = yield* Output
      const saved = Option.isSome(path)
        ? yield* parseStates(path.value, yield* readJsonFile(path.value, "state"))
        : new Map<string, unknown>()
      return StateStore.layerJson({
        load: (stream) => Effect.succeed(saved.get(stream)),
        save: (stream, state, recordCount) =>
          Effect.sync(() => output.message(stateMessage(stream, state, recordCount)))
      })
    })
  )

const decodeEntry = Schema.decodeUnknownOption(StateEntry)

/** States by stream. The state of a complete refresh and a platform's marker for "no state" both count as no state. */
const parseStates = Effect.fnUntraced(function* (path: string, json: unknown) {
  const states = new Map<string, unknown>()
  const isNone = json === null || (Predicate.isObject(json) && Object.keys(json).length === 0)
  if (isNone) return states
  const wrong = (what: string) =>
    new ConfigError({
      message: `The state file ${path} ${what}. Expected a list of states of type STREAM, as this connector wrote them; clear the state to start again.`
    })
  if (!Array.isArray(json)) return yield* wrong("is not a list of states")
  for (const [index, entry] of json.entries()) {
    const decoded = decodeEntry(entry)
    if (Option.isNone(decoded)) return yield* wrong(`has an entry (number ${index + 1}) of another shape`)
    const { stream_descriptor, stream_state } = decoded.value.stream
    // Of several entries for a stream the last one counts, even if it means "no state".
    if (stream_state === null || stream_state === undefined || isNoState(stream_state)) {
      states.delete(stream_descriptor.name)
    } else states.set(stream_descriptor.name, stream_state)
  }
  return states
})

const isNoState = (state: Readonly<Record<string, unknown>>): boolean =>
  Object.keys(state).length === 0 || state[FULL_REFRESH_COMPLETE] === true || state[NO_CURSOR_STATE] === true
