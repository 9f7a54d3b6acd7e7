/** The address of a schema in PostgreSQL, in the forms of libpq: a URL, or key words and values. */
import { Result } from "effect"

/** The schema for tables if the address names none. */
const DEFAULT_SCHEMA = "prometheus"

/** The longest name of PostgreSQL in bytes. */
export const MAX_NAME_BYTES = 63

export interface Address {
  /** What libpq connects to: the address without the schema. It has no password. */
  readonly connection: string
  readonly schema: string
}

/** Where a password belongs instead. */
const PLACES =
  "Put it into the variable PGPASSWORD, or into a password file (~/.pgpass, or PGPASSFILE) or a service file (~/.pg_service.conf)."

/** The parameters of libpq that are secret. */
const SECRETS: ReadonlySet<string> = new Set(["password", "sslpassword", "oauth_client_secret"])

/**
 * Reads the text after `postgres:`, such as `postgresql://user@host:5432/db?schema=metrics` or `host=db dbname=metrics`. Fails with
 * a sentence that does not quote the text, because it may contain a password.
 */
export const parseAddress = (text: string): Result.Result<Address, string> => {
  const url = /^(?:postgres(?:ql)?:)?(\/\/.*)$/is.exec(text)?.[1]
  const parsed = url === undefined ? parseWords(text) : parseUrl(url)
  return Result.flatMap(parsed, ({ connection, parameters }) => {
    const secret = parameters.find(([name]) => SECRETS.has(name.toLowerCase()))?.[0]
    if (secret !== undefined) {
      const word = secret.toLowerCase() === "password" ? "password" : `value of ${secret}`
      return Result.fail(
        `The address after postgres: has a ${word}, which other users of this machine would see in the list of processes. ${PLACES}`
      )
    }
    const schema = parameters.findLast(([name]) => name === "schema")?.[1] ?? DEFAULT_SCHEMA
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
  })
}

interface Parsed {
  readonly connection: string
  readonly parameters: ReadonlyArray<readonly [name: string, value: string]>
}

/** libpq's URLs may have several hosts, which the standard's do not. */
const parseUrl = (text: string): Result.Result<Parsed, string> => {
  const [, authority = "", path = "", query] = /^\/\/([^/?]*)([^?]*)(?:\?(.*))?$/s.exec(text) ?? []
  const parts = (query ?? "").split("&").filter((part) => part !== "")
  try {
    const parameters = parts.map((part): readonly [string, string] => {
      const equals = part.indexOf("=")
      const [name, value] = equals < 0 ? [part, ""] : [part.slice(0, equals), part.slice(equals + 1)]
      return [decodeURIComponent(name), decodeURIComponent(value)]
    })
    const at = authority.lastIndexOf("@")
    const user = at < 0 ? "" : authority.slice(0, at)
    const kept = parts.filter((_, index) => parameters[index]![0] !== "schema")
    return Result.succeed({
      connection: `postgresql://${authority}${path}${kept.length === 0 ? "" : `?${kept.join("&")}`}`,
      parameters: user.includes(":") ? [...parameters, ["password", ""]] : parameters
    })
  } catch {
    return Result.fail("The address after postgres: has a % that does not begin an escape such as %20.")
  }
}

/** A key word, and its value: quoted, or without spaces. */
const WORD = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)\s*/iy

const parseWords = (text: string): Result.Result<Parsed, string> => {
  const parameters: Array<readonly [string, string]> = []
  let kept = ""
  WORD.lastIndex = 0
  while (WORD.lastIndex < text.length) {
    const found = WORD.exec(text)
    if (found === null) {
      return Result.fail(
        "The address after postgres: must be a URL such as postgresql://user@host:5432/database?schema=metrics, or key words such as host=localhost dbname=metrics."
      )
    }
    const [all, name = "", quoted, plain] = found
    parameters.push([name, (quoted ?? plain ?? "").replace(/\\(.)/gs, "$1")])
    if (name !== "schema") kept += all
    if (WORD.lastIndex === 0) break
  }
  return Result.succeed({ connection: kept.trim(), parameters })
}

/**
 * How long a host may take to accept a connection, and when it is noticed that it is gone: after a minute and a half. Without these,
 * libpq waits for ever, or for hours.
 */
const waits: Readonly<Record<string, string>> = {
  connect_timeout: "30",
  keepalives_idle: "30",
  keepalives_interval: "15",
  keepalives_count: "4"
}

/**
 * The connection with the name of this process, for the server's list of connections, and with limits for what it waits for. What
 * the address, a service or the environment says comes first, except for the encoding of the texts that DuckDB sends.
 */
export const withDefaults = (
  connection: string,
  name: string,
  env: Readonly<Record<string, string | undefined>> = process.env
): string => {
  const isUrl = connection.startsWith("postgresql://")
  const says = (parameter: string) => new RegExp(`(?:^|[\\s?&])${parameter}\\s*=`).test(connection)
  const hasService = says("service") || env.PGSERVICE !== undefined
  const more: Array<readonly [string, string]> = says("(?:fallback_)?application_name")
    ? []
    : [["application_name", name]]
  for (const wait of Object.entries(waits)) {
    const isElsewhere = wait[0] === "connect_timeout" && env.PGCONNECT_TIMEOUT !== undefined
    if (!says(wait[0]) && !hasService && !isElsewhere) more.push(wait)
  }
  more.push(["client_encoding", "UTF8"])
  return more.reduce(
    (all, [parameter, value]) =>
      isUrl
        ? `${all}${all.includes("?") ? "&" : "?"}${parameter}=${encodeURIComponent(value)}`
        : `${all} ${parameter}='${value.replace(/['\\]/g, "\\$&")}'`.trimStart(),
    connection
  )
}
