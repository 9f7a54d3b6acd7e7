/** An input file, as a platform passes it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"

/** Writes a file that is deleted with the scope: a string unchanged, anything else as JSON. */
export const inputFile = (content: unknown): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "input-file-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ).pipe(
    Effect.map((folder) => {
      const path = join(folder, "input.json")
      writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))
      return path
    })
  )
