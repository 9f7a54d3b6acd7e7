import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import {
  hasLabel,
  labelText,
  type Matcher,
  metricSelector,
  parse,
  quote,
  render,
  selectorText
} from "../../src/promql/Matcher.ts"

/** A server cannot have a lone surrogate. */
const text = Schema.String.check(Schema.makeFilter((value: string) => value.isWellFormed()))

const matcher = Schema.Struct({
  label: text,
  operator: Schema.Literals(["=", "!=", "=~", "!~"]),
  value: text
})

const equal = (label: string, value: string): Matcher => ({ label, operator: "=", value })

const parsed = (text: string): ReadonlyArray<Matcher> => Result.getOrThrow(parse(text))

const failure = (text: string): string => {
  const result = parse(text)
  assert.isTrue(Result.isFailure(result), `${text} is taken for ${JSON.stringify(result)}`)
  return Result.isFailure(result) ? result.failure : ""
}

describe("render", () => {
  it("renders selectors in PromQL", () => {
    assert.strictEqual(render([]), "{}")
    assert.strictEqual(
      render([
        equal("env", "prod"),
        { label: "job", operator: "=~", value: "api.*" },
        { label: "_A1", operator: "!=", value: "" },
        { label: "b", operator: "!~", value: "x|y" }
      ]),
      '{env="prod",job=~"api.*",_A1!="",b!~"x|y"}'
    )
  })

  it("quotes names that PromQL does not accept unquoted", () => {
    for (const name of ["http.status", "1a", "a-b", "é", "", 'a"b', "a b", "a:b"]) {
      assert.strictEqual(render([equal(name, "x")]), `{${quote(name)}="x"}`)
    }
  })

  it("escapes characters that would end a string", () => {
    assert.strictEqual(quote("a\"b\\c\nd'e`f\té😀"), '"a\\"b\\\\c\\nd\'e`f\té😀"')
  })
})

describe("metricSelector", () => {
  it("names the metric in a form that every server accepts", () => {
    assert.strictEqual(metricSelector("up"), '{__name__="up"}')
    assert.strictEqual(metricSelector('http."status"'), '{__name__="http.\\"status\\""}')
    assert.strictEqual(metricSelector("up", [equal("env", "prod")]), '{__name__="up",env="prod"}')
  })
})

