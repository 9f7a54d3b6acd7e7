/** DuckDB's default memory limit, and the advice if it is too low. */

/** The default memory limit for DuckDB's data, in megabytes. The rest of the process comes on top. */
export const DEFAULT_MEMORY_MEGABYTES = 256

/** What to do about an out-of-memory error of DuckDB; undefined for other errors. `path` could not be written. */
export const outOfMemoryAdvice = (path: string, megabytes: number, text: string): string | undefined =>
  /out of memory/i.test(text)
    ? `${path} cannot be written in the memory that DuckDB is given, ${megabytes} MB: ${text.split("\n")[0]}. Give it more with --memory, and run again: what was committed is kept.`
    : undefined
