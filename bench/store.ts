/** An S3 server on the same machine, as the tests have it: the Versity gateway, with its objects on the same disk. */
import { Effect } from "effect"
import { ensureS3Server } from "../test/support/binaries.ts"
import * as S3 from "../test/support/s3.ts"

/** Its bucket. */
export const BUCKET = "metrics"

/** Starts a server, which the commands find by their environment, and always stops it. */
export const withStore = async <A>(use: () => Promise<A>): Promise<A> => {
  await ensureS3Server()
  return Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(S3.make({ buckets: [BUCKET] }), ({ environment, server }) =>
        Effect.promise(() => {
          process.once("exit", () => server.child?.kill("SIGKILL"))
          Object.assign(process.env, environment)
          return use()
        })
      )
    )
  )
}
