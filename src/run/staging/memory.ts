/** How much memory DuckDB may use for what it holds unless told, in megabytes; the rest of the process comes on top. */
export const DEFAULT_MEMORY_MEGABYTES = 256
