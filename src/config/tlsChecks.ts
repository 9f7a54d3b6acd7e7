/** Checks the certificates and the key of the configuration. Messages never contain any of them. */
import { createPrivateKey, type KeyObject } from "node:crypto"
import { createSecureContext } from "node:tls"
import { Predicate, Redacted, Result } from "effect"
import { formatSecond } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import type { Check } from "./Check.ts"
import { decodedBase64, isPrivateKey, type PemBlock, pemBlocks } from "./pem.ts"
import {
  authorities,
  certificatesIn,
  clientIdentity,
  ownCertificate,
  privateKeyIn,
  readCertificate,
  type TlsMaterial
} from "./tlsMaterial.ts"

type Sentences = ReadonlyArray<string>

/** The problems of `tls`, as sentences. */
export const tlsProblems: Check = ({ tls = {} }) => [
  ...certificateProblems(tls.ca_certificate, "tls.ca_certificate"),
  ...certificateProblems(tls.client_certificate, "tls.client_certificate"),
  ...clientProblems(tls),
  ...nameProblems(tls.server_name)
]

const certificateProblems = (text: string | undefined, path: string): Sentences => {
  if (text === undefined) return []
  const blocks = pemBlocks(text)
  const certificates = certificatesIn(text)
  if (blocks.some(isPrivateKey)) {
    return [
      `${path} contains a private key, which is a secret: ${certificates.length > 0 ? "remove it there, and " : ""}set it as tls.client_key.`
    ]
  }
  if (certificates.length === 0) return [`${path} ${notPem(text, blocks, "certificate")}`]
  const damaged = certificates.findIndex((certificate) => readCertificate(certificate) === undefined)
  return damaged < 0
    ? []
    : [
        `${path} cannot be read: ${certificates.length === 1 ? "its certificate" : `number ${damaged + 1} of its ${certificates.length} certificates`} is damaged or incomplete. Insert the complete PEM text again.`
      ]
}

const clientProblems = (tls: TlsMaterial): Sentences => {
  const { client_certificate, client_key, client_key_passphrase } = tls
  if (client_key === undefined) {
    return [
      ...(client_certificate === undefined
        ? []
        : ["tls.client_certificate is set without tls.client_key: set both, or neither."]),
      ...(client_key_passphrase === undefined
        ? []
        : ["tls.client_key_passphrase is set without tls.client_key: set both, or neither."])
    ]
  }
  const key = readKey(Redacted.value(client_key), client_key_passphrase)
  if (client_certificate === undefined) {
    return [
      "tls.client_key is set without tls.client_certificate: set both, or neither.",
      ...(Result.isFailure(key) ? [key.failure] : [])
    ]
  }
  if (Result.isFailure(key)) return [key.failure]
  const certificates = certificatesIn(client_certificate)
  if (certificates.length === 0 || certificates.some((text) => readCertificate(text) === undefined)) return []
  if (ownCertificate(certificates, key.success) === undefined) {
    return [
      `tls.client_key does not fit tls.client_certificate: the key belongs to another certificate${certificates.length === 1 ? "" : " than those"}. Set the two that were made together.`
    ]
  }
  const identity = clientIdentity(tls)
  const context = Result.try(() => createSecureContext(identity))
  return Result.isSuccess(context)
    ? []
    : [
        `tls.client_certificate and tls.client_key cannot be used: OpenSSL refuses them (${opensslReason(context.failure)}). Get a certificate with a key of today's length and algorithms.`
      ]
}

/** The private key, or what is wrong with it. */
const readKey = (text: string, redacted: Redacted.Redacted | undefined): Result.Result<KeyObject, string> => {
  const blocks = pemBlocks(text)
  const block = privateKeyIn(text)
  if (block === undefined) return Result.fail(`tls.client_key ${notPem(text, blocks, "key")}`)
  if (block.isEncrypted && redacted === undefined) {
    return Result.fail("tls.client_key is encrypted: set tls.client_key_passphrase.")
  }
  const passphrase = redacted === undefined ? {} : { passphrase: Redacted.value(redacted) }
  return Result.mapError(
    Result.try(() => createPrivateKey({ key: block.text, ...passphrase })),
    (error) => {
      const code = Predicate.hasProperty(error, "code") ? String(error.code) : ""
      if (!block.isEncrypted) return `tls.client_key cannot be read: it is damaged or incomplete. ${again}`
      return code.includes("BAD_DECRYPT")
        ? "tls.client_key cannot be decrypted: tls.client_key_passphrase is wrong (its value is not shown)."
        : `tls.client_key cannot be decrypted: it is damaged, tls.client_key_passphrase is wrong, or its encryption is too old. If it is too old, encrypt the key again with openssl pkcs8 -topk8 -v2 aes-256-cbc.`
    }
  )
}

