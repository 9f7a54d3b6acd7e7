/** DuckDB's errors as sentences that say what to do. */
import { DestinationError } from "../Destination.ts"
import { outOfMemoryAdvice } from "./staging/memory.ts"

/** The context of an open database. */
export interface ErrorContext {
  readonly path: string
  readonly memoryMegabytes: number
}

/** An error of DuckDB about the database at a path. */
export const duckdbError = (context: ErrorContext, error: unknown): DestinationError => {
  const text = error instanceof Error ? error.message : String(error)
  return new DestinationError({
    message: sentence(context, text),
    ...(isFatal(text) ? { isFatal: true } : {})
  })
}

/** Whether an error concerns the complete database. An error of the file may be wrapped in an error of a commit. */
const isFatal = (text: string): boolean => isDiskFull(text) || fatal.test(text)

const fatal =
  /^(IO|FATAL|INTERNAL|Permission|Connection) Error|has been invalidated|could not (open|read|write|sync|truncate|create) file|input\/output error|too many open files|file too large|corrupt|permission denied|read-only|connection (is )?(closed|disconnected)/i

const isDiskFull = (text: string): boolean =>
  /no space left|disk full|max_temp_directory_size|disk quota/i.test(text)

const sentence = ({ memoryMegabytes, path }: ErrorContext, text: string): string => {
  const lock =
    /Conflicting lock is held(?: in (.+?))?(?: \(PID (\d+)\))?(?: by user .+?)?\. (?:See|However)/.exec(text)
  if (lock !== null || /could not set lock on file|used by another process/i.test(text)) {
    const program = lock?.[1] === undefined ? "" : ` (${lock[1]})`
    const who = lock?.[2] === undefined ? `another process${program}` : `process ${lock[2]}${program}`
    return `${path} is in use by ${who}. Wait for its end or close the file there, or choose another file.`
  }
  if (text.includes("not a valid DuckDB database file")) {
    return `${path} is not a DuckDB database. Choose another file.`
  }
  if (/database file with version number|created with a (newer|older)/i.test(text)) {
    return `${path} was written by a version of DuckDB that this one does not understand: ${text.split("\n")[0]} Choose another file.`
  }
  if (/corrupt database file/i.test(text)) {
    return `${path} is damaged: ${text.split("\n")[0]}. Restore the file from before, or choose another one.`
  }
  if (isDiskFull(text)) {
    return `${path} cannot be written: the disk is full. Make room and run again: what was committed is kept.`
  }
  if (/too many open files/i.test(text)) {
    return `${path} cannot be written: too many files are open. Raise the limit (ulimit -n) and run again: what was committed is kept.`
  }
  if (/file too large/i.test(text)) {
    return `${path} cannot be written: it would be larger than a file may be here. Raise the limit (ulimit -f), or choose another disk: what was committed is kept.`
  }
  if (/permission denied|read-only/i.test(text)) {
    return `${path} cannot be written: permission denied, or the disk is read-only. Allow it, or choose another file.`
  }
  return outOfMemoryAdvice(path, memoryMegabytes, text) ?? `${path} cannot be written: ${text}`
}
