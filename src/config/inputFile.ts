/** Files named on the command line. */
import { Effect, FileSystem, Predicate, Result, Schema } from "effect"
import { expandHome } from "../text/homePath.ts"

/** A file named on the command line cannot be read, or is not JSON. */
export class InputFileError extends Schema.TaggedError<InputFileError>()("InputFileError", {
  message: Schema.String
}) {}

/** Reads a file. `what` names its content in messages: "configuration". */
export const readTextFile = Effect.fnUntraced(function* (path: string, what: string) {
  const files = yield* FileSystem.FileSystem
  const failed = (why: string) =>
    new InputFileError({ message: `The ${what} file ${path} cannot be read: ${why}.` })
  const expanded = yield* Effect.fromResult(Result.mapError(expandHome(path), failed))
  // A pipe has no size.
  const size = yield* files.stat(expanded).pipe(
    Effect.map((info) => Number(info.size)),
    Effect.orElseSucceed(() => 0)
  )
  if (size > MAX_FILE_BYTES) {
    return yield* new InputFileError({
      message: `The ${what} file ${path} has ${Math.round(size / MEGABYTE)} MB, but must have at most ${MAX_FILE_BYTES / MEGABYTE} MB. Check that it is the right file.`
    })
  }
  return yield* files
    .readFileString(expanded)
    .pipe(Effect.mapError((error) => failed(reasonTexts[error.reason._tag] ?? error.message)))
})

const MEGABYTE = 1_000_000

/** A catalog of 100,000 streams is smaller than this. */
const MAX_FILE_BYTES = 400 * MEGABYTE

const reasonTexts: Readonly<Record<string, string>> = {
  NotFound: "it does not exist",
  PermissionDenied: "permission denied",
  BadResource: "it is not a file"
}

/** Reads a JSON file as `readTextFile` does. */
export const readJsonFile = Effect.fnUntraced(function* (path: string, what: string) {
  const text = yield* readTextFile(path, what)
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    // The parser's own message quotes the text, which may contain a secret.
    catch: (error) =>
      new InputFileError({ message: `The ${what} file ${path} is not JSON${whereBroken(text, error)}.` })
  })
  if (isTooDeep(json)) {
    return yield* new InputFileError({ message: `The ${what} file ${path} is ${TOO_DEEP}.` })
  }
  return json
})

const whereBroken = (text: string, error: unknown): string => {
  if (text.trim() === "") return ": it is empty"
  const position = /position (\d+)/.exec(String(error))?.[1]
  return position === undefined ? "" : ` (line ${text.slice(0, Number(position)).split("\n").length})`
}

/** No valid input is nested more deeply. Recursive code would overflow the stack. */
const MAX_DEPTH = 100

/** The error for input that is nested too deeply, as the end of a sentence. */
export const TOO_DEEP = `nested too deeply: at most ${MAX_DEPTH} levels of lists and objects are allowed`

/** Whether a JSON value is nested too deeply. */
export const isTooDeep = (json: unknown, depth = 0): boolean =>
  Predicate.isObjectOrArray(json) &&
  (depth > MAX_DEPTH || Object.values(json).some((inner) => isTooDeep(inner, depth + 1)))
