/** Explains failures of TLS: what is missing or wrong, and which key helps. */
import type { X509Certificate } from "node:crypto"
import { beginning, excerptLine } from "../../text/excerpt.ts"
import { formatSecond } from "../../text/formatTime.ts"
import { listSome } from "../../text/listSome.ts"
import { needsClientCertificate, refusesClientCertificate } from "../refusalRules.ts"
import type { Way } from "./Way.ts"

/** A failure in words, and what to do if more is known than its kind. */
export interface Explained {
  readonly text?: string
  readonly advice?: string
}

/** What is known about a failure of TLS. */
export interface TlsFailure {
  readonly code: string
  readonly message: string
  readonly way?: Way | undefined
  /** The certificates of the server, its own first, if they were received. */
  readonly chain: ReadonlyArray<X509Certificate>
}

/** Whether the code of an error is one of TLS or of certificates. */
export const isTls = (code: string): boolean =>
  /CERT|TLS|SSL|EPROTO|SELF_SIGNED|UNABLE_TO|INVALID_(CA|PURPOSE)|(KEY|MD)_TOO_|PATH_LENGTH|HOSTNAME_MISMATCH/.test(
    code
  )

export const explainTls = (failure: TlsFailure): Explained => {
  const words = beginning(failure.message)
  const handshake = handshakes.find(([pattern]) => pattern.test(words))?.[1]
  if (handshake !== undefined) return typeof handshake === "function" ? handshake(failure) : handshake
  return certificates.find(([pattern]) => pattern.test(failure.code))?.[1](failure) ?? {}
}

const hasClientCertificate = ({ way }: TlsFailure): boolean =>
  way?.kind === "prometheus" && way.tls.client_certificate !== undefined

/** Explains an alert of the server about the client's certificate. It may want one, or refuse the one that it got. */
const ofClientCertificate =
  (refused: string, advice = refusesClientCertificate) =>
  (failure: TlsFailure): Explained => {
    if (hasClientCertificate(failure)) return { text: refused, advice }
    return failure.way?.kind === "tokens"
      ? {
          text: "certificate required",
          advice: "The server that issues tokens wants a client certificate, which is sent only to base_url."
        }
      : { text: "certificate required", advice: needsClientCertificate }
  }

/** Readable texts for OpenSSL's handshake errors, which contain names of its source files. */
const handshakes: ReadonlyArray<
  readonly [words: RegExp, explained: Explained | ((failure: TlsFailure) => Explained)]
