import { assert, describe, it } from "@effect/vitest"
import {
  INCOMPLETE,
  isDigit,
  isNumber,
  isSpecial,
  plainValueEnd,
  tenDigits,
  UNUSUAL,
  valueEnd
} from "../../src/prometheus/jsonBytes.ts"
import { choices } from "../choices.ts"

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

describe("isDigit", () => {
  it("knows the ten digits among all bytes", () => {
    const digits = Array.from({ length: 256 }, (_, byte) => byte).filter(isDigit)
    assert.strictEqual(String.fromCharCode(...digits), "0123456789")
  })
})

describe("tenDigits", () => {
  it.prop("reads ten digits that do not begin with zero, and nothing else", [choices], ([choices]) => {
    const text = Array.from({ length: 10 }, () =>
      choices.oneIn(30) ? String.fromCharCode(choices.below(128)) : `${choices.below(10)}`
    ).join("")
    const expected = /^[1-9][0-9]{9}$/.test(text) ? Number(text) : -1
    assert.strictEqual(tenDigits(encode(`ab${text}cd`), 2), expected)
  })

  it("refuses every other byte at every place", () => {
    for (let place = 0; place < 10; place++) {
      for (let byte = 0; byte < 256; byte++) {
        if (isDigit(byte)) continue
        const bytes = encode("1767225600")
        bytes[place] = byte
        assert.strictEqual(tenDigits(bytes, 0), -1, `${byte} at ${place}`)
      }
    }
  })

  it("reads the smallest and the largest", () => {
    for (const number of [1_000_000_000, 2_147_483_648, 4_294_967_296, 9_999_999_999]) {
      assert.strictEqual(tenDigits(encode(`${number}`), 0), number)
    }
  })
})

describe("valueEnd", () => {
  const pieces = [
    "0",
    "1",
    "9",
    "12",
    ".",
    "-",
    "+",
    "e",
    "E",
    "NaN",
    "Inf",
    "+Inf",
    "-Inf",
    "N",
    "x",
    '"',
    " "
  ]

  it.prop("finds the end of the values that there are, and of nothing else", [choices], ([choices]) => {
    const text = choices.list(8, () => choices.pick(pieces)).join("")
    const bytes = encode(`${text}"`)
    const stop = valueEnd(bytes, 0, bytes.length)
    if (stop < 0) {
      // As much of it as stands before the quotation mark is no value.
      const value = text.split('"', 1)[0]!
      assert.isFalse(isNumber(value) || isSpecial(value), text)
    } else {
      const value = text.slice(0, stop)
      assert.isTrue(isNumber(value) || isSpecial(value), `${text} ends at ${stop}`)
    }
  })

  it("asks for more bytes wherever they end in a value", () => {
    for (const value of ["0", "-12.5", "1e-07", "1.5E+300", "NaN", "+Inf", "-Inf"]) {
      const bytes = encode(`${value}"`)
      for (let end = 0; end < value.length; end++) {
        assert.strictEqual(valueEnd(bytes, 0, end), INCOMPLETE, `${value} after ${end}`)
      }
      assert.strictEqual(valueEnd(bytes, 0, bytes.length), value.length)
    }
  })

  it("refuses what only looks like a value", () => {
    for (const text of ["01", ".5", "1.", "1e", "--1", "+1", "nan", "Nan", "Infinity", "+inf", "0x1", ""]) {
      const bytes = encode(`${text}"      `)
      const stop = valueEnd(bytes, 0, bytes.length)
      assert.isTrue(stop === UNUSUAL || bytes[stop] !== 0x22, text)
    }
  })
})

describe("plainValueEnd", () => {
  it.prop(
    "ends where a number without exponent ends, before a quotation mark and nowhere else",
    [choices],
    ([choices]) => {
      const pieces = ["0", "1", "9", "42", ".", "-", "+", "e", "NaN", "\u0000", "\u007f", " ", ":", "/", ","]
      const value = Array.from({ length: 1 + choices.below(8) }, () => choices.pick(pieces)).join("")
      const from = choices.below(3)
      const bytes = encode(`${"x".repeat(from)}${value}"]`)
      const expected = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/.test(value) ? from + value.length : UNUSUAL
      assert.strictEqual(plainValueEnd(bytes, from, bytes.length - 2), expected, value)
    }
  )

  it("never looks beyond the last quotation mark", () => {
    const bytes = encode('1.5"999999')
    assert.strictEqual(plainValueEnd(bytes, 4, 3), UNUSUAL)
    assert.strictEqual(plainValueEnd(bytes, 0, 3), 3)
    assert.strictEqual(plainValueEnd(encode("15"), 0, -1), UNUSUAL)
  })
})
