import { assert, describe, it } from "@effect/vitest"
import { appearanceOf, coloured, paintFor, plain } from "../../src/terminal/Appearance.ts"

describe("appearanceOf", () => {
  it("detects a terminal from the environment", () => {
    const on = { isLive: true, hasColours: true }
    const off = { isLive: false, hasColours: false }
    assert.deepStrictEqual(appearanceOf({ TERM: "xterm" }, true), on)
    assert.deepStrictEqual(appearanceOf({ TERM: "xterm" }, false), off)
    assert.deepStrictEqual(appearanceOf({ TERM: "dumb" }, true), off)
    assert.deepStrictEqual(appearanceOf({ NO_COLOR: "1" }, true), { isLive: true, hasColours: false })
    // As no-color.org specifies.
    assert.deepStrictEqual(appearanceOf({ NO_COLOR: "" }, true), on)
    assert.deepStrictEqual(appearanceOf({ FORCE_COLOR: "1", NO_COLOR: "1" }, false), {
      isLive: false,
      hasColours: true
    })
    assert.deepStrictEqual(appearanceOf({ FORCE_COLOR: "0" }, true), { isLive: true, hasColours: false })
  })
})

describe("paintFor", () => {
  it("colours a text if the terminal has colours", () => {
    assert.strictEqual(paintFor({ isLive: true, hasColours: true }), coloured)
    assert.strictEqual(paintFor({ isLive: true, hasColours: false }), plain)
    assert.strictEqual(coloured("bad", "no"), "\u001b[31mno\u001b[0m")
    assert.strictEqual(coloured("bad", ""), "")
    assert.strictEqual(plain("bad", "no"), "no")
  })
})
