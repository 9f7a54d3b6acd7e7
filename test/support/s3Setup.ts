import { Effect, Exit, Scope } from "effect"
import * as S3 from "./s3.ts"

/** The variables with the address of the server that all tests of a project share, and the folder of its objects. */
export const S3_ENDPOINT = "TEST_S3_ENDPOINT"
export const S3_DATA = "TEST_S3_DATA"

/** Runs an S3 server until all tests of a project have ended. */
export const setup = async (): Promise<() => Promise<void>> => {
  const scope = Scope.makeUnsafe()
  const { data, endpoint } = await Effect.runPromise(Scope.provide(S3.make(), scope))
  process.env[S3_ENDPOINT] = endpoint
  process.env[S3_DATA] = data
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
