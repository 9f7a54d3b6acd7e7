/**
 * Google's library, which is large: this module is loaded only when a token is fetched, and is the only one that imports it.
 *
 * It makes one token per client. What it would keep, search, retry, run or log by itself is left to the program.
 */
import { Predicate } from "effect"
import {
  type AuthClient,
  ExternalAccountAuthorizedUserClient,
  ExternalAccountClient,
  Impersonated,
  JWT,
  UserRefreshClient
} from "google-auth-library"
import * as util from "google-auth-library/build/src/util.js"
import type { ServiceAccountKey } from "../../../config/serviceAccountKey.ts"
import type { GoogleJson } from "./googleFile.ts"

/** A token with what belongs to it. */
export interface LibraryToken {
  /** Undefined if the server sent none. */
  readonly value: string | undefined
  /** By the clock of this machine. */
  readonly expiresAtMillis: number | undefined
  /** The project whose quota requests count for. */
  readonly quotaProject: string | undefined
}

type Fetch = typeof globalThis.fetch

/** Where the library sends the assertions of service accounts, whatever their key says. */
const TOKEN_ADDRESS = "https://oauth2.googleapis.com/token"

/** Fetches a token for a scope. Rejected with what `fetch` was rejected with, at least within, or with an error of the library. */
export const fetchGoogleToken = async (
  json: GoogleJson,
  scope: string,
  fetch: Fetch
): Promise<LibraryToken> => {
  const client = clientOf(json, scope, fetch)
  const headers = await client.getRequestHeaders()
  const value = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1]
  return {
    // The library writes a missing token as a text.
    value: value === "undefined" || value === "null" ? undefined : value,
    expiresAtMillis: client.credentials.expiry_date ?? undefined,
    quotaProject: client.quotaProjectId
  }
}

/** Calls it without the library's warnings, which are for programs that accept such files from strangers. */
const { suppressAdcWarning } = util as unknown as {
  readonly suppressAdcWarning: <A>(make: () => A) => A
}

/** What a source of credentials needs to get those of another account. */
const IMPERSONATION_SCOPE = "https://www.googleapis.com/auth/cloud-platform"

const clientOf = (json: GoogleJson, scope: string, fetch: Fetch): AuthClient => {
  const options = {
    transporterOptions: {
      fetchImplementation: fetch,
      // The program's own policy retries.
      retryConfig: { retry: 0 },
      // `fetch` knows the proxy.
      noProxy: [/^/]
    },
    // Its loggers would print tokens.
    useAuthRequestParameters: false
  }
  switch (json.type) {
    case "service_account": {
      const key = json as unknown as ServiceAccountKey
      const { token_uri = TOKEN_ADDRESS } = key
      const toTokenUri: Fetch = (input, init) => fetch(`${input}` === TOKEN_ADDRESS ? token_uri : input, init)
      const client = new JWT({
        ...options,
        scopes: [scope],
        transporterOptions: { ...options.transporterOptions, fetchImplementation: toTokenUri },
        additionalClaims: { aud: token_uri }
      })
      client.fromJSON(key)
      return client
    }
    case "authorized_user": {
      const { token_uri } = json
      const client = new UserRefreshClient({
        ...options,
        ...(typeof token_uri === "string" ? { endpoints: { oauth2TokenUrl: token_uri } } : {})
      })
      client.fromJSON(json)
      return client
    }
    case "external_account_authorized_user":
      return new ExternalAccountAuthorizedUserClient({ ...json, ...options } as never)
    case "external_account": {
      if (Predicate.hasProperty(json.credential_source, "certificate")) {
        throw new Error("workload identity federation with certificates is not supported")
      }
      const client = suppressAdcWarning(() =>
        ExternalAccountClient.fromJSON({ ...json, ...options } as never)
      )
      if (client === null) throw new Error("it is no configuration of workload identity federation")
      client.scopes = [scope]
      // The library exchanges tokens with a transporter of its own.
      const { stsCredential } = client as unknown as { readonly stsCredential: object }
      Object.assign(stsCredential, { transporter: client.transporter })
      return client
    }
    default: {
      const url = `${json.service_account_impersonation_url}`
      const targetPrincipal = /([^/]+):generateAccessToken$/.exec(url)?.[1]
      if (targetPrincipal === undefined) {
        throw new Error("its service_account_impersonation_url is not that of generateAccessToken")
      }
      const sourceClient = clientOf(json.source_credentials as GoogleJson, IMPERSONATION_SCOPE, fetch)
      const client = suppressAdcWarning(
        () =>
          new Impersonated({
            ...options,
            sourceClient,
            targetPrincipal: decodeURIComponent(targetPrincipal),
            targetScopes: [scope],
            delegates: (json.delegates as Array<string> | undefined) ?? [],
            endpoint: new URL(url).origin
          })
      )
      if (typeof json.quota_project_id === "string") client.quotaProjectId = json.quota_project_id
      return client
    }
  }
}
