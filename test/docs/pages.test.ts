/** The pages of docs and examples: their links lead to files, and the flags that they name exist. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))

const pages = [
  ...readdirSync(join(root, "docs")).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
  "examples/README.md",
  "CONTRIBUTING.md"
]

describe.each(pages)("%s", (page) => {
  const text = readFileSync(join(root, page), "utf8")

  it("links only to files and headings that exist", () => {
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = "", anchor] = target.split("#")
      const file = path === "" ? join(root, page) : join(root, dirname(page), path)
      assert.isTrue(existsSync(file), target)
      if (anchor === undefined) continue
      const headings = Array.from(readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm), ([, heading = ""]) =>
        heading
          .toLowerCase()
          .replace(/[^\w\- ]/g, "")
          .replaceAll(" ", "-")
      )
      assert.include(headings, anchor, target)
    }
  })
})

describe.each(["docs/scale-out.md", "docs/destinations.md"])("%s", (page) => {
  it("names flags of run", () => {
    const code = readFileSync(join(root, page), "utf8").match(/^```sh\n.*?^```|`[^`\n]+`/gms) ?? []
    const flags = code.flatMap((text) => text.match(/(?<![\w-])--[a-z-]+(?![\w.])/g) ?? [])
    assert.isNotEmpty(flags)
    // Another test compares the table with the help.
    const table = /^\| flag \|.*?^$/ms.exec(readFileSync(join(root, "README.md"), "utf8"))![0]
    const known = table.match(/(?<=`)--[a-z-]+/g)!
    for (const flag of new Set(flags)) assert.include(known, flag)
  })
})
