import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const program = fileURLToPath(new URL("../support/arrayBuffersPeak.ts", import.meta.url))

const peakOf = (...args: ReadonlyArray<string>): number =>
  Number(execFileSync(process.execPath, [program, ...args], { encoding: "utf8" }))

describe("keepExternalMemoryLow", () => {
  it("lets less garbage accumulate than V8 does", () => {
    // 8 MB live.
    assert.isBelow(peakOf("low"), 50)
    assert.isAbove(peakOf(), 60)
  })
})
