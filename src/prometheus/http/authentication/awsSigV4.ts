/** Amazon Web Services: signs each request with an access key, by Signature Version 4. */
import { Clock, Effect, Option, Redacted } from "effect"
import { HttpClientRequest, UrlParams } from "effect/http"
import type { AuthenticationOf } from "../../../config/ConnectorConfig.ts"
import { durationText } from "../../../text/figures.ts"
import { PrometheusError } from "../../PrometheusError.ts"
import { fetchKeys } from "./awsKeys.ts"
import { concernsKeys, serverTimeOf } from "./awsRefusal.ts"
import {
  type AwsKeys,
  bodyHash,
  type SignatureScope,
  signedHeaders,
  withSignableQuery
} from "./awsSignature.ts"
import type { AuthenticationContext, CredentialRefusal, Method } from "./Method.ts"
import { makeTokenSource, type Token } from "./TokenSource.ts"

type Settings = AuthenticationOf<"aws_sigv4">

export const awsSigV4: Method<Settings> = {
  // A signature is of no use for other requests, and of none for the same request after some minutes. The token of a temporary
  // key is sent as it is: it is of no use without its secret, but it is nothing to show to everyone either.
  sendsSecrets: (settings) => settings.session_token !== undefined || isTemporary(settings),
  keysToCheck:
    "authentication.access_key_id or the AWS credentials of this machine, authentication.role_arn, authentication.region, authentication.service and headers",
  make: (settings, context) => {
    const { region, service } = settings
    const clock = new ServerClock()
    const source = isTemporary(settings) ? fetchedKeys(settings, context, clock) : configuredKeys(settings)
    const derivedKeys = new Map<string, ArrayBuffer>()
    return {
      authenticate: Effect.fnUntraced(function* (request) {
        const keys = yield* source.keys
        const scope = { region, service, timeMillis: yield* clock.now }
        return yield* Effect.tryPromise({
          try: () => sign(request, keys, scope, derivedKeys),
          catch: unsendable
        })
      }),
      renew: Effect.fnUntraced(function* (refusal) {
        const serverMillis = serverTimeOf(refusal)
        if (serverMillis !== undefined) {
          yield* clock.correct(serverMillis, new URL(refusal.request.url).host)
          return true
        }
        return concernsKeys(refusal) && (yield* source.renew(refusal))
      })
    }
  }
}

/** Whether the keys are those of the machine or of a role, which are fetched and expire. */
const isTemporary = ({ access_key_id, role_arn }: Settings): boolean =>
  access_key_id === undefined || role_arn !== undefined

/** Where keys come from. */
interface KeySource {
  readonly keys: Effect.Effect<AwsKeys, PrometheusError>
  readonly renew: (refusal: CredentialRefusal) => Effect.Effect<boolean, PrometheusError>
}

const configuredKeys = (settings: Settings): KeySource => ({
  keys: Effect.succeed(keysOf(settings)),
  renew: () => Effect.succeed(false)
})

/** The keys of the configuration. */
const keysOf = ({ access_key_id = "", secret_access_key, session_token }: Settings): AwsKeys => ({
  accessKeyId: access_key_id,
  secretAccessKey: secret_access_key === undefined ? "" : Redacted.value(secret_access_key),
  sessionToken: session_token === undefined ? undefined : Redacted.value(session_token)
})

const fetchedKeys = (settings: Settings, context: AuthenticationContext, clock: ServerClock): KeySource => {
  const { access_key_id, external_id: externalId, region, role_arn: role } = settings
  const request = {
    region,
    role,
    externalId,
    configured: access_key_id === undefined ? undefined : keysOf(settings)
  }
  const keysByName = new Map<string, AwsKeys>()
  let hasProvided = false
  const source = makeTokenSource(
    Effect.gen(function* (): Effect.fn.Return<Token, PrometheusError> {
      const { expiresAtMillis, ...keys } = yield* fetchKeys({ ...request, hasProvided }, context)
      hasProvided = true
      const value = nameOf(keys.accessKeyId, keys.sessionToken)
      keysByName.set(value, keys)
      return {
        value,
        // In the time of this machine's clock.
        expiresAtMillis: expiresAtMillis === undefined ? undefined : expiresAtMillis - clock.offsetMillis
      }
    })
  )
  return {
    keys: Effect.map(source.token, (name) => keysByName.get(name)!),
    renew: ({ request: { headers } }) =>
      source.renew(
        nameOf(/Credential=([^/]*)/.exec(headers.authorization ?? "")?.[1], headers["x-amz-security-token"])
      )
  }
}

/** What a request shows of its keys. */
const nameOf = (accessKeyId = "", sessionToken = ""): string => `${accessKeyId} ${sessionToken}`

/** The time of the server that checks signatures, once it has refused one because of its time. */
class ServerClock {
  /** How much that clock is ahead of this machine's. */
  offsetMillis = 0

  readonly now: Effect.Effect<number> = Effect.map(Clock.currentTimeMillis, (now) => now + this.offsetMillis)

  /** Follows the server, and says so once. */
  readonly correct = Effect.fnUntraced(function* (this: ServerClock, serverMillis: number, host: string) {
    const offsetMillis = serverMillis - (yield* Clock.currentTimeMillis)
    const isKnown = Math.abs(offsetMillis - this.offsetMillis) < SAME_TIME_MILLIS
    if (isKnown) return
    this.offsetMillis = offsetMillis
    yield* Math.abs(offsetMillis) < SAME_TIME_MILLIS
      ? Effect.logInfo(`The clock of this machine agrees with that of ${host} again.`)
      : Effect.logWarning(
          `The clock of this machine is about ${durationText(Math.round(Math.abs(offsetMillis) / 60_000) * 60)} ${offsetMillis > 0 ? "behind" : "ahead of"} that of ${host}, which only accepts signatures of its own time. Requests are signed with that time from now on. Correct the clock of this machine.`
        )
  })
}

/** Two readings of one clock, over a network. */
const SAME_TIME_MILLIS = 60_000

/** Only what headers cannot contain makes a signature fail. */
const unsendable = () =>
  new PrometheusError({
    reason: "Unauthorized",
    summary: "The AWS access key cannot be sent: it has characters that are not allowed in an HTTP header.",
    advice:
      "Check authentication.access_key_id and authentication.session_token for line breaks and other characters that do not belong there; or the credentials of this machine, if those are empty."
  })

/** Signs a request. Its address is written as it is signed. */
const sign = async (
  request: HttpClientRequest.HttpClientRequest,
  keys: AwsKeys,
  scope: SignatureScope,
  cache: Map<string, ArrayBuffer>
): Promise<HttpClientRequest.HttpClientRequest> => {
  const url = withSignableQuery(Option.getOrThrow(HttpClientRequest.toUrl(request)))
  const body = request.body._tag === "Uint8Array" ? new Uint8Array(request.body.body) : undefined
  const headers = {
    ...Object.fromEntries(Object.entries(request.headers).filter(([name]) => isSigned(name))),
    "x-amz-content-sha256": await bodyHash(body ?? new Uint8Array())
  }
  const signed = await signedHeaders({ method: request.method, url, headers, body }, keys, scope, { cache })
  const { method } = request
  return HttpClientRequest.makeWith(
    method,
    url.href,
    UrlParams.empty,
    Option.none(),
    request.headers,
    request.body
  ).pipe(HttpClientRequest.setHeaders(signed))
}

/** The headers that a signature must cover. Proxies change others. */
const isSigned = (name: string): boolean => name === "content-type" || name.startsWith("x-amz-")
