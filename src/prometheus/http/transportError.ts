/** Turns failures of the network and of TLS into readable errors. */
import { Predicate } from "effect"
import { beginning, excerptLine } from "../../text/excerpt.ts"
import { PrometheusError } from "../PrometheusError.ts"

/** Turns a failure to connect, send or receive into an error. `cause` is what the platform threw. */
export const fromTransport = (endpoint: string, cause: unknown): PrometheusError => {
  const { code, text } = describeCause(cause)
  if (code.startsWith("HPE_")) {
    return new PrometheusError({
      reason: "BrokenResponse",
      summary: `The response from ${endpoint} is not HTTP (${text}).`
    })
  }
  if (isTls(code)) {
    return new PrometheusError({
      reason: "Tls",
      summary: `${endpoint} cannot be reached securely (${text}).`
    })
  }
  return new PrometheusError({ reason: "Unreachable", summary: `${endpoint} cannot be reached (${text}).` })
}

const isTls = (code: string): boolean => /CERT|TLS|SSL|EPROTO|SELF_SIGNED|UNABLE_TO/.test(code)

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

/** Readable texts for OpenSSL's handshake errors, which contain names of its source files. */
const handshakes: ReadonlyArray<readonly [words: RegExp, text: string]> = [
  // The server sent an alert, or this side found no common version.
  [
    /alert protocol version|unsupported protocol|version too low|no protocols available/i,
    "it does not offer TLS 1.2 or later; enable TLS 1.2 or 1.3 on the server, or on a proxy in front of it"
  ],
  [
    /handshake failure|no shared cipher|no ciphers available/i,
    "it shares no cipher or key exchange with this program, or requires a client certificate"
  ],
  [
    /wrong version number|packet length too long|unknown protocol|http request|record layer failure/i,
    "it does not use TLS, which https requires"
  ]
]

const handshakeText = (message: string): string | undefined =>
  handshakes.find(([words]) => words.test(beginning(message)))?.[1]

/** Removes Node's advice about its own flags. */
const withoutNodeHint = (text: string): string => {
  const hint = text.search(/;? if the root CA is installed locally/i)
  return hint < 0 ? text : text.slice(0, hint)
}

/** A failure of the platform, in a few words for a person. */
export const causeText = (cause: unknown): string => describeCause(cause).text

/** The innermost error with a code, if any: platforms wrap errors in errors, or several in one. */
const describeCause = (cause: unknown): { readonly code: string; readonly text: string } => {
  let error = cause
  for (let depth = 0; depth < 8 && Predicate.isObject(error); depth++) {
    if (typeof error.code === "string") {
      const message = typeof error.message === "string" ? error.message : error.code
      return {
        code: error.code,
        text:
          (isTls(error.code) ? handshakeText(message) : undefined) ??
          plainTexts[error.code] ??
          withoutNodeHint(excerptLine(message))
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
