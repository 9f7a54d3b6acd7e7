/** Turns failures of the network, of TLS and of proxies into readable errors. */
import { Predicate } from "effect"
import { excerptLine } from "../../text/excerpt.ts"
import { PrometheusError, type Reason } from "../PrometheusError.ts"
import { needsHttps } from "../refusalRules.ts"
import { peerOf } from "./agents.ts"
import { ProxyFailure } from "./ProxyFailure.ts"
import { fromProxyFailure, proxyName } from "./proxyErrors.ts"
import { explainTls, isTls, withoutNodeHint } from "./tlsFailure.ts"
import { FailedOnWay, type Way } from "./Way.ts"

/** Turns a failure to connect, send or receive into an error. `cause` is what the platform threw. */
export const fromTransport = (endpoint: string, cause: unknown): PrometheusError => {
  const described = describeCause(cause)
  const { advice, code, proxyFailure, received, text, way } = described
  const reason: Reason = isTls(code) ? "Tls" : (reasons[code] ?? "Unreachable")
  // Without TLS, all of the connection is one to the proxy.
  const atProxy = proxyFailure ?? (way?.server.protocol === "http:" && way.proxy !== undefined)
  if (atProxy !== false) {
    const failure = proxyFailure ?? new ProxyFailure("The proxy failed.", way?.proxy)
    return fromProxyFailure({
      endpoint,
      failure,
      way,
      reason,
      text,
      advice,
      code
    })
  }
  const through = way?.proxy === undefined ? "" : ` through the proxy ${proxyName(way.proxy)}`
  const error = (reason: Reason, summary: string, better = advice) =>
    new PrometheusError({ reason, summary, ...(better === undefined ? {} : { advice: better }) })
  if (code.startsWith("HPE_")) {
    const { advice, isCertain, what } = notHttp(received) ?? { what: text }
    return error(
      isCertain ? "NotPrometheus" : "BrokenResponse",
      `The response from ${endpoint} is not HTTP (${what}).`,
      advice
    )
  }
  if (reason === "Tls") return error("Tls", `${endpoint} cannot be reached securely${through} (${text}).`)
  const summary = `${endpoint} cannot be reached${through} (${text}).`
  if (reason !== "Disconnected") return error(reason, summary)
  return error(reason, summary, endpoint.startsWith("http:") ? maybeHttps : maybeClientCertificate(way))
}

const reasons: Readonly<Record<string, Reason>> = {
  ECONNREFUSED: "NoServer",
  ENOTFOUND: "NoServer",
  ECONNRESET: "Disconnected",
  EPIPE: "Disconnected"
}

const maybeHttps =
  "The server or a proxy in front of it ended the connection. If it expects TLS, set base_url to an address with https. If not, see its log: it may have failed on this request."

/** With TLS 1.3, a server refuses a client certificate after the handshake, and its reason may be lost with the connection. */
const maybeClientCertificate = (way: Way | undefined): string | undefined =>
  way?.kind !== "prometheus"
    ? undefined
    : `The server or a proxy in front of it ended the connection. ${
        way.tls.client_certificate === undefined
          ? "If it wants a client certificate, set tls.client_certificate and tls.client_key."
          : "It may refuse tls.client_certificate."
      } If not, see its log: it may have failed on this request.`

const plainTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "the host name does not exist",
  EAI_AGAIN: "the host name cannot be looked up at the moment",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  EPROTO: "the TLS handshake failed",
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network"
}

/** What was received instead of HTTP. */
interface NotHttp {
  readonly what: string
  readonly advice?: string
  /** Whether this is no accident of the network. */
  readonly isCertain?: boolean
}

/** Recognises other protocols by the first bytes of a response. Undefined if it begins like HTTP, or is not known. */
const notHttp = (received: Uint8Array | undefined): NotHttp | undefined => {
  if (received === undefined || received.length === 0) return undefined
  const start = Buffer.from(received.subarray(0, 60)).toString("latin1")
  if (start.startsWith("HTTP/")) return undefined
  // An alert of TLS, version 3.x.
  if (/^[\x15\x16]\x03/.test(start)) return { what: "it is TLS", advice: needsHttps, isCertain: true }
  // The first frame of HTTP/2, SETTINGS, on stream 0.
  if (/^\0\0[\s\S]\x04[\s\S]\0\0\0\0/.test(start)) {
    return {
      what: "it is HTTP/2, as gRPC uses it",
      advice:
        "Check the port of base_url: it must be the one for HTTP. Thanos, for example, has HTTP at 10902 and gRPC at 10901.",
      isCertain: true
    }
  }
  const printed = /^[\x20-\x7e]{4,}/.exec(start)?.[0]
  return {
    what:
      printed === undefined
        ? "it begins with other bytes"
        : `it begins with ${JSON.stringify(printed.slice(0, 40))}`,
    advice: "Check the host and port of base_url: another kind of server may listen there."
  }
}

/** A failure of the platform, in a few words for a person. */
export const causeText = (cause: unknown): string => describeCause(cause).text

/** A failure of the platform. */
interface Described {
  readonly code: string
  readonly text: string
  readonly advice?: string | undefined
  /** The bytes that are not HTTP. */
  readonly received?: Uint8Array | undefined
  /** The way of the request, if it is known. */
  readonly way?: Way | undefined
  /** The proxy did not connect. */
  readonly proxyFailure?: ProxyFailure | undefined
}

/** The innermost error with a code, if any: platforms wrap errors in errors, or several in one. */
const describeCause = (cause: unknown): Described => {
  let error = cause
  let way: Way | undefined
  let proxyFailure: ProxyFailure | undefined
  for (let depth = 0; depth < 10 && Predicate.isObject(error); depth++) {
    if (error instanceof FailedOnWay) way = error.way
    if (error instanceof ProxyFailure) proxyFailure = error
    if (typeof error.code === "string") {
      const { code } = error
      const message = typeof error.message === "string" ? error.message : code
      const { advice, text } = isTls(code) ? explainTls({ code, message, way, chain: peerOf(error) }) : {}
      return {
        code,
        text: text ?? plainTexts[code] ?? withoutNodeHint(excerptLine(message)),
        advice,
        received: error.rawPacket instanceof Uint8Array ? error.rawPacket : undefined,
        way,
        proxyFailure
      }
    }
    if (Array.isArray(error.errors) && error.errors.length > 0) error = error.errors[0]
    else if (error.cause !== undefined) error = error.cause
    else if (error.reason !== undefined) error = error.reason
    else break
  }
  const message = Predicate.hasProperty(error, "message") ? error.message : error
  return { code: "", text: excerptLine(String(message)), way, proxyFailure }
}
