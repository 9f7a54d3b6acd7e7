/**
 * AWS: Amazon Managed Service for Prometheus in front of a server, and where credentials come from: STS, the endpoint of
 * containers, and instance metadata. Each signature is computed again by AWS' own library from what arrived.
 */
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"
import type { AwsKeys } from "../../../src/prometheus/http/authentication/awsSignature.ts"
import { type Arrived, claimOf, expectedAuthorization } from "../awsSignatureCheck.ts"
import { json, type Layer } from "./fake.ts"

export const REGION = "eu-central-1"
export const ROLE = "arn:aws:iam::123456789012:role/reader"
export const EXTERNAL_ID = "tenant-4711"
export const WEB_IDENTITY = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwb2QifQ.c2lnbmF0dXJlLW9mLWEtcG9k"
export const CONTAINER_TOKEN = "Bearer container-token-1234"

/** The token of a sign-in with `aws sso login`. */
export const SSO_TOKEN = "sso-token-of-a-person-0123456789"

const SSO_QUERY = "role_name=Reader%20of%20metrics&account_id=123456789012"

/** Below this path the workspace has the API of Prometheus. */
export const WORKSPACE = "/workspaces/ws-6b1d6d4f-0c5b-4e4b-8a6f-2f7c1d9f3a10"

/** A key that AWS knows. */
interface KnownKeys extends AwsKeys {
  readonly expiresAtMillis?: number
}

export interface AwsCloudOptions {
  /** How long temporary keys are valid. */
  readonly lifeSeconds?: number
  /** An error of STS instead of keys. */
  readonly stsError?: { readonly status: number; readonly code: string; readonly message: string }
}

/** A running cloud. */
export interface AwsCloud {
  /** The address of STS, and of the endpoints of machines. */
  readonly endpoint: string
  /** The keys of a user. */
  readonly user: AwsKeys
  /** Makes other keys for the user. */
  readonly newKeys: () => AwsKeys
  /** From now on, AWS does not know the key. */
  readonly revoke: (keys?: AwsKeys) => void
  /** Verifies signatures. */
  readonly layer: Layer
  /** What was refused, by name. */
  readonly refusals: ReadonlyArray<string>
  /** The actions of STS and the endpoints of machines that issued keys, and for which role or key. */
  readonly issued: ReadonlyArray<string>
  readonly secrets: () => ReadonlyArray<string>
}

const FIVE_MINUTES = 300_000

/** Runs a cloud until the scope closes. */
export const awsCloud = (options: AwsCloudOptions = {}): Effect.Effect<AwsCloud, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => open(options)),
      ({ close }) => Effect.promise(close)
    ),
    ({ cloud }) => cloud
  )

