/** The S3 server of the tests does what AWS documents where the program depends on it. */
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as S3 from "../support/s3.ts"

describe("the S3 server for tests", () => {
  it.live("compares and swaps for one of many writers, and checks keys, signatures and the region", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* S3.make()
      const client = (credentials = S3.s3Keys, region = S3.s3Region) =>
        new S3Client({ endpoint, region, forcePathStyle: true, credentials })
      const put = (given: S3Client, input: Readonly<Record<string, string>>) =>
        given.send(new PutObjectCommand({ Bucket: "metrics", Key: "a b/ü", ...input }))
      const nameOf = (error: unknown) => (error as Error).name
      yield* Effect.promise(async () => {
        let version: string | undefined
        for (let round = 0; round < 20; round++) {
          const condition: Record<string, string> =
            version === undefined ? { IfNoneMatch: "*" } : { IfMatch: version }
          const all = await Promise.all(
            Array.from({ length: 8 }, (_, writer) =>
              put(client(), { Body: `${round} ${writer}`, ...condition }).catch(nameOf)
            )
          )
          const saved = all.filter((result) => typeof result !== "string")
          assert.lengthOf(saved, 1)
          assert.deepStrictEqual(
            all.filter((result) => typeof result === "string"),
            new Array(7).fill("PreconditionFailed")
          )
          version = saved[0]!.ETag!
        }
        const wrong = { ...S3.s3Keys, secretAccessKey: "wrong" }
        assert.strictEqual(await put(client(wrong), {}).catch(nameOf), "SignatureDoesNotMatch")
        assert.strictEqual(
          await put(client(S3.s3Keys, "us-west-2"), {}).catch(nameOf),
          "AuthorizationHeaderMalformed"
        )
        assert.strictEqual(await put(client(), { Bucket: "missing" }).catch(nameOf), "NoSuchBucket")
      })
    }).pipe(Effect.scoped)
  )
})
