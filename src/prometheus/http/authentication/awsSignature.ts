/** AWS Signature Version 4: signs a request in its headers. */
import { AwsV4Signer } from "aws4fetch"

/** An access key. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Only temporary keys have one. */
  readonly sessionToken?: string | undefined
}

/** What a signature is valid for. */
export interface SignatureScope {
  readonly region: string
  readonly service: string
  readonly timeMillis: number
}

/** The parts of a request that are signed. */
export interface SignedParts {
  readonly method: string
  readonly url: URL
  /** Besides `host`, `x-amz-date` and `x-amz-security-token`. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer> | undefined
}

/** Options for one signature. */
export interface SignatureOptions {
  /** Derived keys, which are the same for a day. */
  readonly cache?: Map<string, ArrayBuffer>
  /** The path is encoded once, as S3 and AWS' published examples have it. Other services encode what was sent again. */
  readonly singleEncode?: boolean
}

/** Signs a request. Returns the signed headers, with `authorization`. */
export const signedHeaders = async (
  { body, headers, method, url }: SignedParts,
  keys: AwsKeys,
  { region, service, timeMillis }: SignatureScope,
  { cache, singleEncode = false }: SignatureOptions = {}
): Promise<Readonly<Record<string, string>>> => {
  const signer = new AwsV4Signer({
    method,
    url: url.href,
    headers: { ...headers },
    accessKeyId: keys.accessKeyId,
    secretAccessKey: keys.secretAccessKey,
    region,
    service,
    datetime: amzDate(timeMillis),
    allHeaders: true,
    singleEncode,
    ...(body === undefined ? {} : { body }),
    ...(keys.sessionToken === undefined ? {} : { sessionToken: keys.sessionToken }),
    ...(cache === undefined ? {} : { cache })
  })
  return Object.fromEntries((await signer.sign()).headers)
}

/** The hash of a body. */
export const bodyHash = async (body: Uint8Array<ArrayBuffer>): Promise<string> =>
  Buffer.from(await crypto.subtle.digest("SHA-256", body)).toString("hex")

/** A time such as `20150830T123600Z`. */
export const amzDate = (millis: number): string => new Date(millis).toISOString().replace(/[:-]|\.\d{3}/g, "")

/** Parses such a time into milliseconds since the epoch. */
export const parseAmzDate = (text: string): number | undefined => {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second] = parts
  const millis = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(millis) ? undefined : millis
}

/**
 * An address whose query is written as it is signed. AWS decodes a query before it checks the signature, and not all of its
 * services read `+` as a blank. A parameter without a name has no place in a signature, and means nothing.
 */
export const withSignableQuery = (url: URL): URL => {
  const signable = new URL(url)
  signable.hash = ""
  signable.search = [...url.searchParams]
    .filter(([name]) => name !== "")
    .map((pair) => pair.map(percentEncode).join("="))
    .join("&")
  return signable
}

/** Encodes all but the unreserved characters of RFC 3986. */
const percentEncode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  )
