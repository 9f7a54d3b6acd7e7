/** A key and a certificate for 127.0.0.1 that nothing trusts by default. They are generated each time, and not stored. */
import { certificate } from "./certificates.ts"

/** Both as PEM. */
export interface SelfSigned {
  readonly key: string
  readonly cert: string
}

/** Generates a certificate that is valid from 2020 to 2049. */
export const selfSigned = (): SelfSigned => {
  const { cert, key } = certificate({ hosts: ["127.0.0.1"], isAuthority: true })
  return { cert, key }
}
