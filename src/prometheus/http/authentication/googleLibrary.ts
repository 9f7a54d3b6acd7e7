/**
 * Google's library, which is large: this module is loaded only when a token is fetched, and is the only one that imports it.
 *
 * It makes one token per client. What it would keep, search, retry, run or log by itself is left to the program.
 */
import {
  type AuthClient,
  ExternalAccountAuthorizedUserClient,
  ExternalAccountClient,
  Impersonated,
  JWT,
  UserRefreshClient
} from "google-auth-library"
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
  const { expiry_date } = client.credentials
  return {
    value: /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1],
    expiresAtMillis: expiry_date ?? undefined,
    quotaProject: client.quotaProjectId
  }
}

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
    case "service_account":
      return jwtClient(json as unknown as ServiceAccountKey, scope, fetch, options)
    case "authorized_user": {
      const { token_uri } = json
      const client = new UserRefreshClient({
        ...options,
        ...(typeof token_uri === "string" ? { endpoints: { oauth2TokenUrl: token_uri } } : {})
      })
      client.fromJSON(json as Parameters<typeof client.fromJSON>[0])
      return client
    }
    case "external_account_authorized_user":
      return new ExternalAccountAuthorizedUserClient({
        ...json,
        ...options
      } as unknown as ConstructorParameters<typeof ExternalAccountAuthorizedUserClient>[0])
    case "external_account": {
      const client = ExternalAccountClient.fromJSON({
        ...json,
        ...options
      } as unknown as Parameters<typeof ExternalAccountClient.fromJSON>[0])
      if (client === null) throw new Error("the configuration is not that of an external account")
      client.scopes = [scope]
      return client
    }
    default:
      return impersonatedClient(json, scope, fetch, options)
  }
}
