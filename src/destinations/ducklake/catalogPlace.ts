/** Where the catalog of a DuckLake is, in DuckLake's own words: the text after `ducklake:`. */
import { Result } from "effect"
import { parseConnection } from "../../postgres/connection.ts"

/** A catalog in a DuckDB file, or in PostgreSQL by a connection string or URL of its client library. */
export type Catalog =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "postgres"; readonly connection: string }

const isUrl = (text: string): boolean => /^postgres(ql)?:\/\//i.test(text)

/** Other databases that can have a catalog, and names that DuckDB takes for something else than a file. */
const otherCatalog = /^(sqlite|mysql|quack|md|motherduck|duckdb|:memory:)/i

/** Reads the place of a catalog. A path may have any name that no other kind of catalog has. */
export const catalogOf = (place: string): Catalog => {
  if (isUrl(place)) return { kind: "postgres", connection: place }
  const connection = /^postgres(?:ql)?:(.*)$/s.exec(place)?.[1]
  return connection === undefined
    ? { kind: "file", path: place }
    : { kind: "postgres", connection: connection.trim() }
}

/** Checks a place that is not a file. Undefined for a file. The sentence of a failure has no password in it. */
export const remoteCatalog = (place: string): Result.Result<string, string> | undefined => {
  if (otherCatalog.test(place) && /^[a-z]*:/i.test(place)) {
    return Result.fail(
      "The catalog of --to ducklake:CATALOG must be a file, or PostgreSQL: ducklake:postgres:dbname=DATABASE host=HOST."
    )
  }
  const catalog = catalogOf(place)
  return catalog.kind === "file" ? undefined : Result.map(connectionOf(catalog.connection), () => place)
}

/** A connection in the forms of libpq. The sentence of a failure has no password in it. */
export const connectionOf = (text: string): Result.Result<string, string> =>
  Result.map(
    parseConnection(text, "The address of PostgreSQL in --to", "ducklake:postgres:dbname=DATABASE host=HOST"),
    ({ connection }) => connection
  )
