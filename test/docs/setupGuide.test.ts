import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import packageJson from "../../package.json" with { type: "json" }
import { pages, withReference } from "../../scripts/keyReference.ts"

const guide = readFileSync("docs/prometheus.md", "utf8")

/** The rows of the table under a heading, as their cells. */
const tableUnder = (heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const section = guide.split(new RegExp(`^#+ ${heading}$`, "m"))[1]!
  const lines = section.slice(section.indexOf("\n|")).trimStart().split("\n")
  return lines
    .slice(
      2,
      lines.findIndex((line) => !line.startsWith("|"))
    )
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim())
    )
}

const unquoted = (cell: string): string => cell.replaceAll("`", "")

describe("the setup guide", () => {
  it("has the headings that Airbyte requires, in order", () => {
    assert.deepStrictEqual(
      [...guide.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading),
      [
        "Prerequisites",
        "Setup guide",
        "Supported sync modes",
        "Supported Streams",
        "Performance considerations",
        "Data type map",
        "Limitations & Troubleshooting",
        "Changelog"
      ]
    )
  })

  it("quotes messages that exist in the sources", () => {
    const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(`src/${file}`, "utf8"))
      .join("\n")
    for (const [message] of tableUnder("Limitations & Troubleshooting")) {
      for (const part of unquoted(message!).split("…")) assert.include(sources, part.trim(), message)
    }
  })

  it("ends with the version of the package", () => {
    assert.strictEqual(tableUnder("Changelog")[0]![0], packageJson.version)
  })
})

describe("the reference of keys", () => {
  it.each(pages)("in %s matches the table of keys; `node scripts/keyReference.ts` updates it", (page) => {
    const text = readFileSync(page, "utf8")
    assert.strictEqual(text, withReference(text))
  })
})
