/** DuckDB's errors as sentences that say what to do. */
import type { DestinationError } from "../Destination.ts"
import { systemError } from "../folder/durably.ts"

/** What DuckDB writes to, and its memory limit. */
export interface ErrorContext {
  readonly path: string
  readonly memoryMegabytes: number
}

/** The codes of system errors, by the system's words in DuckDB's text. */
const systemErrors: ReadonlyArray<readonly [words: RegExp, code: string]> = [
  [/no space left|disk full|max_temp_directory_size/i, "ENOSPC"],
  [/disk quota exceeded/i, "EDQUOT"],
  [/file too large/i, "EFBIG"],
  [/permission denied/i, "EACCES"],
  [/read-only file system/i, "EROFS"],
  [/too many open files/i, "EMFILE"],
  [/input\/output error/i, "EIO"],
  [/stale file handle/i, "ESTALE"]
]

/** The text of an error. */
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** An error of DuckDB about files at a path. It is fatal if it concerns the entire folder. */
export const duckdbError = ({ memoryMegabytes, path }: ErrorContext, error: unknown): DestinationError => {
  const text = textOf(error)
  const [line] = text.split("\n")
  const code = systemErrors.find(([words]) => words.test(text))?.[1]
  const otherwise = /out of memory/i.test(text)
    ? `DuckDB needs more memory than its limit of ${memoryMegabytes} MB: ${line}. Raise it with --memory, and run again: what was committed is kept.`
    : text
  return systemError("written", path, code, otherwise)
}
