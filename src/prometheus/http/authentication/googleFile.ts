/** Files of Google's credentials on this machine: where they are, and what they contain. */
import { existsSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Predicate } from "effect"
import { keyProblems } from "../../../config/serviceAccountKey.ts"
import { PrometheusError } from "../../PrometheusError.ts"
import { causeText } from "../transportError.ts"

/** Credentials as Google's tools write them. */
export interface GoogleCredentials {
  readonly json: GoogleJson
  /** What sets them, in messages: a key, or a variable. */
  readonly origin: string
}

/** The content of such a file. The type says which members it has. */
export interface GoogleJson {
  readonly type: string
  readonly [member: string]: unknown
}

/** The variables of this process. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The variable that names a file with credentials. */
export const FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"

/** The file that `gcloud auth application-default login` writes. */
const gcloudFile = (environment: Environment): string | undefined => {
  const name = "application_default_credentials.json"
  if (environment.CLOUDSDK_CONFIG) return join(environment.CLOUDSDK_CONFIG, name)
  if (process.platform === "win32") return environment.APPDATA && join(environment.APPDATA, "gcloud", name)
  return environment.HOME && join(environment.HOME, ".config", "gcloud", name)
}

/** The credentials in a file of this machine, if there is one. It is read each time: its content may be renewed. */
export const readCredentials = Effect.fnUntraced(function* (
  environment: Environment
): Effect.fn.Return<GoogleCredentials | undefined, PrometheusError> {
  const named = environment[FILE_VARIABLE]
  if (named) return yield* parse(yield* read(named, FILE_VARIABLE), `${FILE_VARIABLE} (${named})`)
  const path = gcloudFile(environment)
  // A folder that this user may not enter belongs to another user.
  return path === undefined || !existsSync(path)
    ? undefined
    : yield* parse(yield* read(path, "gcloud"), `gcloud (${path})`)
})

const read = (path: string, origin: string) =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) =>
      new PrometheusError({
        reason: "Unauthorized",
        summary: `The file with credentials of ${origin}, ${path}, cannot be read (${causeText(cause)}).`,
        advice: `Set ${FILE_VARIABLE} to a file that this program may read, or set authentication.service_account_key.`
      })
  })

const parse = (text: string, origin: string): Effect.Effect<GoogleCredentials, PrometheusError> => {
  const fail = (problem: string) =>
    Effect.fail(
      new PrometheusError({
        reason: "Unauthorized",
        summary: `The credentials of ${origin} cannot be used: ${problem}.`,
        advice: `Set ${FILE_VARIABLE} to the path of a file with the JSON key of a service account, or set authentication.service_account_key to its content.`
      })
    )
  const json = parseJson(text.replace(/^\uFEFF/, ""))
  if (json === undefined) return fail("the file is not JSON")
  const problems = problemsOf(json)
  return problems.length === 0
    ? Effect.succeed({ json: json as GoogleJson, origin })
    : fail(problems.join(", and "))
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What credentials of each type must have. */
const required: Readonly<Record<string, ReadonlyArray<string>>> = {
  service_account: [],
  authorized_user: ["client_id", "client_secret", "refresh_token"],
  external_account: ["audience", "subject_token_type", "token_url", "credential_source"],
  external_account_authorized_user: ["audience", "refresh_token", "token_url", "client_id", "client_secret"],
  impersonated_service_account: ["service_account_impersonation_url", "source_credentials"]
}

/** What is wrong with credentials, as clauses. */
const problemsOf = (json: unknown): ReadonlyArray<string> => {
  if (!Predicate.isReadonlyObject(json)) return ["they are JSON, but not an object"]
  const { type } = json
  if (typeof type !== "string" || !Object.hasOwn(required, type)) {
    return [`their type must be one of ${Object.keys(required).join(", ")}`]
  }
  if (type === "service_account") return keyProblems(json)
  const missing = (required[type] ?? []).filter((name) => !json[name])
  if (missing.length > 0) return missing.map((name) => `they have no ${name}`)
  return type === "impersonated_service_account"
    ? problemsOf(json.source_credentials).map((problem) => `in source_credentials, ${problem}`)
    : []
}
