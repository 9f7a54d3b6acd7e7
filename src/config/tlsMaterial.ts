/** The certificates and the key of the configuration, as TLS needs them. Valid configurations only. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"
import { Redacted, Result } from "effect"
import type { Config } from "./keys.ts"
import { isCertificate, isPrivateKey, pemBlocks } from "./pem.ts"

/** The keys about certificates. */
export type TlsMaterial = Omit<NonNullable<Config["tls"]>, "verify">

/** What a client presents to a server. */
export interface ClientIdentity {
  /** The client's own certificate, then those of the authorities between it and the root. */
  readonly cert: string
  readonly key: string
  readonly passphrase?: string
}

/** The certificates of `tls.ca_certificate`. */
export const authorities = ({ ca_certificate = "" }: TlsMaterial): ReadonlyArray<string> =>
  certificatesIn(ca_certificate)

/** The certificates in a text. */
export const certificatesIn = (text: string): ReadonlyArray<string> =>
  pemBlocks(text)
    .filter(isCertificate)
    // Node does not read the older names.
    .map(({ text }) => text.replaceAll("X509 CERTIFICATE", "CERTIFICATE"))

/** The first private key in a text. */
export const privateKeyIn = (text: string) => pemBlocks(text).find(isPrivateKey)

/** The client's certificate and key. The certificates may be in any order: the client's own is the one that the key fits. */
export const clientIdentity = (tls: TlsMaterial): ClientIdentity | undefined => {
  const { client_certificate, client_key, client_key_passphrase } = tls
  if (client_certificate === undefined || client_key === undefined) return undefined
  const { text: key = "" } = privateKeyIn(Redacted.value(client_key)) ?? {}
  const certificates = certificatesIn(client_certificate)
  const passphrase =
    client_key_passphrase === undefined ? {} : { passphrase: Redacted.value(client_key_passphrase) }
  const own = ownCertificate(certificates, createPrivateKey({ key, ...passphrase }))
  const others = certificates.filter((certificate) => certificate !== own)
  return { cert: [own ?? "", ...others].join(""), key, ...passphrase }
}

/** The certificate that a key fits. */
export const ownCertificate = (certificates: ReadonlyArray<string>, key: KeyObject): string | undefined =>
  certificates.find((certificate) => readCertificate(certificate)?.checkPrivateKey(key))

/** A certificate, or undefined if it is damaged. */
export const readCertificate = (text: string): X509Certificate | undefined =>
  Result.getOrUndefined(Result.try(() => new X509Certificate(text)))
