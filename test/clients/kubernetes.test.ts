/** The manifests of examples/kubernetes, checked against the schemas of Kubernetes by kubernetes-validate. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryFolder } from "../destinations/drive.ts"
import { manifestPaths } from "../support/workloads.ts"
import { runPython } from "./python.ts"

const python = inject("python")

/** An older release that is still used, and the newest one of the schemas. */
const releases = ["1.31", "1.37"]

/** Strict: a key that the schemas do not have is an error. */
const validate = Effect.fnUntraced(function* (paths: ReadonlyArray<string>) {
  const folder = yield* temporaryFolder
  return yield* runPython(python ?? "", folder, [
    ...["-m", "kubernetes_validate", "--strict"],
    ...releases.flatMap((release) => ["--kubernetes-version", release]),
    ...paths
  ])
})

describe.runIf(python !== undefined)("the manifests of examples/kubernetes", () => {
  it.live("are what the schemas of Kubernetes allow", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* validate(manifestPaths)
      assert.deepStrictEqual([code, stderr], [0, ""], stdout)
      const lines = stdout.trimEnd().split("\n")
      // All of them passed: a kind without a schema is only a warning.
      for (const line of lines) assert.match(line, /^INFO .* passed for resource \w+\/source-prometheus/)
      assert.lengthOf(lines, 8 * releases.length)
    })
  )

  it.live("would not pass with a misspelled key", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const path = join(folder, "wrong.yaml")
      const text = readFileSync(manifestPaths.find((path) => path.endsWith("backfill.yaml"))!, "utf8")
      writeFileSync(path, text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"))
      const { code, stdout } = yield* validate([path])
      assert.strictEqual(code, 1)
      assert.match(stdout, /ERROR .*readOnlyRootFileSystem/)
    })
  )
})
