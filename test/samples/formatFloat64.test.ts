import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { formatFloat64 } from "../../src/samples/formatFloat64.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const readsBack = (value: number): void => {
  const text = formatFloat64(value)
  if (!Number.isFinite(value)) {
    assert.match(text, /^(NaN|[+-]Inf)$/)
    return
  }
  assert.isTrue(Object.is(Number(text), value), text)
  const size = Math.abs(value)
  const exponent = size !== 0 && (size < 1e-6 || size >= 1e21)
  assert.match(text, exponent ? /^-?\d(\.\d+)?e[+-]\d{2,3}$/ : /^-?\d+(\.\d+)?$/)
}

describe("formatFloat64", () => {
  it.each([
    [0, "0"],
    [-0, "-0"],
    [1, "1"],
    [-1.5, "-1.5"],
    [0.1, "0.1"],
    [0.1 + 0.2, "0.30000000000000004"],
    [1e-6, "0.000001"],
    [9.99999e-7, "9.99999e-07"],
    [1e-7, "1e-07"],
    [-1.25e-10, "-1.25e-10"],
    [5e-324, "5e-324"],
    [2.2250738585072014e-308, "2.2250738585072014e-308"],
    [1e20, "100000000000000000000"],
    [123456789012345680000, "123456789012345680000"],
    [999999999999999900000, "999999999999999900000"],
    [1e21, "1e+21"],
    [-1.5e300, "-1.5e+300"],
    [1.7976931348623157e308, "1.7976931348623157e+308"],
    [2 ** 53, "9007199254740992"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "+Inf"],
    [Number.NEGATIVE_INFINITY, "-Inf"]
  ])("%d is %s", (value, text) => {
    assert.strictEqual(formatFloat64(value), text)
  })

  it.prop("reads back as the same float, in the notation of its size", [Schema.Number], ([value]) =>
    readsBack(value)
  )

  it.prop("even near the sizes where the notation changes", [integer(-1e9, 1e9), integer(-18, 16)], (parts) =>
    readsBack(Number(parts.join("e")))
  )

  it.prop("has no more digits than parsing needs", [Schema.Finite], ([value]) => {
    const digits = formatFloat64(value)
      .replace(/e.*/, "")
      .replace(/[-.]/g, "")
      .replace(/^0+|0+$/g, "")
    if (digits.length > 1) assert.notStrictEqual(Number(value.toPrecision(digits.length - 1)), value)
  })

  // From `strconv.FormatFloat`, with the format that Prometheus uses.
  it.each([
    ["4d65822107fcfd52", "7.078406569534682e+64"],
    ["436390022e6a69df", "44050908804501240"],
    ["410be6df33333333", "228571.9"],
    ["57e9d1860d1d68d8", "3.179058731989854e+115"],
    ["bdc7e11d9114564d", "-4.343629807825238e-11"],
    ["402fc2f837b4a234", "15.8808"],
    ["41f27cc6f3875d04", "4962676536.460209"],
    ["4252419980678633", "313639960990.09686"],
    ["413830fc00000000", "1585404"],
    ["3c04951aa42655d9", "1.3947202335788668e-19"],
    ["ba9adbec16181372", "-2.169658488195548e-26"],
    ["c0c4f5e666666666", "-10731.8"],
    ["1a02070f169c1121", "2.121338313122526e-183"],
    ["bb30d1d23316a0fd", "-1.39128583143094e-23"],
    ["bfa034e9ec98442f", "-0.0316537"],
    ["2606cd2b57d29245", "1.6842018567715723e-125"],
    ["3f64b0d728d0897e", "0.0025257303555161195"],
    ["bfaf7fd9d4f30bfc", "-0.0615223"],
    ["430c8b35bb9457d8", "1004295280560891"],
    ["c364f292b5800607", "-47169691667411000"],
    ["c020ec0053e2d624", "-8.46094"],
    ["8a2b894cf840ec4b", "-1.1193343192355711e-259"],
    ["3fee56b867091480", "0.948085976830626"],
    ["c0d0fb43d70a3d71", "-17389.06"],
    ["962d968d3f71f8cb", "-7.549703395291829e-202"],
    ["4079affa0fa8098e", "410.99855008735256"],
    ["40e0209ccccccccd", "33028.9"],
    ["c3ea3b9393f93f33", "-15122133858905594000"],
    ["ba68687d9b2d9b35", "-2.464594994849395e-27"],
    ["c101c474cccccccd", "-145550.6"],
    ["f0b5a315724c7af1", "-8.599527775938914e+234"],
    ["bb6ea8d6d9286b3a", "-2.0288773936022917e-22"],
    ["410eb4a000000000", "251540"],
    ["89825e117039374b", "-7.291262687337148e-263"],
    ["bd538aca03442e71", "-2.7771058299321227e-13"],
    ["408a1d5810624dd3", "835.668"],
    ["3e57bedd0d2a8d43", "2.211477651926741e-08"],
    ["be84e54b9613cead", "-1.5568498227363941e-07"],
    ["3e4f514648ee762e", "1.458333745239767e-08"],
    ["3e9e0c7693e458a1", "4.4776028919455634e-07"],
    ["445153275fe07bd3", "1.2783460500002274e+21"],
    ["4494cca9136663df", "2.4555662160606437e+22"],
    ["44632395092b037b", "2.824416824349484e+21"],
    ["bed4f3312b5cbb77", "-0.000004994861844838787"],
    ["bed3b31f8cc68b35", "-0.000004696774521669932"],
    ["3ee2beb7c90992a3", "0.000008938308640079917"]
  ])("writes the float of bits %s as Go does: %s", (bits, text) => {
    assert.strictEqual(formatFloat64(Buffer.from(bits, "hex").readDoubleBE()), text)
  })
})
