/** How to connect to PostgreSQL, in the forms of libpq: a URL, or key words and values. */
import { Result } from "effect"

/** Where a password belongs, for a sentence. */
export const PASSWORD_PLACES =
  "the variable PGPASSWORD, or into a password file (~/.pgpass, or PGPASSFILE) or a service file (~/.pg_service.conf)"

export interface Connection {
  /** What libpq connects to, without a password. */
  readonly connection: string
  /** Parameters of this program, which are not libpq's, by name. */
  readonly own: ReadonlyMap<string, string>
}

/** The parameters of libpq that are secret. */
const SECRETS: ReadonlySet<string> = new Set(["password", "sslpassword", "oauth_client_secret"])

/** A sentence about a secret in an address that `what` names; undefined if it has none. */
export const secretIn = (
  what: string,
  parameters: ReadonlyArray<readonly [name: string, value: string]>,
  places = PASSWORD_PLACES
): string | undefined => {
  const secret = parameters.find(([name]) => SECRETS.has(name.toLowerCase()))?.[0].toLowerCase()
  if (secret === undefined) return undefined
  const word = secret === "password" ? "password" : `value of ${secret}`
  return `${what} has a ${word}, which other users of this machine would see in the list of processes. Put it into ${places}.`
}

/**
 * Reads a connection such as `postgresql://user@host:5432/db` or `host=db dbname=metrics`, and takes parameters out of it that are
 * this program's own. Fails with a sentence that begins with `what`. It does not quote the text, which may contain a password.
 */
export const parseConnection = (
  text: string,
  what: string,
  example: string,
  own: ReadonlyArray<string> = []
): Result.Result<Connection, string> => {
  const url = /^(?:postgres(?:ql)?:)?(\/\/.*)$/is.exec(text)?.[1]
  const parsed = url === undefined ? parseWords(text, own) : parseUrl(url, own)
  if (typeof parsed === "string") {
    return Result.fail(`${what} ${parsed}${parsed.startsWith("must ") ? `, such as ${example}` : ""}.`)
  }
  const { connection, parameters } = parsed
  const secret = secretIn(what, parameters)
  return secret === undefined
    ? Result.succeed({ connection, own: new Map(parameters.filter(([name]) => own.includes(name))) })
    : Result.fail(secret)
}

interface Parsed {
  readonly connection: string
  readonly parameters: ReadonlyArray<readonly [name: string, value: string]>
}

/** libpq's URLs may have several hosts, which the standard's do not. */
const parseUrl = (text: string, own: ReadonlyArray<string>): Parsed | string => {
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
    const kept = parts.filter((_, index) => !own.includes(parameters[index]![0]))
    return {
      connection: `postgresql://${authority}${path}${kept.length === 0 ? "" : `?${kept.join("&")}`}`,
      parameters: user.includes(":") ? [...parameters, ["password", ""]] : parameters
    }
  } catch {
    return "has a % that does not begin an escape such as %20"
  }
}

/** A key word, and its value: quoted, or without spaces. */
const WORD = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)\s*/iy

const parseWords = (text: string, own: ReadonlyArray<string>): Parsed | string => {
  const parameters: Array<readonly [string, string]> = []
  let kept = ""
  WORD.lastIndex = 0
  while (WORD.lastIndex < text.length) {
    const found = WORD.exec(text)
    if (found === null) return "must be a URL, or key words"
    const [all, name = "", quoted, plain] = found
    parameters.push([name, (quoted ?? plain ?? "").replace(/\\(.)/gs, "$1")])
    if (!own.includes(name)) kept += all
    if (WORD.lastIndex === 0) break
  }
  return { connection: kept.trim(), parameters }
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
