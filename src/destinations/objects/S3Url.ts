/** The address of a prefix in a bucket: `s3://BUCKET/PREFIX`. */
import { Result } from "effect"

export interface S3Url {
  readonly bucket: string
  /** Without a slash at its beginning or end; empty for the complete bucket. */
  readonly prefix: string
  /** The address without a slash at its end. */
  readonly url: string
}

const SCHEME = "s3://"

/** Whether a place is meant to be in S3. */
export const isS3Url = (place: string): boolean => place.slice(0, SCHEME.length).toLowerCase() === SCHEME

/** The room that the program's own names need: a key has at most 1024 bytes. */
const MOST_PREFIX_BYTES = 600

/** Parses an address. Fails with the end of a sentence: what is wrong, and what to do. */
export const parseS3Url = (text: string): Result.Result<S3Url, string> => {
  const [bucket = "", ...rest] = text.slice(SCHEME.length).split("/")
  if (bucket === "") return Result.fail("has no bucket: write s3://BUCKET/PREFIX")
  if (bucket.includes("@") || bucket.includes(":")) {
    return Result.fail(
      "has more than the name of a bucket: give keys and the endpoint in variables or a profile, as to AWS' own tools"
    )
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/.test(bucket)) {
    return Result.fail(`has a bucket that cannot exist: ${JSON.stringify(bucket)}`)
  }
  // Slashes at the beginning and end have no meaning; between them, they are part of the names.
  while (rest[0] === "") rest.shift()
  while (rest.at(-1) === "") rest.pop()
  if (rest.some((part) => part === "" || part === "." || part === "..")) {
    return Result.fail('has an empty part, "." or ".." in its prefix, which many programs do not read')
  }
  const prefix = rest.join("/")
  if (!prefix.isWellFormed() || /\p{Cc}/u.test(prefix)) {
    return Result.fail("has characters in its prefix that are not allowed in the name of an object")
  }
  if (Buffer.byteLength(prefix) > MOST_PREFIX_BYTES) return Result.fail("has a prefix that is too long")
  return Result.succeed({ bucket, prefix, url: `${SCHEME}${[bucket, ...rest].join("/")}` })
}
