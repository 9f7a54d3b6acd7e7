/** Errors of a DuckDB file as sentences that say what to do. */
import { DestinationError } from "../Destination.ts"
import { duckdbError, type ErrorContext, textOf } from "../tables/duckdbError.ts"

/** Texts of errors that concern the complete database. An error of the file may be wrapped in an error of a commit. */
const fatal =
  /^(IO|FATAL|INTERNAL|Permission|Connection) Error|has been invalidated|could not (open|read|write|sync|truncate|create) file|file too large|corrupt|permission denied|read-only|connection (is )?(closed|disconnected)/i

/** An error of DuckDB about the database at a path. */
export const databaseError = (context: ErrorContext, error: unknown): DestinationError => {
  const text = textOf(error)
  const { isFatal = fatal.test(text), message } = duckdbError(context, error)
  const refusal = refusalOf(text)
  return new DestinationError({
    message: refusal === undefined ? message : `${context.path} ${refusal}`,
    ...(isFatal ? { isFatal } : {})
  })
}

/** Why DuckDB does not open a file; undefined for other errors. */
const refusalOf = (text: string): string | undefined => {
  const [line] = text.split("\n")
  const lock =
    /Conflicting lock is held(?: in (.+?))?(?: \(PID (\d+)\))?(?: by user .+?)?\. (?:See|However)/.exec(text)
  if (lock !== null || /could not set lock on file|used by another process/i.test(text)) {
    const program = lock?.[1] === undefined ? "" : ` (${lock[1]})`
    const who = lock?.[2] === undefined ? `another process${program}` : `process ${lock[2]}${program}`
    return `is in use by ${who}. Wait for its end or close the file there, or choose another file.`
  }
  if (text.includes("not a valid DuckDB database file")) {
    return "is not a DuckDB database. Choose another file."
  }
  if (/database file with version number|created with a (newer|older)/i.test(text)) {
    return `was written by a version of DuckDB that this one does not understand: ${line} Choose another file.`
  }
  if (/corrupt database file/i.test(text)) {
    return `is damaged: ${line}. Restore the file from before, or choose another one.`
  }
  return undefined
}
