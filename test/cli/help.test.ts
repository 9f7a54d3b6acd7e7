import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import type { HelpDoc } from "effect/cli"
import { helpText } from "../../src/cli/help.ts"
import { flagsOf, helpSections } from "../../src/cli/keyFlags.ts"
import { keysWithPaths } from "../../src/config/Key.ts"
import { keys } from "../../src/config/keys.ts"
import { coloured, plain } from "../../src/terminal/Appearance.ts"

const flag = (name: string, type: string, description: string): HelpDoc.FlagDoc => ({
  name,
  aliases: [],
  type,
  description: Option.some(description),
  required: false
})

const doc = {
  description: "Does something.",
  usage: "it [flags]",
  commandPath: ["it", "run"],
  flags: [
    flag("url", "URL", "Where it is"),
    flag(
      "token-file",
      "FILE",
      "File that contains a token, which another program may renew while this one runs"
    ),
    flag("json", "boolean", "As JSON")
  ],
  globalFlags: [flag("help", "boolean", "Show help")],
  globalFlagsScope: ["it", "run"],
  annotations: undefined as never,
  examples: [{ command: "it run", description: "Try it" }]
} as HelpDoc.HelpDoc

const sectionOf = (name: string) => (name === "token-file" ? "FLAGS FOR TOKENS" : undefined)

describe("helpText", () => {
  it("has a section for each kind of flag, and wraps their descriptions", () => {
    assert.strictEqual(
      helpText(doc, sectionOf, { columns: 60, paint: plain }),
      [
        "DESCRIPTION",
        "  Does something.",
        "",
        "USAGE",
        "  it [flags]",
        "",
        "FLAGS",
        "  --url URL            Where it is",
        "  --json               As JSON",
        "",
        "FLAGS FOR TOKENS",
        "  --token-file FILE    File that contains a token, which",
        "                       another program may renew while this",
        "                       one runs",
        "",
        "GLOBAL FLAGS",
        "  --help    Show help",
        "",
        "EXAMPLES",
        "  # Try it",
        "  it run"
      ].join("\n")
    )
  })

  it("keeps a line per flag without a terminal, and has colours in one", () => {
    const wide = helpText(doc, sectionOf, { columns: Number.POSITIVE_INFINITY, paint: plain })
    assert.include(wide, "which another program may renew while this one runs\n")
    const painted = helpText(doc, sectionOf, { columns: Number.POSITIVE_INFINITY, paint: coloured })
    assert.isAbove(painted.indexOf("GLOBAL FLAGS"), painted.indexOf("FLAGS FOR TOKENS"))
    assert.notStrictEqual(painted, wide)
  })

  it("leaves help without flags as it is", () => {
    const text = helpText({ ...doc, flags: [] }, sectionOf, { columns: 80, paint: plain })
    assert.notMatch(text, /^FLAGS/m)
    assert.notMatch(text, /\n\n\n/)
  })
})

describe("helpSections", () => {
  it("separates what says how to reach a server", () => {
    const sections = helpSections(keys)
    assert.strictEqual(sections.get("token-file"), "FLAGS FOR AUTHENTICATION")
    assert.strictEqual(sections.get("auth"), "FLAGS FOR AUTHENTICATION")
    assert.strictEqual(sections.get("user"), "FLAGS FOR AUTHENTICATION")
    assert.strictEqual(sections.get("ca-file"), "FLAGS FOR THE CONNECTION")
    assert.strictEqual(sections.get("proxy"), "FLAGS FOR THE CONNECTION")
    assert.isUndefined(sections.get("url"))
    assert.isUndefined(sections.get("select"))
    assert.isAbove(Object.keys(flagsOf(keys)).length, sections.size)
  })
})

describe("secrets", () => {
  it("are taken by no flag: each has a flag with a file, or a refusal of them", () => {
    for (const { key, path } of keysWithPaths(keys)) {
      if (!key.isSecret || key.flag === undefined || key.variants !== undefined) continue
      assert.isTrue(/-file$/.test(key.flag.name) || key.flag.refusal !== undefined, path)
    }
    const refusal = keys.proxy_url.flag?.refusal
    assert.isDefined(refusal?.("http://u:p@proxy"))
    assert.isUndefined(refusal?.("http://proxy:3128"))
  })
})
