import { execFileSync } from "node:child_process"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { layer } from "../../../src/destinations/jsonl/JsonLinesFolder.ts"
import { put, temporaryFolder } from "../drive.ts"

describe("the preview command of JSON lines", () => {
  it.live.each([false, true])("works, whatever the folder is called (gzip: %s)", (gzip) =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "it's $HOME [1]*")
      const command = yield* Effect.andThen(
        put("up", "incremental_append", 0, 1),
        Effect.map(Destination, ({ previewCommand }) => previewCommand("up"))
      ).pipe(Effect.provide(layer({ path: folder, source: "http://mock", labelColumns: true, gzip })))
      const lines = execFileSync("sh", ["-c", command]).toString().trim().split("\n")
      assert.lengthOf(lines, 2)
      assert.include(lines[0], '"value":0')
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
