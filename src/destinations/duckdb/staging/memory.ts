/** How much memory DuckDB may use, and what is said where that is too little. */

/** The default for what it holds, in megabytes; the rest of the process comes on top. */
export const DEFAULT_MEMORY_MEGABYTES = 256

/** What to do about an error of DuckDB's, if it is that its memory is too small; `path` could not be written. */
export const memorySentence = (path: string, megabytes: number, text: string): string | undefined =>
  /out of memory/i.test(text)
    ? `${path} cannot be written in the memory that DuckDB is given, ${megabytes} MB: ${text.split("\n")[0]}. Give it more with --memory, and run again: what was committed is kept.`
    : undefined
