/** Google Cloud: a token for the key of a service account, or for the credentials of the machine. */
import { Clock, Effect, Predicate, Redacted, Result, Schedule } from "effect"
import { HttpClientRequest } from "effect/http"
import type { AuthenticationOf } from "../../../config/ConnectorConfig.ts"
import {
  parseServiceAccountKey,
  type ServiceAccountKey,
  secretsOfPrivateKey
} from "../../../config/serviceAccountKey.ts"
import { excerptLine } from "../../../text/excerpt.ts"
import { PrometheusError } from "../../PrometheusError.ts"
import { isGoogle, isLoopback } from "../hosts.ts"
import { type Environment, FILE_VARIABLE, type GoogleCredentials, readCredentials } from "./googleFile.ts"
import { metadataToken, NoMetadataServer } from "./googleMetadata.ts"
import { callLibrary } from "./libraryFetch.ts"
import type { AuthenticationContext, Method } from "./Method.ts"
import { makeTokenSource, type Token } from "./TokenSource.ts"
import { addressOf, fromTokenRefusal } from "./tokenServerError.ts"

/** To read metrics, and nothing else. */
const SCOPE = "https://www.googleapis.com/auth/monitoring.read"

const KEY = "authentication.service_account_key"

/** The header that names the project whose quota a request counts for. */
const QUOTA_PROJECT = "x-goog-user-project"

/** A token from Google Cloud, in the header `Authorization`. */
export const google: Method<AuthenticationOf<"google">> = {
  sendsSecrets: true,
  keysToCheck: `${KEY}, or the credentials of this machine, whose account needs the role roles/monitoring.viewer, and headers`,
  derivedSecrets: (settings) => {
    const key = keyOf(settings)
    return key === undefined ? [] : secretsOfPrivateKey(key.private_key)
  },
  make: (settings, context) => {
    let quotaProject: string | undefined
    const key = keyOf(settings)
    const fetch = key === undefined ? machineToken(process.env, context) : tokenFor(ofKey(key), context)
    const source = makeTokenSource(
      Effect.tap(fetch, (token) => {
        if (!/^[\x21-\x7e]+$/.test(token.value)) return Effect.fail(invalidToken)
        quotaProject = token.quotaProject
        return Effect.void
      })
    )
    return {
      authenticate: (request) =>
        Effect.map(
          Effect.andThen(key === undefined ? mayHaveToken(request) : Effect.void, source.token),
          (token) =>
            HttpClientRequest.setHeaders(request, {
              ...(quotaProject === undefined ? {} : { [QUOTA_PROJECT]: quotaProject }),
              // One of the configuration is more deliberate.
              ...(QUOTA_PROJECT in request.headers
                ? { [QUOTA_PROJECT]: request.headers[QUOTA_PROJECT] }
                : {}),
              authorization: `Bearer ${token}`
            })
        ),
      renew: ({ request, status }) =>
        status === 401
          ? source.renew((request.headers.authorization ?? "").replace(/^Bearer /, ""))
          : Effect.succeed(false)
    }
  }
}

const invalidToken = new PrometheusError({
  reason: "Unauthorized",
  summary:
    "The token for Google Cloud has characters that are not allowed in an HTTP header (it is not shown).",
  advice: `Check which server issues it: GCE_METADATA_HOST, token_uri of ${KEY}, or that of the file of ${FILE_VARIABLE}.`
})

/** Who writes a configuration must not get the token of the machine that reads it: it is sent only to Google, or to this machine. */
const mayHaveToken = ({ url }: HttpClientRequest.HttpClientRequest): Effect.Effect<void, PrometheusError> => {
  const { host, hostname } = new URL(url)
  return isGoogle(hostname) || isLoopback(hostname)
    ? Effect.void
    : Effect.fail(
        new PrometheusError({
          reason: "Unauthorized",
          summary: `The token of this machine for Google Cloud is not sent to ${host}, which is no host of googleapis.com.`,
          advice: `Set base_url to an address of Google, such as https://monitoring.googleapis.com/v1/projects/PROJECT/location/global/prometheus, or set ${KEY}.`
        })
      )
}

/** The key of the configuration, which is checked there. */
const keyOf = ({ service_account_key }: AuthenticationOf<"google">): ServiceAccountKey | undefined =>
  service_account_key === undefined
    ? undefined
    : Result.getOrUndefined(parseServiceAccountKey(Redacted.value(service_account_key)))

const ofKey = (key: ServiceAccountKey): GoogleCredentials => ({
  json: { ...key, type: "service_account" },
  origin: KEY
})

interface GoogleToken extends Token {
  readonly quotaProject: string | undefined
}

