/** The certificate authorities that a store's certificate may be from. */
import { readFile } from "node:fs/promises"
import { getCACertificates } from "node:tls"
import { systemError } from "../folder/durably.ts"
import { nameOf } from "./s3Error.ts"

/** Those of Node, and the one that AWS' other tools trust too. Undefined if there is no such one: AWS' client knows of none. */
export const trustedAuthorities = async ({
  AWS_CA_BUNDLE: path
}: NodeJS.ProcessEnv): Promise<ReadonlyArray<string> | undefined> => {
  if (path === undefined || path === "") return undefined
  try {
    return [...getCACertificates("default"), await readFile(path, "utf8")]
  } catch (error) {
    throw systemError("read", `${path} (AWS_CA_BUNDLE)`, nameOf(error), `${String(error)}.`)
  }
}
