/** Why a proxy did not connect a request to its server. */
import type { Proxy } from "./proxies.ts"

/** The code of an error: the proxy neither connected nor refused in time. */
export const PROXY_TIMEOUT = "PROXY_TIMEOUT"

/** What a proxy responded instead of connecting. */
export interface ProxyResponse {
  readonly status: number
  /** The proxy's own words: the reason after the status, and the code that Squid has for it. */
  readonly text: string
  /** The value of `Proxy-Authenticate`: how it wants to be given credentials. */
  readonly challenge?: string | undefined
}

/** A proxy did not connect, or cannot be used. */
export class ProxyFailure extends Error {
  readonly proxy: Proxy | undefined
  readonly response: ProxyResponse | undefined

  constructor(message: string, proxy?: Proxy, response?: ProxyResponse, options?: ErrorOptions) {
    super(message, options)
    this.proxy = proxy
    this.response = response
  }
}
