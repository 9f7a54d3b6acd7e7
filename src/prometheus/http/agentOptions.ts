/** The options of TLS. */
import { isIP } from "node:net"
import { type ConnectionOptions, checkServerIdentity, createSecureContext, getCACertificates } from "node:tls"
import type { TlsSettings } from "../../config/ConnectorConfig.ts"
import { authorities, clientIdentity } from "../../config/tlsMaterial.ts"

/** The kinds of servers. */
export type ServerKind = "prometheus" | "tokens"

/**
 * The options for connections to Prometheus, or to a server that issues tokens, or to a proxy: those get neither the client's
 * certificate nor the name of Prometheus, and their certificate is always verified.
 */
export const tlsOptions = (tls: TlsSettings, server: ServerKind): ConnectionOptions => {
  const given = authorities(tls)
  const identity = server === "prometheus" ? clientIdentity(tls) : undefined
  return {
    // Node would make a context from the certificates for each connection.
    ...(given.length === 0 && identity === undefined
      ? {}
      : {
          secureContext: createSecureContext({
            ...identity,
            ...(given.length === 0
              ? {}
              : {
                  // `ca` replaces Node's own list.
                  ca: [...getCACertificates("default"), ...given],
                  // A certificate that the user trusts needs no other above it.
                  allowPartialTrustChain: true
                })
          })
        }),
    ...(server === "prometheus"
      ? { ...expectedName(tls.server_name), ...(tls.verify ? {} : { rejectUnauthorized: false }) }
      : { rejectUnauthorized: true })
  }
}

/** The name that the server is asked for, and that its certificate must have. An address cannot be asked for. */
const expectedName = (name: string | undefined): ConnectionOptions => {
  if (name === undefined) return {}
  return isIP(name) === 0
    ? { servername: name }
    : { servername: "", checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate) }
}
