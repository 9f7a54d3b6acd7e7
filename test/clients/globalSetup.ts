import { Effect } from "effect"
import type { TestProject } from "vitest/node"
import { ensurePrometheus, ensureS3Server } from "../support/binaries.ts"
import { inCi } from "../support/runs.ts"
import { ensurePython } from "./python.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** The Python with Airbyte's clients; undefined if it is not available. */
    readonly python: string | undefined
  }
}

/** Runs once before the tests of the clients. If it cannot provide the clients, the tests are skipped, or fail in CI. */
export const setup = (project: TestProject): Promise<void> =>
  Effect.runPromise(
    Effect.promise(() => ensurePrometheus()).pipe(
      Effect.andThen(Effect.promise(() => ensureS3Server())),
      Effect.andThen(ensurePython),
      Effect.catch((error) => {
        if (inCi) return Effect.fail(error)
        console.error(
          `\nLEFT OUT: the tests with Airbyte's own Python clients (test/clients), because their Python is not available.
${error.message}
Then run them with: npx vitest run --project clients\n`
        )
        return Effect.undefined
      }),
      Effect.map((python) => project.provide("python", python))
    )
  )
