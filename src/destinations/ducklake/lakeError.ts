/** DuckDB's errors about a DuckLake as sentences that say what to do. */
import { DestinationError } from "../Destination.ts"
import { databaseError } from "../duckdb/databaseError.ts"
import { type ErrorContext, textOf } from "../tables/duckdbError.ts"

export interface LakeErrorContext extends ErrorContext {
  /** Replaces secrets. */
  readonly mask: (text: string) => string
}

/** Whether a transaction failed only because another one was faster. */
export const isConflict = (error: unknown): boolean =>
  /transaction conflict|conflict(s|ing)? (with|on)|exceeded the maximum retry count|could not serialize|deadlock detected/i.test(
    textOf(error)
  ) && !/conflicting lock/i.test(textOf(error))

/** An error of DuckDB about the DuckLake at a path. */
export const lakeError = (context: LakeErrorContext, error: unknown): DestinationError => {
  if (error instanceof DestinationError) return error
  const { mask, path } = context
  const text = mask(textOf(error))
  const refusal = refusalOf(text)
  if (refusal !== undefined) return new DestinationError({ message: `${path} ${refusal}`, isFatal: true })
  return databaseError(context, text)
}

const firstLine = (text: string): string => (text.split("\n")[0] ?? "").replace(/\.$/, "")

/** What failed outside of DuckDB; undefined for other errors. */
const refusalOf = (text: string): string | undefined => {
  if (
    /unable to connect to postgres|connection to server .* failed|could not translate host name/i.test(text)
  ) {
    const [, reason] = /((?:connection to server|could not)[^\n]*(?:\n[^\n]+)?)/i.exec(text) ?? []
    return `cannot be opened: PostgreSQL cannot be reached: ${(reason ?? firstLine(text)).replaceAll("\n", " ").replace(/\.$/, "")}. Check its address, and PGUSER, PGPASSWORD or the password file (~/.pgpass).`
  }
  if (
    /server closed the connection|terminating connection|connection not open|no connection to the server/i.test(
      text
    )
  ) {
    return `cannot be written: the connection to PostgreSQL was lost: ${firstLine(text)}. Run again: what was committed is kept.`
  }
  if (
    /(NoSuchBucket|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|HTTP (GET|PUT|POST|HEAD|DELETE)|HTTP Error|HTTP code \d)/.test(
      text
    )
  ) {
    return `cannot be written: the object store refuses or does not respond: ${text
      .replace(/\s*\n\s*/g, " ")
      .slice(0, 400)
      .replace(
        /\.$/,
        ""
      )}. Check the bucket, the credentials and the region (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3), and run again: what was committed is kept.`
  }
  return undefined
}
