/** The value of `--cluster`. */
import { Result } from "effect"
import { secretIn } from "../postgres/connection.ts"
import type { ClusterAddress } from "./PartQueue.ts"

/** Where a password belongs, for a sentence. */
export const PASSWORD_PLACES = "the environment variable PGPASSWORD or the file ~/.pgpass (or PGPASSFILE)"

/** Parses the URL of a PostgreSQL database. Fails with a sentence for the user, which does not repeat a password. */
export const parseClusterAddress = (text: string): Result.Result<ClusterAddress, string> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !["postgres:", "postgresql:"].includes(url.protocol)) {
    return Result.fail(
      "--cluster must be the URL of a PostgreSQL database, such as postgresql://user@host:5432/database."
    )
  }
  const secret = secretIn(
    "--cluster",
    [...url.searchParams, ...(url.password === "" ? [] : ([["password", ""]] as const))],
    PASSWORD_PLACES
  )
  if (secret !== undefined) return Result.fail(secret)
  const texts = [url.pathname, url.username, url.hostname].map(decoded)
  if (texts.includes(undefined)) {
    return Result.fail("--cluster has a percent sign that encodes nothing: write %25 for the sign itself.")
  }
  const name = texts[0]?.slice(1) || url.searchParams.get("dbname") || url.username
  return Result.succeed({ url: text, text: `postgresql://${url.host}/${name}` })
}

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
