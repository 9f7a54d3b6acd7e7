import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { compile, names } from "../../scripts/wasm.ts"

describe("the programs of the hot loops", () => {
  it("are four", () => {
    assert.deepStrictEqual(names, ["appendLines", "checksum", "decodeXor", "scanSamples"])
  })

  for (const name of names) {
    it(`are what their sources compile to: ${name}`, async () => {
      assert.strictEqual(readFileSync(`src/wasm/${name}.wasm.ts`, "utf8"), await compile(name))
    })
  }
})
