import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import packageJson from "../../package.json" with { type: "json" }
import { connectionSpecification } from "../../src/config/spec.ts"

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
  it("has the headings that Airbyte wants, in their order", () => {
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

  it("lists the options of the spec, as they are there", () => {
    const { properties, required } = connectionSpecification() as unknown as {
      readonly properties: Record<
        string,
        { readonly title: string; readonly type: string; readonly default?: unknown }
      >
      readonly required: ReadonlyArray<string>
    }
    assert.deepStrictEqual(
      tableUnder("Options").map((cells) => cells.slice(0, 5).map(unquoted)),
      Object.entries(properties).map(([key, option]) => [
        option.title,
        key,
        option.type,
        required.includes(key) ? "yes" : "",
        option.default === undefined ? "" : String(option.default)
      ])
    )
  })

  it("quotes messages that there are", () => {
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
