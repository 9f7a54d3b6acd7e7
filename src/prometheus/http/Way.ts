/** How a request was sent, for the message of a failure. */
import { Data, Result } from "effect"
import type { TlsSettings } from "../../config/ConnectorConfig.ts"
import type { ServerKind } from "./agentOptions.ts"
import { type Proxy, type ProxyChoice, type Server, serverAt } from "./proxies.ts"

/** How a request was sent. */
export interface Way {
  readonly kind: ServerKind
  readonly server: Server
  readonly proxy: Proxy | undefined
  readonly tls: TlsSettings
}

/** A failure of the platform, with the way of the request. */
export class FailedOnWay extends Data.Error<{ readonly cause: unknown; readonly way: Way }> {}

const forwarders = new WeakMap<object, Proxy>()

/** Remembers that a proxy forwarded a response, which may be its own. */
export const rememberForwarder = (response: object, proxy: Proxy): void =>
  void forwarders.set(response, proxy)

/** The proxy that forwarded a response, if any. One with TLS comes from the server for certain. */
export const forwarderOf = (response: object): Proxy | undefined => forwarders.get(response)

/** The way of a request to an address. */
export const wayTo = (
  address: string,
  kind: ServerKind,
  tls: TlsSettings,
  proxyFor: ProxyChoice
): Way | undefined => {
  const server = serverAt(address)
  return server === undefined
    ? undefined
    : { kind, server, proxy: Result.getOrUndefined(proxyFor(server)), tls }
}
