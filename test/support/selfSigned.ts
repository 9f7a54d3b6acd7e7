/** A key and a certificate for 127.0.0.1 that nothing trusts by default. They are generated each time, and not stored. */
import { createSign, generateKeyPairSync } from "node:crypto"

/** Both as PEM. */
export interface SelfSigned {
  readonly key: string
  readonly cert: string
}

/** Generates a certificate that is valid from 2020 to 2049. */
export const selfSigned = (): SelfSigned => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const ecdsaWithSha256 = sequence(der(0x06, bytes("2a8648ce3d040302")))
  const commonName = sequence(der(0x06, bytes("550403")), der(0x0c, Buffer.from("127.0.0.1")))
  const name = sequence(der(0x31, commonName))
  const validity = sequence(utcTime("200101000000Z"), utcTime("491231235959Z"))
  const isAuthority = extension("551d13", sequence(der(0x01, bytes("ff"))))
  const addresses = extension("551d11", sequence(der(0x87, Buffer.from([127, 0, 0, 1]))))
  const content = sequence(
    der(0xa0, der(0x02, bytes("02"))),
    der(0x02, bytes("01")),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(isAuthority, addresses))
  )
  const signature = createSign("sha256").update(content).sign(privateKey)
  const certificate = sequence(content, ecdsaWithSha256, der(0x03, Buffer.concat([bytes("00"), signature])))
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`
  }
}

const bytes = (hex: string): Buffer => Buffer.from(hex, "hex")

/** A value in ASN.1's distinguished encoding: a tag, the length, the content. */
const der = (tag: number, content: Buffer): Buffer => {
  const { length } = content
  const encoded =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...encoded]), content])
}

const sequence = (...parts: ReadonlyArray<Buffer>): Buffer => der(0x30, Buffer.concat(parts))

const utcTime = (text: string): Buffer => der(0x17, Buffer.from(text))

const extension = (id: string, content: Buffer): Buffer => sequence(der(0x06, bytes(id)), der(0x04, content))