const open = async ({ lifeSeconds = 3600, stsError }: AwsCloudOptions) => {
  const known = new Map<string, KnownKeys>()
  const secrets = new Set<string>([WEB_IDENTITY, SSO_TOKEN, "container-token-1234"])
  const refusals: Array<string> = []
  const issued: Array<string> = []
  let count = 0

  const newKeys = (more: Partial<KnownKeys> = {}): KnownKeys => {
    count++
    const keys = {
      accessKeyId: `${more.sessionToken === undefined ? "AKIA" : "ASIA"}EXAMPLE${count}`,
      secretAccessKey: `secret/Key+${count}/abcdefghijklmnop`,
      ...more
    }
    known.set(keys.accessKeyId, keys)
    secrets.add(keys.secretAccessKey)
    if (keys.sessionToken !== undefined) secrets.add(keys.sessionToken)
    return keys
  }

  const temporary = (from: string) => {
    issued.push(from)
    return newKeys({
      sessionToken: `Fwo/Token+${count + 1}//////////qrstuvwxyz==`,
      expiresAtMillis: Date.now() + lifeSeconds * 1000
    })
  }

  /** The name and text of the refusal of a request, or the key that signed it. */
  const verify = async (request: Arrived, service: string): Promise<AwsKeys | readonly [string, string]> => {
    const { authorization } = request.headers
    if (authorization === undefined)
      return ["MissingAuthenticationTokenException", "Missing Authentication Token"]
    const claim = claimOf(authorization)
    if (claim === undefined) return ["IncompleteSignatureException", "Authorization header is not valid"]
    if (claim.service !== service) {
      return ["InvalidSignatureException", `Credential should be scoped to correct service: '${service}'.`]
    }
    if (claim.region !== REGION) {
      return ["InvalidSignatureException", "Credential should be scoped to a valid region."]
    }
    for (const name of ["host", "x-amz-date", ...(request.body.length > 0 ? ["content-type"] : [])]) {
      if (!claim.signedHeaders.includes(name)) {
        return ["InvalidSignatureException", `'${name}' must be a 'SignedHeader' in the AWS Authorization.`]
      }
    }
    const keys = known.get(claim.accessKeyId)
    if (keys === undefined || request.headers["x-amz-security-token"] !== keys.sessionToken) {
      return ["UnrecognizedClientException", "The security token included in the request is invalid."]
    }
    if (keys.expiresAtMillis !== undefined && keys.expiresAtMillis <= Date.now()) {
      return ["ExpiredTokenException", "The security token included in the request is expired"]
    }
    const expected = await expectedAuthorization(request, keys, claim)
    if (expected !== authorization) {
      return [
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
      ]
    }
    const skew = clockProblem(request.headers["x-amz-date"] ?? "")
    return skew === undefined ? keys : ["InvalidSignatureException", skew]
  }

  const layer: Layer = async (ask, next) => {
    const verified = await verify(ask, "aps")
    if (!("accessKeyId" in verified)) {
      const [name, message] = verified
      refusals.push(name)
      return json(403, { message }, { "x-amzn-errortype": `${name}:`, date: new Date().toUTCString() })
    }
    return ask.path.startsWith(WORKSPACE)
      ? next({ ...ask, path: ask.path.slice(WORKSPACE.length) })
      : json(404, { message: "Not Found" })
  }

  const sts = async (request: Arrived, response: ServerResponse) => {
    const form = new URLSearchParams(Buffer.from(request.body).toString())
    const action = form.get("Action") ?? ""
    const refuse = (status: number, code: string, message: string) => {
      refusals.push(`sts:${code}`)
      xml(
        response,
        status,
        `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`
      )
    }
    if (stsError !== undefined) return refuse(stsError.status, stsError.code, stsError.message)
    if (action === "AssumeRole") {
      const verified = await verify(request, "sts")
      if (!("accessKeyId" in verified)) {
        const [name, message] = verified
        const code = name.includes("UnrecognizedClient")
          ? "InvalidClientTokenId"
          : name.replace(/Exception$/, "")
        return refuse(403, code, message)
      }
      if (form.get("RoleArn") !== ROLE || form.get("ExternalId") !== EXTERNAL_ID) {
        return refuse(
          403,
          "AccessDenied",
          `User: arn:aws:iam::123456789012:user/reader is not authorized to perform: sts:AssumeRole on resource: ${form.get("RoleArn")}`
        )
      }
    } else if (form.get("WebIdentityToken") !== WEB_IDENTITY || form.get("RoleArn") !== ROLE) {
      return refuse(
        400,
        "InvalidIdentityToken",
        "Couldn't retrieve verification key from your identity provider"
      )
    }
    const keys = temporary(`${action} ${form.get("RoleSessionName")}`)
    xml(
      response,
      200,
      `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials><AccessKeyId>${keys.accessKeyId}</AccessKeyId><SecretAccessKey>${keys.secretAccessKey}</SecretAccessKey><SessionToken>${keys.sessionToken}</SessionToken><Expiration>${expirationOf(keys)}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA:1</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/reader/1</Arn></AssumedRoleUser></${action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></${action}Response>`
    )
  }

  const handle = async (incoming: IncomingMessage, response: ServerResponse) => {
    const request = await arrived(incoming)
    const { headers, method, target } = request
    const document = (name: string) => {
      const keys = temporary(name)
      return {
        Code: "Success",
        Type: "AWS-HMAC",
        AccessKeyId: keys.accessKeyId,
        SecretAccessKey: keys.secretAccessKey,
        Token: keys.sessionToken,
        LastUpdated: new Date().toISOString(),
        Expiration: expirationOf(keys)
      }
    }
    if (method === "POST" && target === "/") return sts(request, response)
    if (target === "/container") {
      return headers.authorization === CONTAINER_TOKEN
        ? plain(response, 200, document("container"))
        : plain(response, 403, { Code: "AccessDenied", Message: "wrong token" })
    }
    if (target === `/federation/credentials?${SSO_QUERY}`) {
      const { AccessKeyId, Expiration, SecretAccessKey, Token } = document("sso")
      return headers["x-amz-sso_bearer_token"] === SSO_TOKEN
        ? plain(response, 200, {
            roleCredentials: {
              accessKeyId: AccessKeyId,
              secretAccessKey: SecretAccessKey,
              sessionToken: Token,
              expiration: Date.parse(Expiration)
            }
          })
        : plain(response, 401, { message: "Session token not found or invalid" })
    }
    if (target === "/latest/api/token" && method === "PUT") return plain(response, 200, "imds-token")
    if (target.startsWith("/latest/") && headers["x-aws-ec2-metadata-token"] !== "imds-token") {
      return plain(response, 401, "")
    }
    if (target === "/latest/meta-data/iam/security-credentials/") return plain(response, 200, "reader")
    if (target === "/latest/meta-data/iam/security-credentials/reader") {
      return plain(response, 200, document("metadata"))
    }
    plain(response, 404, "")
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const user = newKeys()
  const cloud: AwsCloud = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    user,
    newKeys,
    revoke: (keys) => {
      if (keys === undefined) known.clear()
      else known.delete(keys.accessKeyId)
    },
    layer,
    refusals,
    issued,
    secrets: () => [...secrets]
  }
  const close = async () => {
    const closed = once(server, "close")
    server.close()
    server.closeAllConnections()
    await closed
  }
  return { close, cloud }
}

