/** Checks signatures with AWS' own library, from what arrived. */
import { createHash, createHmac, type Hash, type Hmac } from "node:crypto"
import { SignatureV4 } from "@smithy/signature-v4"
import type { AwsKeys } from "../../src/prometheus/http/authentication/awsSignature.ts"

/** A request as it arrived. */
export interface Arrived {
  readonly method: string
  /** The path and the query, not decoded. */
  readonly target: string
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** What an `Authorization` header claims. */
export interface Claim {
  readonly accessKeyId: string
  readonly date: string
  readonly region: string
  readonly service: string
  readonly signedHeaders: ReadonlyArray<string>
}

/** Parses `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`. */
export const claimOf = (authorization = ""): Claim | undefined => {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/([^/,]+)\/aws4_request, SignedHeaders=([^,]+), Signature=[0-9a-f]{64}$/.exec(
      authorization
    )
  if (match === null) return undefined
  const [, accessKeyId = "", date = "", region = "", service = "", names = ""] = match
  return { accessKeyId, date, region, service, signedHeaders: names.split(";") }
}

/** The `Authorization` header that AWS' library computes for a request, over these of its headers. */
export const expectedAuthorization = async (
  { body, headers, method, target }: Arrived,
  keys: AwsKeys,
  { region, service, signedHeaders }: Pick<Claim, "region" | "service" | "signedHeaders">,
  { uriEscapePath = true } = {}
): Promise<string> => {
  const query = target.indexOf("?")
  const signer = new SignatureV4({
    credentials: {
      accessKeyId: keys.accessKeyId,
      secretAccessKey: keys.secretAccessKey,
      ...(keys.sessionToken === undefined ? {} : { sessionToken: keys.sessionToken })
    },
    region,
    service,
    sha256: Sha256,
    applyChecksum: false,
    uriEscapePath
  })
  const signed = await signer.sign(
    {
      method,
      protocol: "http:",
      hostname: "",
      path: query < 0 ? target : target.slice(0, query),
      query: strictQuery(query < 0 ? "" : target.slice(query + 1)),
      headers: Object.fromEntries(signedHeaders.map((name) => [name, headers[name] ?? ""])),
      body
    },
    { signingDate: dateOf(headers["x-amz-date"] ?? "") }
  )
  return signed.headers.authorization ?? ""
}

/** A query by RFC 3986, where `+` is no blank: not all services of AWS read forms. */
const strictQuery = (query: string): Record<string, Array<string>> => {
  const values = new Map<string, Array<string>>()
  for (const pair of query.split("&").filter((pair) => pair !== "")) {
    const [name = "", ...rest] = pair.split("=")
    const key = decodeURIComponent(name)
    values.set(key, [...(values.get(key) ?? []), decodeURIComponent(rest.join("="))])
  }
  return Object.fromEntries(values)
}

const dateOf = (amzDate: string): Date =>
  new Date(amzDate.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"))

/** SHA-256, with a key as HMAC, in the form that the library wants. */
export class Sha256 {
  private readonly hash: Hash | Hmac

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.hash =
      secret === undefined
        ? createHash("sha256")
        : createHmac("sha256", typeof secret === "string" ? secret : bytesOf(secret))
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.hash.update(typeof data === "string" ? data : bytesOf(data))
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.hash.digest())
  }

  reset(): void {}
}

const bytesOf = (data: ArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)
