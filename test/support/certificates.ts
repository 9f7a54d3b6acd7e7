/** Keys and certificates of any kind. They are generated each time, and not stored; nothing trusts them by default. */
import { createSign, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto"
import { isIPv4 } from "node:net"

/** What is in a certificate. */
export interface CertificateOptions {
  readonly commonName?: string
  /** Names and IPv4 addresses of hosts. */
  readonly hosts?: ReadonlyArray<string>
  /** It may issue others. */
  readonly isAuthority?: boolean
  /** When it is valid: 2020 to 2049 by default. */
  readonly from?: Date
  readonly to?: Date
  readonly keyType?: "ec" | "rsa"
  /** The length of an RSA key. */
  readonly bits?: number
  /** Its issuer; itself by default. */
  readonly issuer?: Certificate
}

/** A certificate with its key, as PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
  readonly privateKey: KeyObject
  readonly subject: Buffer
}

/** Generates a key and a certificate. */
export const certificate = (options: CertificateOptions = {}): Certificate => {
  const { commonName, hosts = [], isAuthority = false, issuer, keyType = "ec", bits = 2048 } = options
  const { from = new Date("2020-01-01T00:00:00Z"), to = new Date("2049-12-31T23:59:59Z") } = options
  const { privateKey, publicKey } = generate(keyType, bits)
  const subject = nameOf(commonName ?? hosts[0] ?? "test")
  const { privateKey: signingKey, subject: issuerName } = issuer ?? { privateKey, subject }
  const algorithm = signingKey.asymmetricKeyType === "rsa" ? sha256WithRsa : ecdsaWithSha256
  const content = sequence(
    der(0xa0, der(0x02, bytes("02"))),
    der(0x02, Buffer.concat([bytes("01"), randomBytes(12)])),
    algorithm,
    issuerName,
    sequence(utcTime(from), utcTime(to)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(
      0xa3,
      sequence(
        ...(isAuthority ? [extension("551d13", sequence(der(0x01, bytes("ff"))))] : []),
        ...(hosts.length === 0 ? [] : [extension("551d11", sequence(...hosts.map(hostName)))])
      )
    )
  )
  const signature = createSign("sha256").update(content).sign(signingKey)
  const encoded = sequence(content, algorithm, der(0x03, Buffer.concat([bytes("00"), signature])))
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${encoded.toString("base64").replace(/.{64}(?!$)/g, "$&\n")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    privateKey,
    subject
  }
}

const generate = (keyType: "ec" | "rsa", modulusLength: number) =>
  keyType === "ec"
    ? generateKeyPairSync("ec", { namedCurve: "P-256" })
    : generateKeyPairSync("rsa", { modulusLength })

const bytes = (hex: string): Buffer => Buffer.from(hex, "hex")

/** A value in ASN.1's distinguished encoding: a tag, the length, the content. */
const der = (tag: number, content: Buffer): Buffer => {
  const { length } = content
  const encoded =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...encoded]), content])
}

const sequence = (...parts: ReadonlyArray<Buffer>): Buffer => der(0x30, Buffer.concat(parts))

/** Such as `261129193000Z`. */
const utcTime = (time: Date): Buffer =>
  der(0x17, Buffer.from(`${time.toISOString().replace(/\D/g, "").slice(2, 14)}Z`))

const extension = (id: string, content: Buffer): Buffer => sequence(der(0x06, bytes(id)), der(0x04, content))

const nameOf = (commonName: string): Buffer =>
  sequence(der(0x31, sequence(der(0x06, bytes("550403")), der(0x0c, Buffer.from(commonName)))))

const hostName = (host: string): Buffer =>
  isIPv4(host) ? der(0x87, Buffer.from(host.split(".").map(Number))) : der(0x82, Buffer.from(host))

const ecdsaWithSha256 = sequence(der(0x06, bytes("2a8648ce3d040302")))

const sha256WithRsa = sequence(der(0x06, bytes("2a864886f70d01010b")), bytes("0500"))
