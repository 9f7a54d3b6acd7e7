/** The address of a schema in PostgreSQL: a connection, with the schema as one more parameter. */
import { Result } from "effect"
import { parseConnection } from "../../postgres/connection.ts"

/** The schema for tables if the address names none. */
const DEFAULT_SCHEMA = "prometheus"

/** The longest name of PostgreSQL in bytes. */
export const MAX_NAME_BYTES = 63

export interface Address {
  /** What libpq connects to: the address without the schema. It has no password. */
  readonly connection: string
  readonly schema: string
}

const EXAMPLE = "postgresql://user@host:5432/database?schema=metrics or host=localhost dbname=metrics"

/**
 * Reads the text after `postgres:`, such as `postgresql://user@host:5432/db?schema=metrics` or `host=db dbname=metrics`. Fails with
 * a sentence that does not quote the text, because it may contain a password.
 */
export const parseAddress = (text: string): Result.Result<Address, string> =>
  Result.flatMap(
    parseConnection(text, "The address after postgres:", EXAMPLE, ["schema"]),
    ({ connection, own }) => {
      const schema = own.get("schema") ?? DEFAULT_SCHEMA
      if (schema === "" || schema.includes("\0") || Buffer.byteLength(schema) > MAX_NAME_BYTES) {
        return Result.fail(
          `The schema in the address after postgres: must have 1 to ${MAX_NAME_BYTES} bytes, such as schema=metrics.`
        )
      }
      if (/^pg_|^information_schema$/.test(schema)) {
        return Result.fail(
          `The schema ${JSON.stringify(schema)} is PostgreSQL's own. Choose another one, such as schema=metrics.`
        )
      }
      return Result.succeed({ connection, schema })
    }
  )
