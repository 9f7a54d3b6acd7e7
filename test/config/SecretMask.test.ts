import { assert, describe, it } from "@effect/vitest"
import { makeMask } from "../../src/config/SecretMask.ts"
import { type Choices, choices } from "../choices.ts"

/** Overlapping and nested ones, with what JSON and addresses escape; none holds the mask's own character. */
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

/** As servers repeat a secret: plain, in JSON once or twice, in addresses, forms and web pages, in one line. */
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
    new URLSearchParams({ q: secret }).toString().slice(2),
    secret.replace(/[&"<']/g, (character) => entities[character]!),
    secret.replace(/\s+/g, " ")
  ]
}

describe("makeMask", () => {
  it.prop("leaves no secret in a text, however it is written there", [choices], ([choices]) => {
    const secrets = choices.list(5, () => secret(choices)).filter((text) => text !== "")
    const forms = secrets.flatMap(formsOf)
    const text = choices
      .list(12, () => (choices.oneIn(3) || forms.length === 0 ? secret(choices) : choices.pick(forms)))
      .join(choices.pick(["", "-"]))
    const masked = makeMask(secrets)(text)
    for (const form of forms.filter((form) => form.trim() !== "")) assert.notInclude(masked, form)
  })

  it.prop("leaves a text without secrets as it is", [choices], ([choices]) => {
    const text = choices.list(12, () => secret(choices)).join("")
    assert.strictEqual(makeMask(["zz", "yyy"])(text), text)
    assert.strictEqual(makeMask([])(text), text)
    assert.strictEqual(makeMask([""])(text), text)
  })

  it("masks the longest first, so that no tail of it remains", () => {
    assert.strictEqual(makeMask(["pass", "password", "word"])("password pass word"), "**** **** ****")
    assert.strictEqual(makeMask(["a", "aaa"])("aaaa"), "********")
  })

  it("masks every occurrence", () => {
    assert.strictEqual(makeMask(["s3"])("s3, s3 and s3s3"), "****, **** and ********")
  })

  it("takes secrets literally, whatever they look like", () => {
    assert.strictEqual(makeMask(["$&", ".*", "[a"])("$& .* [a x"), "**** **** **** x")
  })

  it("finds a secret that is quoted in JSON or in an address", () => {
    const mask = makeMask(['p"w\\d\n', "p@ss w/ü"])
    assert.strictEqual(mask(JSON.stringify({ a: 'p"w\\d\n' })), '{"a":"****"}')
    assert.strictEqual(mask(`https://u:${encodeURIComponent("p@ss w/ü")}@host/`), "https://u:****@host/")
  })

  it("copes with the longest secrets that a configuration may have, of whatever characters", () => {
    const password = '\u00a0"é\\<😀'.repeat(2341)
    const secrets = [password, Buffer.from(`${password}:${password}`).toString("base64")]
    assert.isAtLeast(password.length, 16_384)
    const mask = makeMask([...secrets, "short"])
    assert.strictEqual(
      mask(`${password} ${JSON.stringify(password)} ${encodeURIComponent(password)} ${secrets[1]} shorts`),
      '**** "****" **** **** ****s'
    )
    const limit = '"é\\<'.repeat(500)
    assert.strictEqual(makeMask([limit])(JSON.stringify(limit)), '"****"')
  })

  it("does not tell how long a secret is", () => {
    assert.strictEqual(makeMask(["x"])("x"), makeMask(["x".repeat(99)])("x".repeat(99)))
  })
})