/** A token for the credentials of the machine, which are searched in the same order as Google's own tools search them. */
const machineToken = (
  environment: Environment,
  context: AuthenticationContext
): Effect.Effect<GoogleToken, PrometheusError> => {
  let hasMetadataServer = false
  const fromMetadata = metadataToken(SCOPE, environment, context).pipe(
    Effect.tap(() =>
      Effect.sync(() => {
        hasMetadataServer = true
      })
    ),
    Effect.retry({
      // That of a new container may need a moment.
      schedule: Schedule.spaced("500 millis"),
      times: 1,
      while: (error) => error instanceof NoMetadataServer
    }),
    // One that has issued a token is only away for a moment.
    Effect.mapError((error) =>
      error instanceof NoMetadataServer && !hasMetadataServer ? noCredentials(error.summary) : error
    )
  )
  const { GOOGLE_CLOUD_QUOTA_PROJECT: quotaProject = "" } = environment
  return Effect.gen(function* () {
    const credentials = yield* readCredentials(environment)
    const token =
      credentials === undefined
        ? { ...(yield* fromMetadata), quotaProject: undefined }
        : yield* tokenFor(credentials, context)
    return quotaProject === "" ? token : { ...token, quotaProject }
  })
}

const noCredentials = (summary: string) =>
  new PrometheusError({
    reason: "Unauthorized",
    summary: `This machine has no credentials for Google Cloud: ${FILE_VARIABLE} is not set, there is no file of gcloud auth application-default login, and there is no metadata server (${summary.replace(/\.$/, "")}).`,
    advice: `Set ${KEY} to the JSON key of a service account, or ${FILE_VARIABLE} to the path of a file with it.`
  })

/** What to do about credentials that the server does not accept. */
const adviceFor = ({ json, origin }: GoogleCredentials): string => {
  switch (json.type) {
    case "service_account":
      return `Check ${origin}: its service account or its key may have been disabled or deleted. Check the clock of this machine, too.`
    case "authorized_user":
    case "external_account_authorized_user":
      return `The sign-in in ${origin} may have expired: run gcloud auth application-default login, or set ${KEY}.`
    default:
      return `Check the file of ${origin}, and what its accounts may do.`
  }
}

/** A token for credentials. */
const tokenFor = (
  credentials: GoogleCredentials,
  context: AuthenticationContext
): Effect.Effect<GoogleToken, PrometheusError> =>
  Effect.gen(function* () {
    const { addSecret, mask } = context
    const { json, origin } = credentials
    for (const secret of secretsOf(json)) addSecret(secret)
    const advice = adviceFor(credentials)
    const server = { addressKey: json.type === "service_account" ? `token_uri of ${origin}` : origin }
    const nowMillis = yield* Clock.currentTimeMillis
    let noToken: PrometheusError | undefined
    let isObject = true
    const { expiresAtMillis, quotaProject, value } = yield* callLibrary(
      context,
      server,
      async (fetch) => {
        const { fetchGoogleToken } = await import("./googleLibrary.ts")
        return fetchGoogleToken(json, SCOPE, async (input, init) => {
          for (const secret of sentSecrets(init?.body)) addSecret(secret)
          const response = await fetch(input, init)
          const body = await response.clone().text()
          const json = parseJson(body)
          isObject = Predicate.isReadonlyObject(json)
          for (const secret of secretsOf(json)) addSecret(secret)
          const { headers, status } = response
          const refusal = { address: addressOf(urlOf(input)), status, headers, body, nowMillis }
          noToken = fromTokenRefusal(refusal, { ...server, advice, mask })
          if (!response.ok) throw noToken
          return response
        })
      },
      (error) =>
        // The library's message may quote what is not an object, such as a token alone.
        (isObject ? undefined : noToken) ??
        new PrometheusError({
          reason: "Unauthorized",
          summary: `The credentials of ${origin} cannot be used: ${excerptLine(mask(messageOf(error)))}.`,
          advice
        })
    )
    if (value === undefined) {
      return yield* noToken ??
        new PrometheusError({ reason: "Unauthorized", summary: `${origin} led to no token.`, advice })
    }
    addSecret(value)
    const lifeMillis = (expiresAtMillis ?? 0) - Date.now()
    return {
      value,
      quotaProject,
      expiresAtMillis: lifeMillis > 0 ? (yield* Clock.currentTimeMillis) + lifeMillis : undefined
    }
  })

const urlOf = (input: string | URL | Request): string =>
  typeof input === "object" && "url" in input ? input.url : `${input}`

const messageOf = (error: unknown): string =>
  Predicate.hasProperty(error, "message") ? `${error.message}`.replace(/\.$/, "") : `${error}`

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The members of credentials, requests and responses that are secrets. */
const secretNames: ReadonlySet<string> = new Set([
  "accessToken",
  "access_token",
  "assertion",
  "client_secret",
  "id_token",
  "private_key",
  "refresh_token",
  "subject_token"
])

const secretsOf = (json: unknown): ReadonlyArray<string> =>
  !Predicate.isObjectOrArray(json)
    ? []
    : Object.entries(json).flatMap(([name, value]) =>
        typeof value !== "string"
          ? secretsOf(value)
          : secretNames.has(name)
            ? name === "private_key"
              ? secretsOfPrivateKey(value)
              : [value]
            : []
      )

/** Those of a form. */
const sentSecrets = (body: unknown): ReadonlyArray<string> =>
  typeof body === "string" || body instanceof URLSearchParams
    ? secretsOf(Object.fromEntries(new URLSearchParams(body)))
    : []
