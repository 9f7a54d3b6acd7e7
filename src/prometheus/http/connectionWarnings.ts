/** What makes a connection unsafe although it works. */
import { Option } from "effect"
import type { Settings } from "../../config/ConnectorConfig.ts"

/** What of the settings says where requests go, and with which secrets. */
export type Connection = Pick<Settings, "baseUrl" | "basicAuth" | "headers">

/** Whether requests carry anything that is secret. */
export const hasCredentials = ({ basicAuth, headers }: Connection): boolean =>
  Option.isSome(basicAuth) || headers.length > 0

/** Whether what is sent to an address can be read on the way there. */
export const isInTheClear = ({ hostname, protocol }: URL): boolean =>
  protocol === "http:" && !isLoopback(hostname)

/** As `URL` writes hosts: addresses in their shortest form. */
const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" ||
  hostname.endsWith(".localhost") ||
  /^127\.\d+\.\d+\.\d+$/.test(hostname) ||
  hostname === "[::1]"

/** What everybody should know before each sync, in sentences. `environment` is that of the process. */
export const connectionWarnings = (
  connection: Connection,
  environment: Readonly<Record<string, string | undefined>>
): ReadonlyArray<string> => [
  ...(hasCredentials(connection) && isInTheClear(new URL(connection.baseUrl))
    ? [
        `Credentials are sent to ${connection.baseUrl} without encryption: anyone on the way can read them. Use an address with https.`
      ]
    : []),
  ...(environment.NODE_TLS_REJECT_UNAUTHORIZED === "0"
    ? [
        "NODE_TLS_REJECT_UNAUTHORIZED is 0 in the environment: certificates are not checked, so anyone on the way can read and change what is sent. Unset it, and name the authority of the server's certificate in NODE_EXTRA_CA_CERTS."
      ]
    : [])
]
