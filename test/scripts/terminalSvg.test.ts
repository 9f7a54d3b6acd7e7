import { assert, describe, it } from "@effect/vitest"
import { terminalSvg } from "../../scripts/terminalSvg.ts"

const options = { columns: 20, title: "A <run>" }

/** The texts of a picture, and how each is shown. */
const texts = (...lines: ReadonlyArray<string>) =>
  Array.from(
    terminalSvg(lines, options).matchAll(
      /<text x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"([^>]*)>([^<]*)</g
    ),
    ([, x, y, length, style, text]) => ({ x: Number(x), y: Number(y), length: Number(length), style, text })
  )

describe("the picture of a terminal", () => {
  it("puts each text where its columns are, as wide as they are", () => {
    const [first, second, third] = texts("ab  cde", "    x")
    assert.deepStrictEqual([first!.text, second!.text, third!.text], ["ab", "cde", "x"])
    assert.closeTo(second!.x - first!.x, 4 * (first!.length / 2), 0.05)
    assert.closeTo(second!.length, 1.5 * first!.length, 0.05)
    assert.strictEqual(third!.x, second!.x)
    assert.isAbove(third!.y, first!.y)
  })

  it("keeps single spaces, and what looks like markup", () => {
    assert.deepStrictEqual(
      texts(`a <b> & "c"`).map(({ text }) => text),
      ["a &#60;b&#62; &#38; &#34;c&#34;"]
    )
    assert.include(terminalSvg([], options), "A &#60;run&#62;")
  })

  it("shows colours, bold and dim, until they end, on the next line too", () => {
    const styles = texts(
      "\u001b[32mgreen\u001b[39m  none  \u001b[1mbold\u001b[0m  \u001b[2mdim",
      "still\u001b[22m  not"
    ).map(({ style, text }) => [text, style])
    assert.deepStrictEqual(styles, [
      ["green", ' fill="#56d364"'],
      ["none", ""],
      ["bold", ' font-weight="700"'],
      ["dim", ' opacity=".62"'],
      ["still", ' opacity=".62"'],
      ["not", ""]
    ])
  })

  it("draws bars as one rectangle, and blocks by their height", () => {
    const svg = terminalSvg(["\u001b[32m━━━━\u001b[0m──", "▁█"], options)
    const shapes = Array.from(
      svg.matchAll(/<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)" height="([\d.]+)"( fill="#56d364")?\/>/g),
      ([, width, height, fill]) => [Number(width), Number(height), fill !== undefined] as const
    )
    const [filled, rest, least, greatest] = shapes
    assert.lengthOf(shapes, 4)
    assert.closeTo(filled![0], 2 * rest![0], 0.05)
    assert.deepStrictEqual([filled![2], rest![2]], [true, false])
    assert.closeTo(greatest![1], 8 * least![1], 0.1)
  })

  it("refuses what it would show wrongly", () => {
    assert.throws(() => terminalSvg(["\u001b[7mreversed"], options), /code 7/)
    assert.throws(() => terminalSvg(["a\u001b[2Jb"], options), /control character/)
    assert.throws(() => terminalSvg(["a\tb"], options), /control character/)
  })
})
