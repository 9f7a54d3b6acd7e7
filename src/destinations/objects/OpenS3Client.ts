/** What tests replace of the requests to S3. */
import { Context } from "effect"
import { trustedAuthorities } from "./authorities.ts"
import type { S3Client } from "./S3Requests.ts"

/** How a client is opened. Tests replace it, to stop a run at any of its requests. */
export const OpenS3Client = Context.Reference<() => Promise<S3Client>>(
  "source-prometheus/destinations/objects/OpenS3Client",
  {
    defaultValue: () => async () => {
      const ca = await trustedAuthorities(process.env)
      return (await import("./s3Library.ts")).openClient(process.env, ca)
    }
  }
)

/** The sizes at which objects are sent or copied in several requests. */
export const S3Sizes = Context.Reference<{ readonly partBytes: number; readonly copyBytes: number }>(
  "source-prometheus/destinations/objects/S3Sizes",
  // A copy in one request may have at most 5 GiB.
  { defaultValue: () => ({ partBytes: 16 * 1024 * 1024, copyBytes: 4 * 1024 ** 3 }) }
)
