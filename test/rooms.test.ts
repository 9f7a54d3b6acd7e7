import { readdirSync, readFileSync } from "node:fs"
import { dirname, normalize } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The rows of the table in CONTRIBUTING.md, from the top floor down. */
const rooms = Array.from(
  readFileSync(`${root}CONTRIBUTING.md`, "utf8").matchAll(/^\| `([^`]+)` \| [^|]+ \| ([^|]*) \|$/gm),
  ([, name = "", imports = ""]) => ({
    name,
    imports: Array.from(imports.matchAll(/`([^`]+)`/g), ([, imported = ""]) => imported)
  })
)

const names = rooms.map(({ name }) => name)

/** The innermost room that a file lies in. */
const roomOf = (file: string): string | undefined =>
  names
    .filter((name) => file.startsWith(`src/${name}/`))
    .reduce<string | undefined>(
      (inner, name) => (inner === undefined || name.length > inner.length ? name : inner),
      undefined
    )

const files = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
  .map((file) => `src/${file.replaceAll("\\", "/")}`)
  .filter((file) => file.endsWith(".ts"))

interface Import {
  readonly from: string
  readonly to: string
}

const imports: ReadonlyArray<Import> = files.flatMap((from) =>
  Array.from(
    readFileSync(root + from, "utf8").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g),
    ([, to = ""]) => ({ from, to: normalize(`${dirname(from)}/${to}`) })
  )
)

/** What leaves `src`: the version, and what bundles the page where the sources run as they are. */
const outside = new Set(["package.json", "scripts/page.ts"])

describe("rooms", () => {
  it("has all files of src in a room, but for the three entries", () => {
    assert.isAbove(files.length, 100)
    assert.deepStrictEqual(files.filter((file) => roomOf(file) === undefined).sort(), [
      "src/bin.ts",
      "src/index.ts",
      "src/testing.ts"
    ])
  })

  it("has files in each room of the table", () => {
    assert.deepStrictEqual(
      names.filter((name) => !files.some((file) => roomOf(file) === name)),
      []
    )
  })

  it("imports only from rooms below", () => {
    assert.isAbove(imports.length, 300)
    const wrong = imports.filter(({ from, to }) => {
      const [upper, lower] = [roomOf(from), roomOf(to)]
      if (outside.has(to) || upper === undefined) return false
      return lower === undefined || names.indexOf(lower) < names.indexOf(upper)
    })
    assert.deepStrictEqual(wrong, [])
  })

  for (const { name, imports: listed } of rooms) {
    it(`imports into ${name} what the table says`, () => {
      const imported = new Set(
        imports.filter(({ from }) => roomOf(from) === name).map(({ to }) => roomOf(to) ?? name)
      )
      imported.delete(name)
      assert.deepStrictEqual([...imported].sort(), [...listed].sort())
    })
  }

  it("has tests in the same rooms, beside the tests of the entire program", () => {
    const everything = "clients conformance docs integration package process scripts shipping support".split(
      " "
    )
    const folders = readdirSync(`${root}test`, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
    const top = new Set(names.map((name) => name.split("/")[0]!))
    assert.deepStrictEqual(
      folders.filter((folder) => !top.has(folder) && !everything.includes(folder)),
      []
    )
  })
})
