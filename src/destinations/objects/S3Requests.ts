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

/** An open client. */
export interface S3Client {
  readonly send: Send
  /** The configured endpoint; undefined for Amazon's own, or before the first request. */
  readonly endpoint: () => string | undefined
  readonly close: () => void
}
