/** Turns failures of the network and of TLS into readable errors. */
import { Predicate } from "effect"
import { beginning, excerptLine } from "../../text/excerpt.ts"
import { PrometheusError, type Reason } from "../PrometheusError.ts"
import { needsClientCertificate, needsHttps } from "../refusalRules.ts"

/** Turns a failure to connect, send or receive into an error. `cause` is what the platform threw. */
export const fromTransport = (endpoint: string, cause: unknown): PrometheusError => {
  const { advice, code, received, text } = describeCause(cause)
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
  if (isTls(code)) return error("Tls", `${endpoint} cannot be reached securely (${text}).`)
  const isHttp = endpoint.startsWith("http:")
  const reason = reasons[code] ?? "Unreachable"
  return error(
    reason,
    `${endpoint} cannot be reached (${text}).`,
    reason === "Disconnected" && isHttp ? maybeHttps : advice
  )
}

const reasons: Readonly<Record<string, Reason>> = {
  ECONNREFUSED: "NoServer",
  ENOTFOUND: "NoServer",
  ECONNRESET: "Disconnected",
  EPIPE: "Disconnected"
}

const isTls = (code: string): boolean => /CERT|TLS|SSL|EPROTO|SELF_SIGNED|UNABLE_TO/.test(code)

const maybeHttps =
  "The server or a proxy in front of it ended the connection. If it expects TLS, set base_url to an address with https. If not, see its log: it may have failed on this request."

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

/** A failure in words, and what to do if more is known than its kind. */
interface Explained {
  readonly text?: string
  readonly advice?: string
}

/** Readable texts for OpenSSL's handshake errors, which contain names of its source files. */
const handshakes: ReadonlyArray<readonly [words: RegExp, explained: Explained]> = [
  // The server sent an alert, or this side found no common version.
  [
    /alert protocol version|unsupported protocol|version too low|no protocols available/i,
    {
      text: "it does not offer TLS 1.2 or later; enable TLS 1.2 or 1.3 on the server, or on a proxy in front of it"
    }
  ],
  [
    /alert certificate required|alert bad certificate|alert no certificate/i,
    { text: "certificate required", advice: needsClientCertificate }
  ],
  [
    /alert unrecognized name|alert internal error/i,
    {
      text: "it has no certificate for this host name",
      advice: "Check the host of base_url: the server there expects the name of one of its sites."
    }
  ],
  [
    /handshake failure|no shared cipher|no ciphers available/i,
    {
      text: "it shares no cipher or key exchange with this program, does not serve this host name, or requires a client certificate",
      advice:
        "Check the host of base_url, and what the server demands of TLS. This version cannot send a client certificate: if the server wants one, set base_url to the address of a proxy that sends it."
    }
  ],
  [
    /wrong version number|packet length too long|unknown protocol|http request|record layer failure/i,
    {
      text: "it does not use TLS, which https requires",
      advice: "Set base_url to the same address with http instead of https, or to the port for https."
    }
  ]
]

/** What to do about a certificate that is not accepted, by the code of the error. */
const certificates: ReadonlyArray<readonly [code: RegExp, advice: string]> = [
  [
    /SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)/,
    "If the server is the right one, name a PEM file with the authority of its certificate in the environment variable NODE_EXTRA_CA_CERTS."
  ],
  [
    /ALTNAME_INVALID/,
    "Check the host of base_url: the server's certificate must contain that name, and it contains others."
  ],
  [/CERT_HAS_EXPIRED/, "Renew the server's certificate, or correct the clock of this machine."],
  [/CERT_NOT_YET_VALID/, "Correct the clock of this machine, or the server's certificate."]
]

const explain = (code: string, message: string): Explained => {
  if (!isTls(code)) return {}
  const handshake = handshakes.find(([words]) => words.test(beginning(message)))?.[1]
  if (handshake !== undefined) return handshake
  const advice = certificates.find(([codes]) => codes.test(code))?.[1]
  return advice === undefined ? {} : { advice }
}

/** Removes Node's advice about its own flags. */
const withoutNodeHint = (text: string): string => {
  const hint = text.search(/;? if the root CA is installed locally/i)
  return hint < 0 ? text : text.slice(0, hint)
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
}

/** The innermost error with a code, if any: platforms wrap errors in errors, or several in one. */
const describeCause = (cause: unknown): Described => {
  let error = cause
  for (let depth = 0; depth < 8 && Predicate.isObject(error); depth++) {
    if (typeof error.code === "string") {
      const message = typeof error.message === "string" ? error.message : error.code
      const { advice, text } = explain(error.code, message)
      return {
        code: error.code,
        text: text ?? plainTexts[error.code] ?? withoutNodeHint(excerptLine(message)),
        advice,
        received: error.rawPacket instanceof Uint8Array ? error.rawPacket : undefined
      }
    }
    if (Array.isArray(error.errors) && error.errors.length > 0) error = error.errors[0]
    else if (error.cause !== undefined) error = error.cause
    else if (error.reason !== undefined) error = error.reason
    else break
  }
  const message = Predicate.hasProperty(error, "message") ? error.message : error
  return { code: "", text: excerptLine(String(message)) }
}