const again = "Insert the complete PEM text again."

/** OpenSSL's words for an error, such as `ee key too small`. */
const opensslReason = (error: unknown): string => {
  const message = Predicate.hasProperty(error, "message") ? String(error.message) : ""
  return /:([^:]+)$/.exec(message)?.[1] ?? "for an unknown reason"
}

const wanted = {
  certificate: {
    name: "a certificate",
    belongs: "PEM text that begins with -----BEGIN CERTIFICATE-----",
    der: "openssl x509 -inform der -in FILE",
    pkcs12: "openssl pkcs12 -in FILE -nokeys"
  },
  key: {
    name: "a private key",
    belongs: "PEM text that begins with -----BEGIN PRIVATE KEY----- or a similar line",
    der: "openssl pkey -inform der -in FILE",
    pkcs12: "openssl pkcs12 -in FILE -nocerts"
  }
} as const

/** What a text is that contains no certificate or no private key, as the end of a sentence and what to do. */
const notPem = (text: string, blocks: ReadonlyArray<PemBlock>, what: keyof typeof wanted): string => {
  const { belongs, der, name, pkcs12 } = wanted[what]
  const [block] = blocks
  if (block?.label === "OPENSSH PRIVATE KEY") {
    return "is a key in OpenSSH's own form, which TLS does not use. Convert a copy of it with ssh-keygen -p -m PKCS8 -f COPY."
  }
  if (block !== undefined) {
    const other = /CERTIFICATE$/.test(block.label)
      ? "a certificate"
      : `PEM text of another kind (${block.label})`
    return `is ${other}, but must be ${name}: ${belongs}.`
  }
  if (/-----BEGIN /.test(text)) {
    return `is incomplete: its line with -----END is missing, or differs from that with -----BEGIN. ${again}`
  }
  // A sequence of ASN.1. Bytes that are not UTF-8 have been replaced.
  const bytes = /^0[\u0080-\u0084\ufffd]/.test(text) ? Buffer.from(text) : decodedBase64(text)
  if (bytes?.[0] === 0x30) {
    const isPkcs12 = /^0[\s\S]{1,9}\x02\x01\x03/.test(bytes.toString("latin1"))
    return `is ${isPkcs12 ? "PKCS#12" : "in DER or PKCS#12"}, but must be ${belongs}. Convert the file with ${isPkcs12 ? pkcs12 : `${der}, or ${pkcs12}`}.`
  }
  if (/^[\w.~/\\:-]+$/.test(text.trim()) && /[/\\]|\.(pem|crt|cer|key|p12|pfx)$/.test(text.trim())) {
    return `is the name of a file, but must be its content: ${belongs}.`
  }
  return `is not ${name}: it must be ${belongs}.`
}

const nameProblems = (name: string | undefined): Sentences =>
  name === undefined || /^[^\s/:@]+$|^[0-9a-fA-F:.]+$/.test(name)
    ? []
    : [
        `tls.server_name is ${JSON.stringify(name.slice(0, 200))}, but must be the name of a host as it is in the certificate, such as prometheus.example.com, without https:// and port.`
      ]

/** Certificates of the configuration that are not valid now, as sentences. Clocks differ, so a sync may still succeed. */
export const expiryWarnings = (tls: TlsMaterial, nowMillis: number): Sentences => {
  const identity = clientIdentity(tls)
  return [
    ...expiry(authorities(tls), "tls.ca_certificate", nowMillis),
    // Only the client's own: the server may have another path to the root.
    ...expiry(
      identity === undefined ? [] : certificatesIn(identity.cert).slice(0, 1),
      "tls.client_certificate",
      nowMillis
    )
  ]
}

const expiry = (certificates: Sentences, path: string, nowMillis: number): Sentences => {
  const dates = certificates.flatMap((text) => {
    const certificate = readCertificate(text)
    return certificate === undefined
      ? []
      : [{ from: Date.parse(certificate.validFrom), to: Date.parse(certificate.validTo) }]
  })
  const expired = dates.filter(({ to }) => to < nowMillis).map(({ to }) => to)
  const early = dates.filter(({ from }) => from > nowMillis).map(({ from }) => from)
  const subject = (count: number) =>
    dates.length === 1
      ? `The certificate in ${path} is`
      : `${count} of the ${pluralize(dates.length, "certificate")} in ${path} ${count === 1 ? "is" : "are"}`
  return [
    ...(expired.length === 0
      ? []
      : [
          `${subject(expired.length)} no longer valid since ${formatSecond(Math.max(...expired))} by the clock of this machine: renew ${expired.length === 1 ? "it" : "them"}.`
        ]),
    ...(early.length === 0
      ? []
      : [
          `${subject(early.length)} not valid before ${formatSecond(Math.min(...early))} by the clock of this machine: check the clock.`
        ])
  ]
}
