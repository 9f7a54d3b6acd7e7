/** The JSON key of a service account of Google. */
import { createPrivateKey } from "node:crypto"
import { Predicate, Result } from "effect"

/** The key, as far as it is used. */
export interface ServiceAccountKey {
  readonly client_email: string
  /** PEM text. */
  readonly private_key: string
  readonly private_key_id?: string
  readonly token_uri?: string
  readonly universe_domain?: string
  readonly quota_project_id?: string
}

/** Parses a key. A failure lists what is wrong with it, each as a clause such as "it is not JSON", without any of its content. */
export const parseServiceAccountKey = (
  text: string
): Result.Result<ServiceAccountKey, ReadonlyArray<string>> => {
  const trimmed = text.replace(/^\uFEFF/, "").trim()
  const json = parseJson(trimmed)
  if (json === undefined) return Result.fail([notJson(trimmed)])
  if (!Predicate.isReadonlyObject(json) || Array.isArray(json)) {
    return Result.fail([
      `it is JSON, but not an object${typeof json === "string" ? ": remove the quotation marks around it, and the backslashes" : ""}`
    ])
  }
  const problems = keyProblems(json)
  return problems.length === 0 ? Result.succeed(json as unknown as ServiceAccountKey) : Result.fail(problems)
}

/** What is wrong with the JSON of a key, as clauses. */
export const keyProblems = (json: Readonly<Record<string, unknown>>): ReadonlyArray<string> => {
  if (json.type !== "service_account") return [otherType(json)]
  return [
    ...textProblems(json, "client_email"),
    ...textProblems(json, "private_key", privateKeyProblem),
    ...optionalText(json, "private_key_id"),
    ...optionalText(json, "token_uri", (value) =>
      /^https?:$/.test(URL.parse(value)?.protocol ?? "")
        ? undefined
        : "its token_uri is not an http or https URL"
    ),
    ...optionalText(json, "universe_domain", (value) =>
      /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(value)
        ? undefined
        : "its universe_domain is not the name of a domain"
    ),
    ...optionalText(json, "quota_project_id", (value) =>
      /^[\x21-\x7e]+$/.test(value) ? undefined : "its quota_project_id is not the ID of a project"
    )
  ]
}

type Check = (value: string) => string | undefined

const textProblems = (
  json: Readonly<Record<string, unknown>>,
  name: string,
  check: Check = () => undefined
): ReadonlyArray<string> => {
  const value = json[name]
  if (value === undefined || value === null || value === "") return [`it has no ${name}`]
  if (typeof value !== "string") return [`its ${name} is not a text`]
  const problem = check(value)
  return problem === undefined ? [] : [problem]
}

const optionalText: typeof textProblems = (json, name, check) =>
  Object.hasOwn(json, name) ? textProblems(json, name, check) : []

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const notJson = (text: string): string => {
  if (text.startsWith("-----BEGIN ")) {
    return "it is PEM text: set it to the complete JSON that contains this private key"
  }
  if (/^[\w+/=\s-]+$/.test(text) && parseJson(Buffer.from(text, "base64").toString()) !== undefined) {
    return "it is JSON in Base64: decode it first"
  }
  if (!text.includes("{")) {
    return "it is not JSON: set it to the content of the file that Google issued, not to its name or to the ID of the key"
  }
  return "it is not JSON: set it to the complete content of the file that Google issued, without changes"
}

/** What other files of Google are, by their type. */
const otherTypes: Readonly<Record<string, string>> = {
  authorized_user: "the sign-in of a user",
  external_account: "a configuration of workload identity federation",
  external_account_authorized_user: "a configuration of workforce identity federation",
  gdch_service_account: "the key of a service account of Google Distributed Cloud",
  impersonated_service_account: "a configuration that impersonates a service account"
}

const otherType = (json: Readonly<Record<string, unknown>>): string => {
  const { type } = json
  if (typeof type === "string" && Object.hasOwn(otherTypes, type)) {
    return `it is ${otherTypes[type]} (${type}), not the key of a service account`
  }
  if (Object.hasOwn(json, "installed") || Object.hasOwn(json, "web")) {
    return "it is the client ID of an app for OAuth, not the key of a service account"
  }
  return type === undefined
    ? "it has no type, which must be service_account"
    : "its type is not service_account"
}

const privateKeyProblem: Check = (pem) => {
  if (!/^\s*-----BEGIN /.test(pem)) {
    return "its private_key is damaged: it must be PEM text that begins with -----BEGIN PRIVATE KEY-----"
  }
  if (/\\n/.test(pem))
    return "its private_key is damaged: its line feeds are escaped twice, as \\\\n instead of \\n"
  try {
    return createPrivateKey(pem).asymmetricKeyType === "rsa"
      ? undefined
      : "its private_key is not an RSA key, which service accounts have"
  } catch {
    return /ENCRYPTED/.test(pem)
      ? "its private_key is encrypted, which keys of service accounts are not"
      : "its private_key is damaged: it is not a complete PEM text with its line feeds"
  }
}

/** The secrets of a key, in the forms in which texts may repeat them. */
export const secretsOfPrivateKey = (pem: string): ReadonlyArray<string> => [
  pem,
  // A text may repeat single lines, or the key without its line feeds.
  ...pem.split(/[\r\n]+|\\n/).filter((line) => line.length >= MIN_SECRET_LINE && !line.startsWith("-----")),
  pem.replace(/-----[^-]*-----|\s|\\n/g, "")
]

/** A shorter line may occur in other texts. */
const MIN_SECRET_LINE = 16
