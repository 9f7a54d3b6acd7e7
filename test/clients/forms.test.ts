/** The schema of spec, as platforms in Python use it. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { connectionSpecification } from "../../src/config/spec.ts"
import { accepted, refused } from "../support/formConfigs.ts"
import { script } from "./fixture.ts"
import { runPython } from "./python.ts"

const python = inject("python") ?? ""

describe.runIf(python !== "")("spec in Python's jsonschema", () => {
  it.live("accepts every form that the documentation promises, formats included, and refuses others", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped()
      const given = join(folder, "given.json")
      const schema = connectionSpecification()
      writeFileSync(given, JSON.stringify({ schema, configs: [...accepted, ...refused] }))
      const { code, stderr, stdout } = yield* runPython(python, folder, [script("forms.py"), given])
      assert.strictEqual(code, 0, stderr)
      const result = JSON.parse(stdout) as {
        readonly checks_formats: boolean
        readonly problems: ReadonlyArray<ReadonlyArray<string>>
      }
      assert.isTrue(result.checks_formats)
      for (const [index, config] of accepted.entries()) {
        assert.deepStrictEqual(result.problems[index], [], JSON.stringify(config))
      }
      for (const [index, config] of refused.entries()) {
        assert.isNotEmpty(result.problems[accepted.length + index], JSON.stringify(config))
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
