/** Reads PEM text (RFC 7468) as people paste it into forms, and writes it as OpenSSL expects it. */

/** One block of PEM text. */
export interface PemBlock {
  /** The words after BEGIN, such as `CERTIFICATE`. */
  readonly label: string
  /** Whether a passphrase is needed to read it. */
  readonly isEncrypted: boolean
  /** The block in its usual form: lines of 64 characters, and a line feed at the end. */
  readonly text: string
}

/**
 * The blocks of a text. Forms and variables turn line feeds into spaces, into nothing, or into a backslash and an n; all of them
 * mean the same, as Base64 has none of these. Text around the blocks is a comment.
 */
export const pemBlocks = (text: string): ReadonlyArray<PemBlock> =>
  [...plain(text).matchAll(BLOCK)].map(([, label = "", content = ""]) => {
    const headers = ENCRYPTION.exec(content)
    const body = content.slice(headers?.[0].length ?? 0).replace(/\s+/g, "")
    const lines = [
      `-----BEGIN ${label}-----`,
      ...(headers === null ? [] : ["Proc-Type: 4,ENCRYPTED", `DEK-Info: ${headers[1]}`, ""]),
      ...(body.match(/.{1,64}/g) ?? []),
      `-----END ${label}-----`
    ]
    return {
      label,
      isEncrypted: headers !== null || label === "ENCRYPTED PRIVATE KEY",
      text: `${lines.join("\n")}\n`
    }
  })

const BLOCK = /-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,40})-----(.*?)-----END \1-----/gs

/** The headers of a key that is encrypted in OpenSSL's traditional form. */
const ENCRYPTION = /^\s*Proc-Type:\s*4,\s*ENCRYPTED\s+DEK-Info:\s*([A-Z0-9-]+,[0-9A-Fa-f]+)\s+/

/** Without escapes, and without the Base64 that Kubernetes puts around its secrets. */
const plain = (text: string): string => {
  const decoded = text.includes("-----BEGIN") ? "" : (decodedBase64(text)?.toString("latin1") ?? "")
  return (decoded.includes("-----BEGIN") ? decoded : text).replace(/\\r\\n|\\n|\\r/g, "\n")
}

/** The bytes of a text in Base64. Undefined if it is none. */
export const decodedBase64 = (text: string): Buffer | undefined => {
  const body = text.replace(/\s+/g, "")
  return body !== "" && /^[A-Za-z0-9+/]+={0,2}$/.test(body) ? Buffer.from(body, "base64") : undefined
}

/** Whether a block is a certificate. */
export const isCertificate = ({ label }: PemBlock): boolean =>
  label === "CERTIFICATE" || label === "X509 CERTIFICATE" || label === "TRUSTED CERTIFICATE"

/** Whether a block is a private key in a form that OpenSSL reads. */
export const isPrivateKey = ({ label }: PemBlock): boolean =>
  /^((ENCRYPTED|RSA|EC|DSA) )?PRIVATE KEY$/.test(label)
