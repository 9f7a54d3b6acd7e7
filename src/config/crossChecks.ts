/** Checks that concern several keys, or how values are sent. Invalid keys are absent here. */
import { Redacted } from "effect"
import type { Config } from "./keys.ts"
import { parseMoment } from "./times.ts"
import { tlsProblems } from "./tlsChecks.ts"

type Check = (config: Partial<Config>) => ReadonlyArray<string>

/** The problems, as sentences. */
export const crossProblems: Check = (config) => [
  ...authProblems(config),
  ...dateProblems(config),
  ...headerProblems(config),
  ...tlsProblems(config)
]

/** More than HTTP servers accept for all headers together, and the most that the mask of secrets can handle. */
const MAX_HEADER_CHARACTERS = 16_384

/** A longer text is usually the wrong file. */
const lengthProblems = (path: string, { length }: string): ReadonlyArray<string> =>
  length <= MAX_HEADER_CHARACTERS
    ? []
    : [
        `${path} has ${length} characters, but must have at most ${MAX_HEADER_CHARACTERS}, because it is sent in an HTTP header.`
      ]

const authProblems: Check = ({ basic_auth_pass: password, basic_auth_user: user }) => {
  if ((user === undefined) === (password === undefined)) {
    return [
      ...lengthProblems("basic_auth_user", user ?? ""),
      ...lengthProblems("basic_auth_pass", password === undefined ? "" : Redacted.value(password))
    ]
  }
  const [present, absent] =
    password === undefined ? ["basic_auth_user", "basic_auth_pass"] : ["basic_auth_pass", "basic_auth_user"]
  return [`${present} is set without ${absent}: basic authentication needs both, or set neither.`]
}

const dateProblems: Check = ({ end_date, start_date }) =>
  start_date !== undefined && end_date !== undefined && parseMoment(end_date) < parseMoment(start_date)
    ? [`end_date is ${end_date}, but must not be before start_date ${start_date}.`]
    : []

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

/** An invalid name is not quoted, because a user may have entered the secret value there. */
const headerProblems: Check = ({ basic_auth_user, headers = [] }) => {
  const indexes = new Map<string, number>()
  return headers.flatMap(({ name, value: redacted }, index) => {
    const path = `headers[${index}]`
    const value = Redacted.value(redacted)
    const key = name.toLowerCase()
    const refused = refusedHeaders.get(key)
    const first = indexes.get(key)
    indexes.set(key, first ?? index)
    const problems: ReadonlyArray<string | false> = [
      !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) &&
        `${path}.name is not a valid HTTP header name: use letters, digits and -, such as X-Scope-OrgID.`,
      refused !== undefined && `${path}.name is ${name}, which ${refused}: remove it.`,
      first !== undefined && `${path}.name is the same as headers[${first}].name: remove one of them.`,
      key === "authorization" &&
        basic_auth_user !== undefined &&
        `${path}.name is ${name}, which basic_auth_user and basic_auth_pass set too: remove one of them.`,
      !/^[\t\x20-\x7e\x80-\xff]*$/.test(value) &&
        `${path}.value ${/^[^\r\n]*[\r\n]+$/.test(value) ? "ends with a line feed, which is" : "has characters that are"} not allowed in an HTTP header (its value is not shown).`
    ]
    return [
      ...problems.filter((problem) => problem !== false),
      ...lengthProblems(`${path}.name`, name),
      ...lengthProblems(`${path}.value`, value)
    ]
  })
}