> = [
  // The server sent an alert, or this side found no common version.
  [
    /alert protocol version|unsupported protocol|version too low|no protocols available/i,
    {
      text: "it does not offer TLS 1.2 or later; enable TLS 1.2 or 1.3 on the server, or on a proxy in front of it"
    }
  ],
  [
    /alert certificate expired/i,
    ofClientCertificate(
      "it refuses the client certificate as expired",
      "Renew tls.client_certificate, or correct the clock of the server."
    )
  ],
  [
    /alert certificate revoked/i,
    ofClientCertificate(
      "it refuses the client certificate as revoked",
      "Set tls.client_certificate and tls.client_key to a certificate that is not revoked."
    )
  ],
  [
    /alert unknown ca/i,
    ofClientCertificate(
      "it does not know the authority of the client certificate",
      "Set tls.client_certificate to one of an authority that the server accepts. If that authority is not the root, add its own certificate after it."
    )
  ],
  [
    /alert certificate required|alert no certificate/i,
    ofClientCertificate(
      "it got no client certificate that it accepts",
      "The authority of tls.client_certificate may be none of those that the server accepts."
    )
  ],
  [
    /alert (bad certificate|unsupported certificate|certificate unknown|access denied)/i,
    ofClientCertificate("it refuses the client certificate")
  ],
  [
    /alert unrecognized name|alert internal error/i,
    ({ way }) => ({
      text: "it has no certificate for this host name",
      advice:
        way?.tls.server_name === undefined || way.kind === "tokens"
          ? "Check the host of base_url: the server there expects the name of one of its sites."
          : "Check tls.server_name: the server there expects the name of one of its sites."
    })
  ],
  [
    /handshake failure|no shared cipher|no ciphers available/i,
    (failure) =>
      hasClientCertificate(failure)
        ? {
            text: "it shares no cipher or key exchange with this program, does not serve this host name, or refuses the client certificate",
            advice: `Check the host of base_url, and what the server demands of TLS. ${refusesClientCertificate}`
          }
        : {
            text: "it shares no cipher or key exchange with this program, does not serve this host name, or requires a client certificate",
            advice:
              "Check the host of base_url, and what the server demands of TLS. If it wants a client certificate, set tls.client_certificate and tls.client_key."
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
const certificates: ReadonlyArray<readonly [code: RegExp, explain: (failure: TlsFailure) => Explained]> = [
  [/SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT_UNTRUSTED|INVALID_CA/, (failure) => ofAuthority(failure)],
  [/ALTNAME_INVALID|HOSTNAME_MISMATCH/, (failure) => ofName(failure)],
  [
    /CERT_HAS_EXPIRED/,
    (failure) => ({
      ...ofTime(
        failure,
        ({ validTo }) => Date.parse(validTo) < Date.now(),
        "expired at",
        ({ validTo }) => validTo
      ),
      advice: "Renew the server's certificate, or correct the clock of this machine."
    })
  ],
  [
    /CERT_NOT_YET_VALID/,
    (failure) => ({
      ...ofTime(
        failure,
        ({ validFrom }) => Date.parse(validFrom) > Date.now(),
        "is not valid before",
        ({ validFrom }) => validFrom
      ),
      advice: "Correct the clock of this machine, or the server's certificate."
    })
  ],
  [/CERT_REVOKED/, () => ({ advice: "Its authority has revoked it: the server needs another certificate." })],
  [
    /INVALID_PURPOSE/,
    () => ({
      advice: "The server's certificate is not one for servers: it needs one for server authentication."
    })
  ],
  [
    /(KEY|MD)_TOO_/,
    () => ({ advice: "The server needs a certificate with a longer key, or a newer signature algorithm." })
  ]
]

const ofAuthority = ({ chain, code, message, way }: TlsFailure): Explained => {
  const issuer = chain.at(-1)?.issuer
  const isOwn = code === "DEPTH_ZERO_SELF_SIGNED_CERT"
  const named = issuer === undefined ? "" : `: ${nameOf(issuer)}`
  const authority = isOwn
    ? "the server's certificate, which is signed by itself"
    : `the authority that has issued it${named}`
  const advice =
    way?.tls.ca_certificate === undefined
      ? `If the server is the right one, set tls.ca_certificate to the certificate of ${isOwn ? "the server itself" : `the authority that has issued the server's${named}`}.`
      : `tls.ca_certificate does not contain ${authority}. If the server is the right one, add it there.`
  const isAlone = chain.length === 1 && !isOwn
  const inspected =
    way?.proxy === undefined ? "" : " A proxy that inspects TLS presents certificates of its own authority."
  return {
    text: withoutNodeHint(excerptLine(message)),
    advice: `${advice}${isAlone ? " Or the server should send the certificates of its intermediate authorities too: it sends only its own." : ""}${inspected}`
  }
}

const ofName = ({ chain: [peer], way }: TlsFailure): Explained => {
  const expected = (way?.kind === "prometheus" ? way.tls.server_name : undefined) ?? way?.server.host
  const names = [...(peer?.subjectAltName ?? "").matchAll(/(?:DNS|IP Address):"?([^,"]+)/g)].map(
    ([, name = ""]) => name
  )
  const text =
    peer === undefined || expected === undefined
      ? {}
      : {
          text:
            names.length === 0
              ? `its certificate has no names of hosts, and so not ${expected}`
              : `its certificate is for ${excerptLine(listSome(names, MAX_NAMES))}, but not for ${expected}`
        }
  if (way?.kind === "tokens") {
    return {
      ...text,
      advice: "Check the host of the server that issues tokens: its certificate must contain that name."
    }
  }
  return {
    ...text,
    advice:
      way?.tls.server_name === undefined
        ? "Check the host of base_url: the server's certificate must contain that name, and it contains others. If the server is the right one, set tls.server_name to a name of its certificate."
        : "Set tls.server_name to a name of the server's certificate, or remove it to expect the host of base_url."
  }
}

/** The most names of a certificate in a message. */
const MAX_NAMES = 5

/** Says which certificate of the server's chain is out of its time, and when. */
const ofTime = (
  { chain }: TlsFailure,
  isWrong: (certificate: X509Certificate) => boolean,
  verb: string,
  time: (certificate: X509Certificate) => string
): Explained => {
  if (chain.length === 0) return {}
  const wrong = chain.find(isWrong)
  if (wrong === undefined) {
    return {
      text: `the certificate of an authority of the server ${verb.replace(/ at$/, "")}; it may be that in tls.ca_certificate`
    }
  }
  const whose =
    wrong === chain[0] ? "its certificate" : `the certificate of its authority ${nameOf(wrong.subject)}`
  return { text: `${whose} ${verb} ${formatSecond(Date.parse(time(wrong)))}` }
}

/** The name of a subject, which has one line for each of its parts. */
const nameOf = (subject: string): string => {
  const part = /^CN=(.*)$/m.exec(subject)?.[1] ?? /^O=(.*)$/m.exec(subject)?.[1] ?? subject
  return JSON.stringify(excerptLine(part))
}

/** Removes Node's advice about its own flags. */
export const withoutNodeHint = (text: string): string => {
  const hint = text.search(/;? if the root CA is installed locally/i)
  return hint < 0 ? text : text.slice(0, hint)
}
