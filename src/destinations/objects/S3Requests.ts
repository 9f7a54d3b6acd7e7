/** The requests of S3 that the program sends, and what sends them. Only `s3Library.ts` loads AWS' client. */
import type {
  AbortMultipartUploadCommandInput,
  AbortMultipartUploadCommandOutput,
  CompleteMultipartUploadCommandInput,
  CompleteMultipartUploadCommandOutput,
  CopyObjectCommandInput,
  CopyObjectCommandOutput,
  CreateMultipartUploadCommandInput,
  CreateMultipartUploadCommandOutput,
  DeleteObjectCommandInput,
  DeleteObjectCommandOutput,
  GetObjectCommandInput,
  GetObjectCommandOutput,
  HeadObjectCommandInput,
  HeadObjectCommandOutput,
  ListMultipartUploadsCommandInput,
  ListMultipartUploadsCommandOutput,
  ListObjectsV2CommandInput,
  ListObjectsV2CommandOutput,
  PutObjectCommandInput,
  PutObjectCommandOutput,
  UploadPartCommandInput,
  UploadPartCommandOutput,
  UploadPartCopyCommandInput,
  UploadPartCopyCommandOutput
} from "@aws-sdk/client-s3"

/** The input and the output of each operation. */
export interface Operations {
  readonly AbortMultipartUpload: [AbortMultipartUploadCommandInput, AbortMultipartUploadCommandOutput]
  readonly CompleteMultipartUpload: [
    CompleteMultipartUploadCommandInput,
    CompleteMultipartUploadCommandOutput
  ]
  readonly CopyObject: [CopyObjectCommandInput, CopyObjectCommandOutput]
  readonly CreateMultipartUpload: [CreateMultipartUploadCommandInput, CreateMultipartUploadCommandOutput]
  readonly DeleteObject: [DeleteObjectCommandInput, DeleteObjectCommandOutput]
  readonly GetObject: [GetObjectCommandInput, GetObjectCommandOutput]
  readonly HeadObject: [HeadObjectCommandInput, HeadObjectCommandOutput]
  readonly ListMultipartUploads: [ListMultipartUploadsCommandInput, ListMultipartUploadsCommandOutput]
  readonly ListObjectsV2: [ListObjectsV2CommandInput, ListObjectsV2CommandOutput]
  readonly PutObject: [PutObjectCommandInput, PutObjectCommandOutput]
  readonly UploadPart: [UploadPartCommandInput, UploadPartCommandOutput]
  readonly UploadPartCopy: [UploadPartCopyCommandInput, UploadPartCopyCommandOutput]
}

export type Operation = keyof Operations

/** Sends a request, and again if that may help. */
export type Send = <O extends Operation>(
  operation: O,
  input: Operations[O][0],
  signal?: AbortSignal
) => Promise<Operations[O][1]>

/** What another program needs to send requests like the client's. */
export interface S3Settings {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | undefined
  /** When the key ends, in milliseconds since the epoch; undefined if it does not. */
  readonly expiresAtMillis: number | undefined
  readonly region: string
  /** Whether the bucket is in the path of addresses, and not in the name of the host. */
  readonly hasBucketInPath: boolean
}

/** An open client. */
export interface S3Client {
  /** The present keys, which the client renews. */
  readonly settings: () => Promise<S3Settings>
  readonly send: Send
  /** The configured endpoint; undefined for Amazon's own, or before the first request. */
  readonly endpoint: () => string | undefined
  readonly close: () => void
}