/** As AWS says that a clock is wrong; undefined if it is not. */
const clockProblem = (amzDate: string): string | undefined => {
  const sent = Date.parse(amzDate.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"))
  const text = (millis: number) => new Date(millis).toISOString().replace(/[:-]|\.\d{3}/g, "")
  const now = Date.now()
  if (sent < now - FIVE_MINUTES) {
    return `Signature expired: ${amzDate} is now earlier than ${text(now - FIVE_MINUTES)} (${text(now)} - 5 min.)`
  }
  return sent > now + FIVE_MINUTES
    ? `Signature not yet current: ${amzDate} is still later than ${text(now + FIVE_MINUTES)} (${text(now)} + 5 min.)`
    : undefined
}

const expirationOf = ({ expiresAtMillis = 0 }: KnownKeys): string =>
  new Date(expiresAtMillis).toISOString().replace(/\.\d{3}/, "")

const arrived = async (request: IncomingMessage): Promise<Arrived> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  return {
    method: request.method ?? "GET",
    target: request.url ?? "/",
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, `${value}`])),
    body: Buffer.concat(chunks)
  }
}

const xml = (response: ServerResponse, status: number, body: string) =>
  void response.writeHead(status, { "content-type": "text/xml" }).end(body)

const plain = (response: ServerResponse, status: number, body: unknown) =>
  void response
    .writeHead(status, { "content-type": typeof body === "string" ? "text/plain" : "application/json" })
    .end(typeof body === "string" ? body : JSON.stringify(body))
