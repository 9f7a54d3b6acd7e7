/** A prefix of an S3 bucket as an object store. */
import { createWriteStream } from "node:fs"
import { open, rm, stat } from "node:fs/promises"
import type { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { setTimeout } from "node:timers/promises"
import { Effect, Option } from "effect"
import { DestinationError } from "../Destination.ts"
import { systemError } from "../folder/durably.ts"
import type { ObjectStore, StoredBytes } from "./ObjectStore.ts"
import { OpenS3Client, S3Sizes } from "./OpenS3Client.ts"
import type { Operation, Operations } from "./S3Requests.ts"
import type { S3Url } from "./S3Url.ts"
import { nameOf, s3Error, statusOf } from "./s3Error.ts"

/** The most parts of an upload, by S3's limits. */
const MOST_PARTS = 10_000

/** How often a download is started, and a put that met another one. */
const ATTEMPTS = 5

/** The longest pause after such a put. */
const CONFLICT_MILLIS = 500

const permissions: Record<Operation, string> = {
  AbortMultipartUpload: "s3:AbortMultipartUpload",
  CompleteMultipartUpload: "s3:PutObject",
  CopyObject: "s3:GetObject and s3:PutObject",
  CreateMultipartUpload: "s3:PutObject",
  DeleteObject: "s3:DeleteObject",
  GetObject: "s3:GetObject",
  HeadObject: "s3:GetObject and s3:ListBucket",
  ListMultipartUploads: "s3:ListBucketMultipartUploads",
  ListObjectsV2: "s3:ListBucket",
  PutObject: "s3:PutObject",
  UploadPart: "s3:PutObject",
  UploadPartCopy: "s3:GetObject and s3:PutObject"
}

const verbs: Record<Operation, string> = {
  AbortMultipartUpload: "cleaned",
  CompleteMultipartUpload: "written",
  CopyObject: "written",
  CreateMultipartUpload: "written",
  DeleteObject: "removed",
  GetObject: "read",
  HeadObject: "read",
  ListMultipartUploads: "read",
  ListObjectsV2: "read",
  PutObject: "written",
  UploadPart: "written",
  UploadPartCopy: "written"
}

/** Opens a store until the scope closes. Nothing is sent yet. */
export const openS3Store = Effect.fnUntraced(function* ({ bucket, prefix, url }: S3Url) {
  const openClient = yield* OpenS3Client
  const { copyBytes, partBytes } = yield* S3Sizes
  const client = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: openClient,
      catch: (error) =>
        error instanceof DestinationError
          ? error
          : s3Error({ what: "opened", url, bucket, permission: "s3:ListBucket", endpoint: undefined }, error)
    }),
    (client) => Effect.sync(client.close)
  )
  const keyOf = (key: string): string => (prefix === "" ? key : `${prefix}/${key}`)
  const nameIn = (key: string): string => (key === "" ? url : `${url}/${key}`)
  const at = (key: string) => ({ Bucket: bucket, Key: keyOf(key) })

  const errorOf = (operation: Operation, key: string, error: unknown): DestinationError =>
    error instanceof DestinationError
      ? error
      : s3Error(
          {
            what: verbs[operation],
            url: nameIn(key),
            bucket,
            permission: permissions[operation],
            endpoint: client.endpoint()
          },
          error
        )

  /** An error with the operation that failed. Its names are those of S3. */
  class Failed {
    readonly operation: Operation
    readonly error: unknown
    constructor(operation: Operation, error: unknown) {
      this.operation = operation
      this.error = error
    }
  }
  const send = async <O extends Operation>(
    operation: O,
    input: Operations[O][0]
  ): Promise<Operations[O][1]> => {
    try {
      return await client.send(operation, input)
    } catch (error) {
      throw new Failed(operation, error)
    }
  }
  const isNamed = (error: unknown, names: RegExp): error is Failed =>
    error instanceof Failed && (names.test(nameOf(error.error)) || names.test(`${statusOf(error.error)}`))

  /** Runs requests about a key. They are not interrupted halfway. */
  const attempt = <A>(key: string, otherwise: Operation, run: () => Promise<A>) =>
    Effect.uninterruptible(
      Effect.tryPromise({
        try: run,
        catch: (error) =>
          error instanceof Failed
            ? errorOf(error.operation, key, error.error)
            : errorOf(otherwise, key, error)
      })
    )

  const isMissing = (error: unknown): boolean => isNamed(error, /^(NoSuchKey|NotFound)$/)

  const readObject = async (key: string): Promise<StoredBytes | undefined> => {
    for (let left = ATTEMPTS; ; left--) {
      try {
        const { Body, ETag, LastModified } = await send("GetObject", at(key))
        const bytes = await Body!.transformToByteArray()
        return { bytes, version: ETag ?? "", modifiedMillis: LastModified?.getTime() ?? 0 }
      } catch (error) {
        if (isMissing(error)) return undefined
        // A body that was cut off is not repeated by the client.
        if (left === 1 || error instanceof Failed) throw error
      }
    }
  }

  const putObject = async (key: string, bytes: Uint8Array, version: string | undefined) => {
    for (let left = ATTEMPTS; ; left--) {
      try {
        const { ETag } = await send("PutObject", {
          ...at(key),
          Body: bytes,
          ContentLength: bytes.length,
          ...(version === undefined ? { IfNoneMatch: "*" } : { IfMatch: version })
        })
        return ETag ?? ""
      } catch (error) {
        // Another put at the same moment.
        if (isNamed(error, /^(ConditionalRequestConflict|OperationAborted|409)$/) && left > 1) {
          await setTimeout(Math.random() * CONFLICT_MILLIS)
          continue
        }
        if (!isNamed(error, /^(PreconditionFailed|412)$/) && !isMissing(error)) throw error
        // The put may have taken effect although its response was lost, and was then repeated.
        const found = await readObject(key)
        return found !== undefined && Buffer.from(found.bytes).equals(bytes) ? found.version : undefined
      }
    }
  }

  /** Lists with an operation that continues. */
  const list = async (start: string) => {
    const objects: Array<{ key: string; bytes: number }> = []
    const skipped = prefix === "" ? 0 : prefix.length + 1
    for (let token: string | undefined; ; ) {
      const page = await send("ListObjectsV2", {
        Bucket: bucket,
        Prefix: keyOf(start),
        ...(token === undefined ? {} : { ContinuationToken: token })
      })
      for (const { Key = "", Size = 0 } of page.Contents ?? [])
        objects.push({ key: Key.slice(skipped), bytes: Size })
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined
      if (token === undefined) return objects
    }
  }

  /** Sends an object in parts. What was sent of one that fails is removed. */
  const inParts = async (
    key: string,
    bytes: number,
    size: number,
    sendPart: (
      upload: { UploadId: string; PartNumber: number },
      start: number,
      end: number
    ) => Promise<string>
  ) => {
    const { UploadId = "" } = await send("CreateMultipartUpload", at(key))
    try {
      const Parts: Array<{ ETag: string; PartNumber: number }> = []
      for (let start = 0; start < bytes; start += size) {
        const PartNumber = Parts.length + 1
        const end = Math.min(bytes, start + size)
        Parts.push({ PartNumber, ETag: await sendPart({ UploadId, PartNumber }, start, end) })
      }
      await send("CompleteMultipartUpload", { ...at(key), UploadId, MultipartUpload: { Parts } }).catch(
        async (error: unknown) => {
          // It may have been completed although its response was lost, and was then repeated.
          const found = isNamed(error, /^NoSuchUpload$/) ? await list(key) : []
          if (!found.some((object) => object.key === key && object.bytes === bytes)) throw error
        }
      )
    } catch (error) {
      await send("AbortMultipartUpload", { ...at(key), UploadId }).catch(() => {})
      throw error
    }
  }

  const upload = async (key: string, path: string) => {
    const { size: bytes } = await stat(path)
    const file = await open(path, "r")
    const slice = async (start: number, end: number) => {
      const buffer = Buffer.allocUnsafe(end - start)
      for (let at = 0; at < buffer.length; ) {
        const { bytesRead } = await file.read(buffer, at, buffer.length - at, start + at)
        if (bytesRead === 0) throw Object.assign(new Error("the file was cut off"), { code: "EIO" })
        at += bytesRead
      }
      return buffer
    }
    try {
      if (bytes <= partBytes) {
        await send("PutObject", { ...at(key), Body: await slice(0, bytes), ContentLength: bytes })
        return
      }
      const size = Math.max(partBytes, Math.ceil(bytes / MOST_PARTS))
      await inParts(key, bytes, size, async (upload, start, end) => {
        const Body = await slice(start, end)
        const { ETag = "" } = await send("UploadPart", {
          ...at(key),
          ...upload,
          Body,
          ContentLength: Body.length
        })
        return ETag
      })
    } finally {
      await file.close()
    }
  }

  const download = async (key: string, path: string) => {
    for (let left = ATTEMPTS; ; left--) {
      const { Body, ContentLength } = await send("GetObject", at(key))
      try {
        await pipeline(Body as Readable, createWriteStream(path, { mode: 0o600 }))
        const { size } = await stat(path)
        if (ContentLength !== undefined && size !== ContentLength) {
          throw Object.assign(new Error("the object was cut off"), { code: "ECONNRESET" })
        }
        return
      } catch (error) {
        await rm(path, { force: true })
        const code = nameOf(error)
        if (/^E(NOSPC|DQUOT|ACCES|ROFS|MFILE|NFILE|FBIG)$/.test(code))
          throw systemError("written", path, code, "")
        if (left === 1) throw error
      }
    }
  }

  const copy = async (from: string, to: string, bytes: number) => {
    const CopySource = encodeURIComponent(`${bucket}/${keyOf(from)}`).replaceAll("%2F", "/")
    try {
      if (bytes <= copyBytes) {
        await send("CopyObject", { ...at(to), CopySource })
        return true
      }
      await inParts(to, bytes, copyBytes, async (upload, start, end) => {
        const { CopyPartResult } = await send("UploadPartCopy", {
          ...at(to),
          ...upload,
          CopySource,
          CopySourceRange: `bytes=${start}-${end - 1}`
        })
        return CopyPartResult?.ETag ?? ""
      })
      return true
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
  }

  const exists = async (key: string) => {
    try {
      await send("HeadObject", at(key))
      return true
    } catch (error) {
      if (isMissing(error)) return false
      // The response to this request never says why it is refused. That to a list does.
      if (!isNamed(error, /^[34]\d\d$/)) throw error
      return (await list(key)).some((object) => object.key === key)
    }
  }

  const remove = async (key: string) => {
    await send("DeleteObject", at(key)).catch((error: unknown) => {
      // Amazon's store reports no error then. Others do if another process is faster.
      if (!isMissing(error)) throw error
    })
  }

  const abortUploads = async (start: string) => {
    for (;;) {
      const { Uploads = [] } = await send("ListMultipartUploads", { Bucket: bucket, Prefix: keyOf(start) })
      if (Uploads.length === 0) return
      for (const { Key, UploadId } of Uploads) {
        await send("AbortMultipartUpload", { Bucket: bucket, Key, UploadId }).catch((error: unknown) => {
          if (!isNamed(error, /^NoSuchUpload$/)) throw error
        })
      }
    }
  }

  const store: ObjectStore = {
    url,
    endpoint: client.endpoint,
    get: (key) =>
      Effect.map(
        attempt(key, "GetObject", () => readObject(key)),
        Option.fromUndefinedOr
      ),
    put: (key, bytes, { version }) =>
      Effect.map(
        attempt(key, "PutObject", () => putObject(key, bytes, version)),
        Option.fromUndefinedOr
      ),
    upload: (key, path) => attempt(key, "PutObject", () => upload(key, path)),
    download: (key, path) => attempt(key, "GetObject", () => download(key, path)),
    copy: (from, to, bytes) => attempt(to, "CopyObject", () => copy(from, to, bytes)),
    exists: (key) => attempt(key, "HeadObject", () => exists(key)),
    remove: (key) => attempt(key, "DeleteObject", () => remove(key)),
    list: (start) => attempt(start, "ListObjectsV2", () => list(start)),
    // Not all stores have this, and what is left is no part of the data.
    abortUploads: (start) => Effect.ignore(attempt(start, "ListMultipartUploads", () => abortUploads(start)))
  }
  return store
})
