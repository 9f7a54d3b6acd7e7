/** Which connections are safe for credentials, and warnings about others. */
import type { Settings } from "../../config/ConnectorConfig.ts"
import { expiryWarnings } from "../../config/tlsChecks.ts"
import { sendsSecrets } from "./authentication/authentication.ts"
import { isLoopback } from "./hosts.ts"

/** The settings that say where requests go, and with which secrets. */
export type Connection = Pick<Settings, "baseUrl" | "authentication" | "headers" | "parameters" | "tls">

/** Whether requests carry a secret that anyone who sees them can use. */
export const hasCredentials = ({ authentication, headers, parameters }: Connection): boolean =>
  sendsSecrets(authentication) || headers.length > 0 || parameters.length > 0

/** Whether others can read what is sent to an address. */
export const isInTheClear = ({ hostname, protocol }: URL): boolean =>
  protocol === "http:" && !isLoopback(hostname)

/** Whether a redirect stays where credentials may be sent: on the same origin, or from http to https on the same host. */
export const keepsCredentials = (source: URL, target: URL): boolean =>
  target.origin === source.origin ||
  (target.hostname === source.hostname && source.protocol === "http:" && target.protocol === "https:")

/** The keys of `tls` that have no effect. The authorities are those of token servers, too. `verify` has its own warning. */
const unusedTlsKeys = ({ authentication, baseUrl, tls }: Connection): ReadonlyArray<string> => {
  if (new URL(baseUrl).protocol === "https:") return []
  const keys = ["client_certificate", "client_key", "client_key_passphrase", "server_name"] as const
  const isForPrometheusOnly = ["none", "basic", "bearer_token"].includes(authentication.auth_type)
  return [...(isForPrometheusOnly ? (["ca_certificate"] as const) : []), ...keys]
    .filter((key) => tls[key] !== undefined)
    .map((key) => `tls.${key}`)
}

const tokenUrlWarnings = ({ authentication }: Connection): ReadonlyArray<string> => {
  if (authentication.auth_type !== "oauth2") return []
  const url = new URL(authentication.token_url)
  return isInTheClear(url)
    ? [
        `The client secret is sent to ${url.origin}${url.pathname} without encryption, and tokens come back without it: anyone on the way can read them. Set authentication.token_url to an address with https.`
      ]
    : []
}

/** Warnings before each sync, in sentences. `environment` is that of the process, and `nowMillis` the time of this machine. */
export const connectionWarnings = (
  connection: Connection,
  environment: Readonly<Record<string, string | undefined>>,
  nowMillis: number
): ReadonlyArray<string> => [
  ...(hasCredentials(connection) && isInTheClear(new URL(connection.baseUrl))
    ? [
        `Credentials are sent to ${connection.baseUrl} without encryption: anyone on the way can read them. Use an address with https.`
      ]
    : []),
  ...tokenUrlWarnings(connection),
  ...(connection.tls.verify || new URL(connection.baseUrl).protocol === "http:"
    ? []
    : [
        `tls.verify is false: the certificate of ${connection.baseUrl} is not checked, so anyone on the way can read and change what is sent. Turn it on, and set tls.ca_certificate to the authority of the server's certificate.`
      ]),
  ...(unusedTlsKeys(connection).length === 0
    ? []
    : [
        `${unusedTlsKeys(connection).join(", ")} ${unusedTlsKeys(connection).length === 1 ? "has" : "have"} no effect, because ${connection.baseUrl} is without TLS: set base_url to an address with https.`
      ]),
  ...expiryWarnings(connection.tls, nowMillis),
  ...(environment.NODE_TLS_REJECT_UNAUTHORIZED === "0"
    ? [
        "NODE_TLS_REJECT_UNAUTHORIZED is 0 in the environment: certificates are not checked, so anyone on the way can read and change what is sent. Unset it, and set tls.ca_certificate to the authority of the server's certificate."
      ]
    : [])
]
