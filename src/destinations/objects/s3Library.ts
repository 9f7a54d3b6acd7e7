/**
 * AWS' client for S3 and for the stores that speak its protocol. It is large: this module is loaded only when a store is opened,
 * and is the only one that imports it. It must not import Effect, which its file would have again.
 *
 * Keys, the region and the endpoint come from where AWS' own tools have them: variables, profiles, files and roles.
 */
import { Agent as HttpAgent } from "node:http"
import { Agent as HttpsAgent } from "node:https"
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand
} from "@aws-sdk/client-s3"
import { retries } from "./retries.ts"
import type { S3Settings, Send } from "./S3Requests.ts"

const commands = {
  AbortMultipartUpload: AbortMultipartUploadCommand,
  CompleteMultipartUpload: CompleteMultipartUploadCommand,
  CopyObject: CopyObjectCommand,
  CreateMultipartUpload: CreateMultipartUploadCommand,
  DeleteObject: DeleteObjectCommand,
  GetObject: GetObjectCommand,
  HeadObject: HeadObjectCommand,
  ListMultipartUploads: ListMultipartUploadsCommand,
  ListObjectsV2: ListObjectsV2Command,
  PutObject: PutObjectCommand,
  UploadPart: UploadPartCommand,
  UploadPartCopy: UploadPartCopyCommand
}

/** For connecting, and until the response to a request begins. */
const CONNECT_MILLIS = 10_000
const RESPONSE_MILLIS = 120_000

/** The region of stores that have none, and of a machine that names none. */
const DEFAULT_REGION = "us-east-1"

/** Stores that only have an address per bucket, as Amazon's own does it for others. */
const perBucket = /(^|\.)(amazonaws\.com(\.cn)?|aliyuncs\.com|myqcloud\.com)$/

/** A client, which sends requests until it is closed. `ca`: the certificates of the authorities to trust, if not Node's own. */
export const openClient = async (environment: NodeJS.ProcessEnv, ca?: ReadonlyArray<string>) => {
  // With `proxyEnv`, Node uses the usual variables for proxies.
  const agentOptions = { keepAlive: true, maxSockets: 64, proxyEnv: environment }
  const client = new S3Client({
    ...(await ownRegion(environment)),
    retryStrategy: retries,
    followRegionRedirects: true,
    // Not all stores know the newer checksums. The signature covers the content of each request.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: CONNECT_MILLIS,
      requestTimeout: RESPONSE_MILLIS,
      throwOnRequestTimeout: true,
      httpAgent: new HttpAgent(agentOptions),
      httpsAgent: new HttpsAgent({ ...agentOptions, ...(ca === undefined ? {} : { ca: [...ca] }) })
    }
  })
  // Others have one address for all buckets. Only here it is known whether the endpoint is one of them.
  const { endpointProvider } = client.config
  let endpoint: string | undefined
  let isPerBucket = true
  client.config.endpointProvider = (params, context) => {
    const given = params.Endpoint
    endpoint = given?.replace(/\/\/[^/@]*@/, "//").replace(/\/$/, "")
    isPerBucket = given === undefined || perBucket.test(new URL(given).hostname)
    return endpointProvider(isPerBucket ? params : { ...params, ForcePathStyle: true }, context)
  }
  const send: Send = async (operation, input, signal) => {
    const Command = commands[operation] as unknown as new (of: typeof input) => never
    return await client.send(new Command(input), signal === undefined ? {} : { abortSignal: signal })
  }
  return {
    send,
    /** The configured endpoint; undefined for Amazon's own, or before the first request. */
    endpoint: () => endpoint,
    settings: async (): Promise<S3Settings> => {
      const { accessKeyId, expiration, secretAccessKey, sessionToken } = await client.config.credentials()
      return {
        accessKeyId,
        secretAccessKey,
        sessionToken,
        expiresAtMillis: expiration?.getTime(),
        region: await client.config.region(),
        hasBucketInPath: !isPerBucket || client.config.forcePathStyle === true
      }
    },
    close: () => client.destroy()
  }
}

/** A region for the client if the library finds none. */
const ownRegion = async (environment: NodeJS.ProcessEnv) => {
  const probe = new S3Client({})
  try {
    await probe.config.region()
    return {}
  } catch {
    return { region: environment.AWS_DEFAULT_REGION || DEFAULT_REGION }
  } finally {
    probe.destroy()
  }
}
