import { assert, describe, it } from "@effect/vitest"
import { parseExternalLabels } from "../../../src/prometheus/remoteRead/externalLabels.ts"

const parse = (...lines: ReadonlyArray<string>) => {
  const labels = parseExternalLabels(`${lines.join("\n")}\n`)
  return labels === undefined ? undefined : Object.fromEntries(labels)
}

const withLabels = (...lines: ReadonlyArray<string>) =>
  parse(
    "global:",
    "  scrape_interval: 1m",
    "  external_labels:",
    ...lines,
    "  other: 1",
    "rule_files:",
    "- a"
  )

describe("external labels in a configuration", () => {
  it("are none without the key", () => {
    assert.deepStrictEqual(parse("global:", "  scrape_interval: 1m"), {})
    assert.deepStrictEqual(
      parse("global:", "  scrape_interval: 1m", "remote_write:", "  external_labels:"),
      {}
    )
  })

  it("are unknown in another text", () => {
    assert.isUndefined(parse(""))
    assert.isUndefined(parse("<secret>"))
    assert.isUndefined(parse("scrape_configs: []"))
  })

  it.each([
    ["    region: eu", { region: "eu" }],
    ["    k8s.cluster: x y", { "k8s.cluster": "x y" }],
    ['    "yes": "yes"', { yes: "yes" }],
    ["    'a''b': 'it''s: \"'", { "a'b": "it's: \"" }],
    ['    a: "\\uFEFF\\x78\\U0001F600\\t\\\\\\" \\e"', { a: '\ufeffx😀\t\\" \x1b' }],
    ['    a: "#1"', { a: "#1" }],
    ['    a: it\'s "q" \\', { a: 'it\'s "q" \\' }],
    ["    a: word word\n      word\n    b: 'x y\n      z'", { a: "word word word", b: "x y z" }]
  ])("are read in all forms: %s", (lines, expected) => {
    assert.deepStrictEqual<unknown>(withLabels(...lines.split("\n")), expected)
  })

  it.each([
    "    a: |\n      b\n      c",
    "    a: >-\n      b",
    "    a: 'b",
    '    a: "b',
    '    a: "b\\\n      c"',
    '    a: "\\q"',
    '    a: "\\U00110000"',
    "    a: 'b\u2028      c'",
    "    a: *b",
    "    a: {b: c}",
    "    a:",
    "    - a"
  ])("are unknown if a value has a form that is not read: %j", (lines) => {
    assert.isUndefined(withLabels(...lines.split("\n")))
  })
})
