/**
 * Tokens from the metadata server of Google Cloud, which each of its machines and containers has. It is asked directly: a proxy
 * would give the token of its own machine.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Clock, Effect, Layer, Predicate } from "effect"
import { HttpClient } from "effect/http"
import { PrometheusError } from "../../PrometheusError.ts"
import { type Environment, FILE_VARIABLE } from "./googleFile.ts"
import { callLibrary } from "./libraryFetch.ts"
import type { AuthenticationContext } from "./Method.ts"
import type { Token } from "./TokenSource.ts"
import { addressOf, fromTokenRefusal } from "./tokenServerError.ts"

/** On Google's machines it responds within milliseconds. Elsewhere, nothing may respond at all. */
const TIMEOUT_MILLIS = 2000

const HEADER = "metadata-flavor"

/** What sets its address. */
const HOST_VARIABLE = "GCE_METADATA_HOST"

const ADDRESS = "169.254.169.254"

/** A client without a proxy. Layers are shared: without `fresh`, it would be that of the other requests. */
const direct = Layer.fresh(NodeHttpClient.layerNodeHttpNoAgent).pipe(
  Layer.provide(Layer.fresh(NodeHttpClient.layerAgent))
)

/** The metadata server did not respond, so there may be none. */
export class NoMetadataServer extends PrometheusError {}

/** The token of the machine's service account. Fails with `NoMetadataServer` after a few seconds. */
export const metadataToken = Effect.fnUntraced(function* (
  scope: string,
  environment: Environment,
  { addSecret, mask }: Pick<AuthenticationContext, "addSecret" | "mask">
): Effect.fn.Return<Token, PrometheusError> {
  const host = environment[HOST_VARIABLE] || environment.GCE_METADATA_IP || ADDRESS
  const base = /^https?:\/\//.test(host) ? host.replace(/\/+$/, "") : `http://${host}`
  const url = `${base}/computeMetadata/v1/instance/service-accounts/default/token?scopes=${encodeURIComponent(scope)}`
  if (environment.METADATA_SERVER_DETECTION?.trim().toLowerCase() === "none") {
    return yield* new NoMetadataServer({
      reason: "Unreachable",
      summary: "METADATA_SERVER_DETECTION is none, so none is asked."
    })
  }
  if (URL.parse(url) === null) {
    return yield* new PrometheusError({
      reason: "Unauthorized",
      summary: `${HOST_VARIABLE} is ${JSON.stringify(host)}, which is not a host.`,
      advice: `Set ${HOST_VARIABLE} to a host, or to a host and a port, or remove it.`
    })
  }
  const server = { addressKey: HOST_VARIABLE }
  const { response, text } = yield* Effect.gen(function* () {
    const tokenClient = yield* HttpClient.HttpClient
    return yield* callLibrary(
      { tokenClient, timeoutMillis: TIMEOUT_MILLIS },
      server,
      async (fetch) => {
        const response = await fetch(url, { headers: { [HEADER]: "Google" } })
        return { response, text: await response.text() }
      },
      (error) => new PrometheusError({ reason: "Unreachable", summary: `${addressOf(url)}: ${error}.` })
    )
  }).pipe(
    Effect.provide(direct),
    Effect.mapError(({ summary }) => new NoMetadataServer({ reason: "Unreachable", summary }))
  )
  if (response.headers.get(HEADER) !== "Google") {
    return yield* new NoMetadataServer({
      reason: "Unreachable",
      summary: `${addressOf(url)} returned HTTP ${response.status}, but not as Google's metadata server.`
    })
  }
  const nowMillis = yield* Clock.currentTimeMillis
  const token = response.status === 200 ? tokenIn(text, nowMillis) : undefined
  if (token !== undefined) {
    addSecret(token.value)
    return token
  }
  const { headers, status } = response
  return yield* fromTokenRefusal(
    { address: addressOf(url), status, headers, body: text, nowMillis },
    {
      ...server,
      mask,
      advice: `This machine may have no service account: attach one that may read metrics, set ${FILE_VARIABLE}, or set authentication.service_account_key.`
    }
  )
})

const tokenIn = (text: string, nowMillis: number): Token | undefined => {
  try {
    const json: unknown = JSON.parse(text)
    if (!Predicate.isReadonlyObject(json)) return undefined
    const { access_token: value, expires_in: seconds } = json
    if (typeof value !== "string" || value === "") return undefined
    const life = Number(seconds)
    return { value, expiresAtMillis: life > 0 ? nowMillis + life * 1000 : undefined }
  } catch {
    return undefined
  }
}