describe("parse", () => {
  it.prop("parses the output of render", [Schema.Array(matcher)], ([matchers]) => {
    assert.deepStrictEqual(parsed(render(matchers)), matchers)
    assert.deepStrictEqual(parsed(render(matchers).slice(1, -1)), matchers)
  })

  it.prop(
    "always returns matchers or a sentence",
    [Schema.String, Schema.Array(matcher)],
    ([text, matchers]) => {
      const rendered = render(matchers)
      for (const changed of [
        text,
        rendered + text,
        text + rendered,
        rendered.slice(0, -1) + text,
        `{${text}}`
      ]) {
        const result = parse(changed)
        if (Result.isFailure(result)) assert.match(result.failure, /\(at character \d+ of /)
        else assert.deepStrictEqual(parsed(render(result.success)), result.success)
      }
    }
  )

  it.each<readonly [text: string, matchers: ReadonlyArray<Matcher>]>([
    ["", []],
    ["  ", []],
    ["{}", []],
    ["{ }", []],
    ['env="prod"', [equal("env", "prod")]],
    ['{env="prod"}', [equal("env", "prod")]],
    ['{env="prod",}', [equal("env", "prod")]],
    [
      ' {\n env = "prod" ,\tjob=~ "api.*" } ',
      [equal("env", "prod"), { label: "job", operator: "=~", value: "api.*" }]
    ],
    [
      'a!="1",b!~"2"',
      [
        { label: "a", operator: "!=", value: "1" },
        { label: "b", operator: "!~", value: "2" }
      ]
    ],
    ["{a='it is \"so\"'}", [equal("a", 'it is "so"')]],
    ["{a=`raw \\n \"'`}", [equal("a", "raw \\n \"'")]],
    ['{"http.status"="200"}', [equal("http.status", "200")]],
    ["{'http.status'=\"200\"}", [equal("http.status", "200")]],
    ['{"up"}', [equal("__name__", "up")]],
    ['{"up",env="prod"}', [equal("__name__", "up"), equal("env", "prod")]],
    ['a="}",b="{,"', [equal("a", "}"), equal("b", "{,")]],
    ['a="1",a="2"', [equal("a", "1"), equal("a", "2")]],
    ['__proto__="1"', [equal("__proto__", "1")]]
  ])("takes %j", (text, matchers) => {
    assert.deepStrictEqual(parsed(text), matchers)
  })

  it.each([
    ['"\\a\\b\\f\\n\\r\\t\\v"', "\u0007\b\f\n\r\t\u000b"],
    ['"\\\\"', "\\"],
    ['"\\""', '"'],
    ["'\\''", "'"],
    ['"\\x41"', "A"],
    ['"\\u00e9"', "é"],
    ['"\\u00E9"', "é"],
    ['"\\U0001F600"', "😀"],
    ['"\\U0010ffff"', "\u{10ffff}"],
    ['"😀é"', "😀é"],
    ['"\\u0000"', "\u0000"]
  ])("reads the escapes in %s", (literal, value) => {
    assert.deepStrictEqual(parsed(`{a=${literal}}`), [equal("a", value)])
  })

  // PromQL has Go's escapes: three octal digits, and \x and octal ones are bytes of UTF-8, not characters.
  it.each([
    ['"\\101"', "A"],
    ['"\\060"', "0"],
    ['"\\xc3\\xa9"', "é"],
    ['"\\303\\251"', "é"]
  ])("reads the bytes in %s", (literal, value) => {
    assert.deepStrictEqual(parsed(`{a=${literal}}`), [equal("a", value)])
  })

  it.each(['"\\xff"', '"\\xc3"', '"\\ud800"', '"\\U0000dfff"'])("refuses %s, which is no text", (literal) => {
    assert.match(failure(`{a=${literal}}`), /escape|no character/)
  })

  it.each([
    ['{env="prod"', 'expected "," or "}"', 12],
    ["{env}", "expected one of = != =~ !~ after the label env", 5],
    ["{env=}", "expected a quoted value", 6],
    ["{env=prod}", "expected a quoted value", 6],
    ['{env="prod}', "the quoted value does not end", 12],
    ['{env=="prod"}', "expected a quoted value", 6],
    ['{env<"prod"}', "expected one of = != =~ !~ after the label env", 5],
    ['{="prod"}', "expected a label name", 2],
    ['{,env="prod"}', "expected a label name", 2],
    ['{env="prod",,}', "expected a label name", 13],
    ['{1a="x"}', "expected a label name", 2],
    ['{a-b="x"}', "expected one of = != =~ !~ after the label a", 3],
    ['{env="a" job="b"}', 'expected "," or "}"', 10],
    ['up{env="prod"}', "expected one of = != =~ !~ after the label up", 3],
    ['{env="prod"}[5m]', "expected label matchers such as", 13],
    ['env="prod"}', "expected label matchers such as", 11],
    ['{a="\\q"}', "\\q is not an escape sequence of PromQL", undefined],
    ['{a="\\x4"}', "\\x is not an escape sequence of PromQL", undefined],
    ['{a="\\u12"}', "\\u is not an escape sequence of PromQL", undefined],
    ['{a="\\U00110000"}', "\\U00110000 is no character", undefined],
    ['{a="\\', "not an escape sequence", undefined]
  ])("refuses %s: %s", (text, what, character) => {
    const message = failure(text)
    assert.include(message, what)
    assert.include(message, `of ${text})`)
    if (character !== undefined) assert.include(message, `(at character ${character} `)
  })
})

describe("labelText", () => {
  it("formats labels like Prometheus", () => {
    const labels = [
      ["a.b", "ü"],
      ["b", 'say "hi"\\\n']
    ] as const
    assert.strictEqual(labelText(labels), '{"a.b"="ü", b="say \\"hi\\"\\\\\\n"}')
    assert.strictEqual(labelText([]), "{}")
  })

  it("truncates long labels", () => {
    const long = labelText([
      ["a", "\n🚀".repeat(500_000)],
      ["b", "1"]
    ])
    assert.isAtMost(long.length, 500)
    assert.match(long, /^\{a="\\n🚀.*…$/u)
    const many = Array.from({ length: 10_000 }, (_, i) => [`l${i}`, "v"] as const)
    assert.isAtMost(labelText(many, 200).length, 200)
  })
})

describe("selectorText", () => {
  it("formats matchers with their operators", () => {
    assert.strictEqual(
      selectorText([hasLabel("a"), { label: "b", operator: "=~", value: "x|y" }]),
      '{a!="", b=~"x|y"}'
    )
  })
})
