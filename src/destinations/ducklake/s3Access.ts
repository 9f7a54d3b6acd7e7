/**
 * DuckDB's access to the data in S3. Its keys come from where AWS' own tools have them: variables, profiles, files and roles. They
 * are in DuckDB's memory only, and are replaced before they expire.
 */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Clock, Effect, Result } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import type { DestinationError } from "../Destination.ts"
import { OpenS3Client } from "../objects/OpenS3Client.ts"
import type { S3Settings } from "../objects/S3Requests.ts"
import { parseS3Url } from "../objects/S3Url.ts"
import { s3Error } from "../objects/s3Error.ts"
import { loadExtension } from "../tables/extensions.ts"
import { quoteText } from "../tables/quoteSql.ts"

/** A key is replaced if it expires within this time. AWS' client renews it five minutes before. */
const RENEW_MILLIS = 240_000

/** Where the data of a DuckLake is in S3. */
export interface S3Access {
  readonly bucket: string
  readonly region: string
  readonly endpoint: string | undefined
  readonly hasBucketInPath: boolean
  /** Replaces keys that will expire soon. */
  readonly renew: Effect.Effect<void, DestinationError>
  /** Removes an object by its URL. */
  readonly remove: (url: string) => Effect.Effect<void, DestinationError>
  /** Replaces the keys in a text. */
  readonly mask: (text: string) => string
}

/** The members of a secret of DuckDB, but for the keys. */
export const secretPlace = ({
  bucket,
  endpoint,
  hasBucketInPath,
  region
}: Pick<S3Access, "bucket" | "endpoint" | "hasBucketInPath" | "region">): ReadonlyArray<string> => {
  const url = endpoint === undefined ? undefined : new URL(endpoint)
  return [
    `REGION ${quoteText(region)}`,
    ...(url === undefined
      ? region.startsWith("cn-")
        ? [`ENDPOINT ${quoteText(`s3.${region}.amazonaws.com.cn`)}`]
        : []
      : [
          `ENDPOINT ${quoteText(`${url.host}${url.pathname.replace(/\/+$/, "")}`)}`,
          `USE_SSL ${url.protocol === "https:"}`
        ]),
    ...(hasBucketInPath ? ["URL_STYLE 'path'"] : []),
    `SCOPE ${quoteText(`s3://${bucket}/`)}`
  ]
}

/** Gives DuckDB access to a place in S3 until the scope closes. */
export const openS3Access = Effect.fnUntraced(function* (dataPath: string, connection: DuckDBConnection) {
  const parsed = parseS3Url(dataPath)
  if (Result.isFailure(parsed)) {
    return yield* new ConfigError({ message: `The data path ${dataPath} ${parsed.failure}.` })
  }
  const { bucket, prefix, url } = parsed.success
  const openClient = yield* OpenS3Client
  const errorOf = (error: unknown) =>
    s3Error({ what: "opened", url, bucket, permission: "s3:ListBucket", endpoint: client?.endpoint() }, error)
  let client: Awaited<ReturnType<typeof openClient>> | undefined
  const opened = yield* Effect.acquireRelease(
    Effect.tryPromise({ try: openClient, catch: errorOf }),
    (client) => Effect.sync(client.close)
  )
  client = opened
  yield* loadExtension(connection, "httpfs")
  // Finds the endpoint, and says in a sentence what is wrong with the keys or the bucket.
  yield* Effect.tryPromise({
    try: () => opened.send("ListObjectsV2", { Bucket: bucket, Prefix: prefix, MaxKeys: 1 }),
    catch: errorOf
  })
  const secrets = new Set<string>()
  const mask = (text: string): string =>
    Array.from(secrets).reduce((masked, secret) => masked.replaceAll(secret, "****"), text)
  const endpoint = opened.endpoint()
  let present: S3Settings | undefined
  const save = Effect.tryPromise({
    try: async () => {
      const settings = await opened.settings()
      const { accessKeyId, secretAccessKey, sessionToken } = settings
      for (const secret of [secretAccessKey, sessionToken]) if (secret) secrets.add(secret)
      const members = [
        "TYPE s3",
        "PROVIDER config",
        `KEY_ID ${quoteText(accessKeyId)}`,
        `SECRET ${quoteText(secretAccessKey)}`,
        ...(sessionToken ? [`SESSION_TOKEN ${quoteText(sessionToken)}`] : []),
        ...secretPlace({ ...settings, bucket, endpoint })
      ]
      try {
        await connection.run(`CREATE OR REPLACE TEMPORARY SECRET data_keys (${members.join(", ")})`)
      } catch (error) {
        // The text of the statement is part of some errors.
        throw new Error(mask(error instanceof Error ? error.message : String(error)))
      }
      present = settings
      return settings
    },
    catch: errorOf
  })
  const { hasBucketInPath, region } = yield* save
  const access: S3Access = {
    bucket,
    region,
    endpoint,
    hasBucketInPath,
    renew: Effect.gen(function* () {
      const expires = present?.expiresAtMillis
      if (expires !== undefined && expires - (yield* Clock.currentTimeMillis) < RENEW_MILLIS) yield* save
    }),
    remove: (url) =>
      Effect.asVoid(
        Effect.tryPromise({
          try: () =>
            opened.send("DeleteObject", { Bucket: bucket, Key: url.slice(`s3://${bucket}/`.length) }),
          catch: errorOf
        })
      ),
    mask
  }
  return access
})
