/** The errors of requests that a proxy did not connect to their server. */
import { excerptLine } from "../../text/excerpt.ts"
import { PrometheusError, type Reason } from "../PrometheusError.ts"
import { PROXY_TIMEOUT, type ProxyFailure, type ProxyResponse } from "./ProxyFailure.ts"
import type { Proxy } from "./proxies.ts"
import type { Way } from "./Way.ts"

/** What is known about the failure of a proxy. */
interface Failed {
  /** The address of the request. */
  readonly endpoint: string
  readonly failure: ProxyFailure
  readonly way: Way | undefined
  /** The reason, code, text and advice of the innermost error. */
  readonly reason: Reason
  readonly code: string
  readonly text: string
  readonly advice: string | undefined
}

/** A proxy without its credentials, and where it comes from. */
export const proxyName = ({ address, source }: Proxy): string => `${address} of ${source}`

export const fromProxyFailure = (failed: Failed): PrometheusError => {
  const { code, endpoint, failure, reason, text, way } = failed
  const { proxy, response } = failure
  const error = (reason: Reason, what: string, advice: string) =>
    new PrometheusError({ reason, summary: `${endpoint} cannot be reached: ${what}`, advice })
  if (proxy === undefined) return error("ProxyRefused", failure.message, without(undefined, way))
  const name = `the proxy ${proxyName(proxy)}`
  if (response !== undefined) return error(...refused(name, proxy, response, way))
  if (code === PROXY_TIMEOUT) {
    return error("Unreachable", `${name} ${text}.`, `${serverAdvice(way)} ${without(proxy, way)}`)
  }
  if (code.startsWith("HPE_")) {
    return error(
      "ProxyRefused",
      `${name} does not respond with HTTP (${text}).`,
      `Check ${proxy.source}: another kind of server may listen there.`
    )
  }
  if (reason === "Tls") {
    return error(
      "Tls",
      `${name} cannot be reached securely (${text}).`,
      /does not use TLS/.test(text)
        ? `Write http instead of https in ${proxy.source}.`
        : `If the proxy is the right one, set tls.ca_certificate to the authority of its certificate, and check the host in ${proxy.source}.`
    )
  }
  if (reason === "Disconnected" || text === "socket hang up") {
    return error(
      "Disconnected",
      `${name} ended the connection (${text}).`,
      `See the log of the proxy, and check whether ${proxy.source} needs https instead of http. ${without(proxy, way)}`
    )
  }
  return error(
    reason,
    `${name} cannot be reached (${text}).`,
    `Check ${proxy.source}, that the proxy runs, and that this machine may connect to it. ${without(proxy, way)}`
  )
}

/** The statuses for which a later try may succeed. */
const isPassing = (status: number): boolean => status >= 500 || status === 408 || status === 429

const refused = (
  name: string,
  { authorization, source }: Proxy,
  { challenge, status, text }: ProxyResponse,
  way: Way | undefined
): readonly [Reason, what: string, advice: string] => {
  const said = excerptLine(`HTTP ${status} ${text}`)
  if (status === 407 && challenge !== undefined && !/\bbasic\b/i.test(challenge)) {
    return [
      "ProxyRefused",
      `${name} wants credentials of a kind that is not supported, ${excerptLine(challenge)} (${said}).`,
      `It must offer Basic, or let this machine through without credentials. ${without({ source }, way)}`
    ]
  }
  if (status === 407) {
    return authorization === undefined
      ? [
          "ProxyRefused",
          `${name} wants a user and a password (${said}).`,
          `Set them in ${source}, as in http://user:password@proxy.example.com:3128.`
        ]
      : [
          "ProxyRefused",
          `${name} refuses the user and the password (${said}).`,
          `Check them in ${source}. Special characters must be written as %40, for example, for @.`
        ]
  }
  const target = way === undefined ? "the server" : `${way.server.host}:${way.server.port}`
  if (isPassing(status)) {
    return [
      "Unreachable",
      `${name} cannot connect to ${target} (${said}).`,
      `${serverAdvice(way)} ${without({ source }, way)}`
    ]
  }
  return [
    "ProxyRefused",
    `${name} does not connect to ${target} (${said}).`,
    `Its rules may forbid this host or port: have them allowed there. ${without({ source }, way)}`
  ]
}

/** What to check if a proxy does not reach the server. */
const serverAdvice = (way: Way | undefined): string =>
  `Check the host and port of ${way?.kind === "tokens" ? "the server that issues tokens" : "base_url"}, that the server runs, and that the proxy may connect to it.`

/** How to connect without the proxy. */
const without = (proxy: Pick<Proxy, "source"> | undefined, way: Way | undefined): string =>
  proxy?.source === "proxy_url"
    ? "To connect without the proxy, remove proxy_url."
    : `To connect without the proxy, name ${way?.server.host ?? "the host"} in the environment variable NO_PROXY.`
