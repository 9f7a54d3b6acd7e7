import { assert, describe, it } from "@effect/vitest"
import { GrowingMask, isCommon, makeMask } from "../../src/config/SecretMask.ts"
import { Choices, choices } from "../choices.ts"
import { longText, runs } from "../support/runs.ts"
import { referenceMask } from "./referenceMask.ts"

/** Overlapping and nested secrets with characters that JSON and URLs escape. None contains the mask's own character. */
const secret = (choices: Choices): string =>
  choices
    .list(6, () =>
      choices.pick([
        "a",
        "b",
        "p@ss",
        '"',
        "'",
        "\\",
        "\n",
        "/",
        "é",
        "😀",
        "%",
        " ",
        "<",
        "\ud800",
        "$&",
        "é+"
      ])
    )
    .join("")

const entities: Readonly<Record<string, string>> = { "&": "&amp;", '"': "&quot;", "<": "&lt;", "'": "&#39;" }

/** The forms in which servers repeat a secret: plain, in JSON once or twice, in URLs, forms and web pages, on one line. */
const formsOf = (secret: string): ReadonlyArray<string> => {
  const json = JSON.stringify(secret).slice(1, -1)
  const address = encodeURIComponent(secret.toWellFormed())
  return [
    secret,
    json,
    JSON.stringify(json).slice(1, -1),
    json.replace(
      /[^\x20-\x7e]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`
    ),
    address,
    address.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()),
    encodeURIComponent(address),
    Array.from(Buffer.from(secret), (byte) =>
      byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).padStart(2, "0")}`
    ).join(""),
    Buffer.from(secret).toString("latin1"),
    new URLSearchParams({ q: secret }).toString().slice(2),
    secret.replace(/[&"<']/g, (character) => entities[character]!),
    secret.replace(/\s+/g, " ")
  ]
}

describe("makeMask", () => {
  it.prop("leaves no secret in a text, in any form", [choices], ([choices]) => {
    const secrets = choices.list(5, () => secret(choices)).filter((text) => !isCommon(text))
    const forms = secrets.flatMap(formsOf)
    const text = choices
      .list(12, () => (choices.oneIn(3) || forms.length === 0 ? secret(choices) : choices.pick(forms)))
      .join(choices.pick(["", "-"]))
    const masked = makeMask(secrets)(text)
    for (const form of forms.filter((form) => form.trim() !== "")) assert.notInclude(masked, form)
  })

  it.prop("leaves a text without secrets unchanged", [choices], ([choices]) => {
    const text = choices.list(12, () => secret(choices)).join("")
    assert.strictEqual(makeMask(["zz", "yyy"])(text), text)
    assert.strictEqual(makeMask([])(text), text)
    assert.strictEqual(makeMask([""])(text), text)
  })

  const assertAsReference = (choices: Choices): void => {
    const secrets = choices.list(5, () => secret(choices)).filter((text) => !isCommon(text))
    const forms = secrets.flatMap(formsOf)
    const text = choices
      .list(12, () =>
        choices.oneIn(2) || forms.length === 0
          ? choices.pick([
              "a",
              "p@",
              "\\",
              "\\\\u00",
              "n",
              "%",
              "%5c",
              "&#0",
              "&#x00",
              "22;",
              " ",
              "\n ",
              "+",
              "é"
            ])
          : choices.pick(forms)
      )
      .join("")
    // One mask here may be several there.
    const collapsed = (masked: string) => masked.replace(/\*+/g, "*")
    assert.strictEqual(
      collapsed(makeMask(secrets)(text)),
      collapsed(referenceMask(secrets)(text)),
      JSON.stringify({ secrets, text })
    )
  }

  it.prop(
    "masks the same as regular expressions for all forms of the secrets",
    [choices],
    ([choices]) => assertAsReference(choices),
    { arbitrary: { runs: runs(10, 150) }, timeout: 60_000 }
  )

  // The blank at the end of one occurrence is also the beginning of the next one.
  it("masks the same as regular expressions if blanks belong to two occurrences", () => {
    assertAsReference(new Choices(2379883034, 200))
  })

  it("masks occurrences that overlap", () => {
    assert.strictEqual(makeMask([" p!w "])("a  p!w  p!w  p!w b"), "a****b")
    assert.strictEqual(makeMask(["a1a1"])("a1a1a1-"), "****-")
    assert.strictEqual(makeMask(["ab-cd", "cd-efg"])("xab-cd-efgx"), "x****x")
  })

  it("masks the longest secret, so that no tail of it remains", () => {
    assert.strictEqual(makeMask(["pass1", "pass1word", "1word"])("pass1word pass1 1word"), "**** **** ****")
    assert.strictEqual(makeMask(["a1b2", "a1b2a1b2a1b2"])("a1b2a1b2a1b2a1b2"), "****")
  })

  it("masks every occurrence", () => {
    assert.strictEqual(makeMask(["s3c"])("s3c, s3c and (s3c)"), "****, **** and (****)")
    assert.strictEqual(makeMask(["s3cr"])("s3cr, s3cr and s3crs3cr"), "****, **** and ********")
  })

  it("takes secrets literally, whatever they look like", () => {
    assert.strictEqual(makeMask(["$&$1", ".*.*", "[a^$"])("$&$1 .*.* [a^$ x"), "**** **** **** x")
  })

  it.each(["a", "1", "e", "s", "ab", "http", "Prometheus", "errör", "9090", "hunter"])(
    "masks %s, which any text may contain, only as a separate word",
    (common) => {
      assert.isTrue(isCommon(common))
      const mask = makeMask([common])
      for (const text of [
        `x${common}`,
        `${common}x`,
        `1${common}2`,
        `_${common}`,
        `${common}_total`,
        `é${common}`
      ]) {
        assert.strictEqual(mask(text), text)
      }
      assert.strictEqual(mask(`not ${common}: "${common}",${common}.`), 'not ****: "****",****.')
      assert.strictEqual(mask(common), "****")
      // Also after the end of an escape sequence.
      assert.strictEqual(
        mask(`user%3A${common}%40 \\n${common} \\u003a${common}`),
        "user%3A****%40 \\n**** \\u003a****"
      )
    }
  )

  it("treats only short secrets, words and numbers as common", () => {
    for (const secret of ["a-b1", "s3cret", "correct horse", "abcdefghijklm", "123456789", "pass_word"]) {
      assert.isFalse(isCommon(secret), secret)
    }
  })

  // Backtracking regular expressions would take hours for these.
  it.each([
    ["backslashes", "\\", "\nq!"],
    ["backslashes before a secret of them", "\\", "\\\\\\\\q!"],
    ["blanks", " ", " q! "],
    ["blanks and line feeds", " \n", "\t!\n!q"],
    ["entities", "&#", "&&&&q!"],
    ["zeros of an entity", "0", "0&!q"],
    ["zeros behind an entity", "&#0000", '"!"q'],
    ["hexadecimal zeros", "&#x0", "<!>q"],
    ["escaped escapes", "\\u005c", "\\\\!q"],
    ["percent signs", "%5C%", "\\%!q"],
    ["beginnings of the secret", "s3cret!", "s3cret!s3cret!q"],
    ["a secret again and again", "a!b!", "a!b!a!b!a!b!"]
  ] as const)(
    "takes time in proportion to a text of %s",
    (_, unit, secret) => {
      const text = unit.repeat(longText / unit.length)
      const mask = makeMask([secret, `${secret}${secret}`, "another-one"])
      for (const around of [text, `&#${text}`]) {
        assert.notInclude(mask(`${around}-${secret}`), secret)
      }
    },
    120_000
  )

  it("finds a secret that is quoted in JSON or in a URL", () => {
    const mask = makeMask(['p"w\\d\n', "p@ss w/ü"])
    assert.strictEqual(mask(JSON.stringify({ a: 'p"w\\d\n' })), '{"a":"****"}')
    assert.strictEqual(mask(`https://u:${encodeURIComponent("p@ss w/ü")}@host/`), "https://u:****@host/")
  })

  it("masks secrets of the maximum length, with any characters", () => {
    const password = '\u00a0"é\\<😀'.repeat(2341)
    const secrets = [password, Buffer.from(`${password}:${password}`).toString("base64")]
    assert.isAtLeast(password.length, 16_384)
    const mask = makeMask([...secrets, "sh0rt"])
    assert.strictEqual(
      mask(`${password} ${JSON.stringify(password)} ${encodeURIComponent(password)} ${secrets[1]} sh0rts`),
      '**** "****" **** **** ****s'
    )
    const limit = '"é\\<'.repeat(500)
    assert.strictEqual(makeMask([limit])(JSON.stringify(limit)), '"****"')
  })

  it("does not reveal the length of a secret", () => {
    assert.strictEqual(makeMask(["x"])("x"), makeMask(["x".repeat(99)])("x".repeat(99)))
  })
})

describe("a mask that grows", () => {
  const numbered = (i: number) => `token-${String(i).padStart(4, "0")}`

  it("masks the configured secrets always, and the latest of those that were fetched", () => {
    const { add, addFetched, mask } = new GrowingMask(["Geheim-4711"])
    assert.strictEqual(mask("Geheim-4711 token-0000"), "**** token-0000")
    add("Zusatz-0815")
    for (let i = 0; i < 300; i++) addFetched(numbered(i))
    for (const latest of [292, 299]) assert.strictEqual(mask(numbered(latest)), "****")
    assert.strictEqual(mask("Geheim-4711 Zusatz-0815"), "**** ****")
    // The time and the memory of a mask depend on the number of secrets.
    assert.strictEqual(mask(numbered(0)), numbered(0))
    addFetched(numbered(292))
    addFetched(numbered(300))
    assert.strictEqual(mask(numbered(292)), "****")
  })
})
