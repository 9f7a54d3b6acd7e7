/** Checks of the key `headers`. */
import { Redacted } from "effect"
import { methodNameOf } from "./authenticationChecks.ts"
import type { Check, PartialConfig } from "./Check.ts"
import { headerProblems, lengthProblems, MAX_HEADER_CHARACTERS } from "./headerText.ts"

const byConnection = "is set by the connection itself"
const byRequest = "describes the request itself"
const forParts = "would make the server omit data"

/**
 * Headers that are refused, and why. Headers for proxies are allowed: `Cookie`, and `Proxy-Authorization`, which Google's proxy
 * accepts in addition to the server's own `Authorization`.
 */
const refusedHeaders: ReadonlyMap<string, string> = new Map([
  ["accept-encoding", `${byConnection}, by the key compression`],
  ["connection", byConnection],
  ["content-encoding", byRequest],
  ["content-length", byConnection],
  ["content-type", byRequest],
  ["expect", byConnection],
  ["host", "follows from base_url"],
  ["http2-settings", byConnection],
  ["if-match", forParts],
  ["if-modified-since", forParts],
  ["if-none-match", forParts],
  ["if-range", forParts],
  ["if-unmodified-since", forParts],
  ["keep-alive", byConnection],
  ["proxy-connection", byConnection],
  ["range", forParts],
  ["te", byConnection],
  ["trailer", byConnection],
  ["transfer-encoding", byConnection],
  ["upgrade", byConnection]
])

/** The headers that a signature of AWS sets besides `Authorization`. */
const signedHeaders: ReadonlySet<string> = new Set([
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-security-token"
])

/** The keys that set a header, too. */
const settersOf = (config: PartialConfig, header: string): string | undefined => {
  const method = methodNameOf(config)
  if (header === "authorization") {
    if (config.basic_auth_user !== undefined) return "basic_auth_user and basic_auth_pass set"
    if (method !== undefined) return `authentication (${method}) sets`
  }
  return method === "aws_sigv4" && signedHeaders.has(header) ? `authentication (${method}) sets` : undefined
}

/** An invalid name is not quoted, because a user may have entered the secret value there. */
export const headerListProblems: Check = (config) => {
  const { headers = [] } = config
  const indexes = new Map<string, number>()
  const problems = headers.flatMap(({ name, value: redacted }, index) => {
    const path = `headers[${index}]`
    const key = name.toLowerCase()
    const refused = refusedHeaders.get(key)
    const setters = settersOf(config, key)
    const first = indexes.get(key)
    indexes.set(key, first ?? index)
    const problems: ReadonlyArray<string | false> = [
      !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) &&
        `${path}.name is not a valid HTTP header name: use letters, digits and -, such as X-Scope-OrgID.`,
      refused !== undefined && `${path}.name is ${name}, which ${refused}: remove it.`,
      first !== undefined && `${path}.name is the same as headers[${first}].name: remove one of them.`,
      setters !== undefined && `${path}.name is ${name}, which ${setters} too: remove one of them.`
    ]
    return [
      ...problems.filter((problem) => problem !== false),
      ...lengthProblems(`${path}.name`, name),
      ...headerProblems(`${path}.value`, Redacted.value(redacted), /^[\t\x20-\x7e\x80-\xff]*$/)
    ]
  })
  const total = headers.reduce((sum, { value }) => sum + Redacted.value(value).length, 0)
  return problems.length === 0 && total > MAX_HEADER_CHARACTERS
    ? [
        `the values of headers have ${total} characters together, but must have at most ${MAX_HEADER_CHARACTERS}, because servers refuse more.`
      ]
    : problems
}
