/** Access keys of this machine and of roles. */
import { Clock, Effect, Predicate } from "effect"
import { endSentence, excerptLine } from "../../../text/excerpt.ts"
import { PrometheusError } from "../../PrometheusError.ts"
import type { Environment, FetchedKeys, NoKeys } from "./awsCredentials.ts"
import type { AwsKeys } from "./awsSignature.ts"
import { callLibrary } from "./libraryFetch.ts"
import type { AuthenticationContext } from "./Method.ts"
import { addressOf, fromTokenRefusal } from "./tokenServerError.ts"

/** What to fetch. */
export interface KeyRequest {
  readonly region: string
  readonly role: string | undefined
  readonly externalId: string | undefined
  /** The keys of the configuration, if it has some. */
  readonly configured: AwsKeys | undefined
  /** Whether this machine has provided keys before: if it has none now, it may have some in a moment. */
  readonly hasProvided: boolean
}

/** Fetches the keys of this machine, or takes those of the configuration, and assumes the role with them. */
export const fetchKeys = Effect.fnUntraced(function* (
  request: KeyRequest,
  context: AuthenticationContext
): Effect.fn.Return<FetchedKeys, PrometheusError> {
  const { configured, externalId, region, role } = request
  const { addSecret, mask } = context
  const environment: Environment = process.env
  const addressKey =
    ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"].find((name) => environment[name]) ?? "authentication.region"
  const nowMillis = yield* Clock.currentTimeMillis
  const addSecrets = ({ secretAccessKey, sessionToken }: AwsKeys) => {
    addSecret(secretAccessKey)
    if (sessionToken !== undefined) addSecret(sessionToken)
  }
  for (const name of SECRET_VARIABLES) if (environment[name]) addSecret(environment[name])
  let isAssuming = configured !== undefined
  let last: { readonly address: string; readonly status: number; readonly headers: Headers } | undefined
  return yield* callLibrary(
    context,
    { addressKey },
    async (fetch) => {
      const { machineKeys, roleKeys } = await import("./awsCredentials.ts")
      const observed: typeof fetch = async (input, init) => {
        const response = await fetch(input, init)
        last = { address: addressOf(String(input)), status: response.status, headers: response.headers }
        return response
      }
      const options = { region, environment, addSecret, fetch: observed }
      const own = configured ?? (await machineKeys(options))
      addSecrets(own)
      isAssuming = true
      const keys = role === undefined ? own : await roleKeys(own, role, externalId, options)
      addSecrets(keys)
      return { expiresAtMillis: undefined, ...keys }
    },
    (error) => {
      const text = mask(textOf(error))
      if (isNoKeys(error)) return noKeys(text, error.mayPass || request.hasProvided)
      const advice = adviceOn(text, request) ?? (isAssuming ? roleAdvice(externalId) : MACHINE_ADVICE)
      if (last !== undefined && last.status !== 200) {
        const status = /throttl|TooManyRequests|RequestLimit/i.test(text) ? 429 : last.status
        const refusal = { ...last, status, body: "", text, nowMillis }
        return fromTokenRefusal(refusal, { addressKey, mask, advice })
      }
      return new PrometheusError({
        reason: "Unauthorized",
        summary: endSentence(`The AWS credentials cannot be used: ${excerptLine(text)}`),
        advice
      })
    }
  )
})

const SECRET_VARIABLES = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"]

/** The module of the class is not loaded here. */
const isNoKeys = (error: unknown): error is NoKeys =>
  Predicate.hasProperty(error, "name") && error.name === "NoKeys"

/** The errors of AWS' services have a name, which their texts do not repeat. */
const textOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return "$metadata" in error ? `${error.name}: ${error.message}` : error.message
}

const SOURCES =
  "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile that AWS_PROFILE names, or a role of EC2, ECS or EKS"

const MACHINE_ADVICE = `Check the AWS credentials of this machine (${SOURCES}), or set authentication.access_key_id and authentication.secret_access_key.`

const noKeys = (details: string, mayPass: boolean) =>
  new PrometheusError({
    reason: mayPass ? "Unreachable" : "Unauthorized",
    summary: `There are no AWS credentials: authentication.access_key_id is not set, and this machine has none${details === "" ? "" : ` (${excerptLine(details)})`}.`,
    advice: `Set authentication.access_key_id and authentication.secret_access_key, or give this machine credentials: ${SOURCES}.`
  })

const roleAdvice = (externalId: string | undefined): string =>
  `Check authentication.role_arn, ${externalId === undefined ? "whether the role demands authentication.external_id" : "authentication.external_id"}, and that the role's trust policy lets these credentials assume it.`

/** What to do about keys that AWS does not accept. */
const adviceOn = (text: string, { configured }: KeyRequest): string | undefined => {
  if (
    !/^(ExpiredToken|InvalidClientTokenId|SignatureDoesNotMatch|UnrecognizedClient|IncompleteSignature)/.test(
      text
    )
  ) {
    return undefined
  }
  if (configured === undefined) return MACHINE_ADVICE
  return text.startsWith("ExpiredToken")
    ? "Set authentication.access_key_id, authentication.secret_access_key and authentication.session_token to keys that have not expired."
    : `Check authentication.access_key_id and authentication.secret_access_key${configured.sessionToken === undefined ? "" : ", authentication.session_token"}, and the clock of this machine.`
}
