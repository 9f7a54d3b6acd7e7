/**
 * Converts the output of `tmux capture-pane -p -e`, including colours, into an SVG picture.
 *
 * Every run of characters is placed at its columns and stretched to their width, so that tables stay aligned in any font.
 * Bars and blocks are drawn, because fonts leave gaps between them.
 */

/** The style of characters, as set by terminal escape codes. */
interface Style {
  readonly colour: string | undefined
  readonly isBold: boolean
  readonly isDim: boolean
}

/** Adjacent characters with the same style. */
interface Run {
  readonly column: number
  readonly text: string
  readonly style: Style
}

const plain: Style = { colour: undefined, isBold: false, isDim: false }

/** A terminal has its own background, so the picture is the same on a light and on a dark page. */
const INK = "#d7dde5"
const PAPER = "#16191f"
const BAR = "#22262e"
const colours: ReadonlyMap<number, string> = new Map([
  [31, "#ff7b72"],
  [32, "#56d364"],
  [33, "#e3b341"],
  [34, "#6cb6ff"],
  [35, "#dcbdfb"],
  [36, "#56d4dd"]
])

const CELL_WIDTH = 8.4
const LINE_HEIGHT = 19
const FONT_SIZE = 14
const PADDING = 18
const BAR_HEIGHT = 34

const FONTS =
  "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"

/** The style after the codes of one escape sequence. */
const styleAfter = (style: Style, codes: ReadonlyArray<number>): Style => {
  let next = style
  for (const code of codes) {
    if (code === 0) next = plain
    else if (code === 1) next = { ...next, isBold: true }
    else if (code === 2) next = { ...next, isDim: true }
    else if (code === 22) next = { ...next, isBold: false, isDim: false }
    else if (code === 39) next = { ...next, colour: undefined }
    // The default background, which is the only one in use.
    else if (code === 49) continue
    else if (colours.has(code)) next = { ...next, colour: colours.get(code) }
    else throw new Error(`The terminal used the code ${code}, for which there is no picture yet.`)
  }
  return next
}

/** Splits lines into runs of one style. A style applies until it is changed, even past the end of a line. */
const runsOf = (lines: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<Run>> => {
  let style = plain
  return lines.map((line) => {
    const runs: Array<Run> = []
    let column = 0
    for (const part of line.split(/(\u001b\[[\d;]*m)/)) {
      const codes = /^\u001b\[([\d;]*)m$/.exec(part)?.[1]
      if (codes !== undefined) {
        style = styleAfter(style, codes.split(";").map(Number))
        continue
      }
      const text = Array.from(part).join("")
      if (/[\u0000-\u001f\u007f]/.test(text)) throw new Error(`A line has a control character: ${line}`)
      if (text !== "") runs.push({ column, text, style })
      column += Array.from(text).length
    }
    return runs
  })
}

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.codePointAt(0)};`)

const number = (value: number): string => String(Math.round(value * 100) / 100)

const fillOf = ({ colour, isDim }: Style): string => {
  const fill = colour === undefined ? "" : ` fill="${colour}"`
  return isDim ? `${fill} opacity=".62"` : fill
}

/** Blocks by the eighths of a cell that they fill from below, and lines in the middle of a cell. */
const drawn = (character: string, x: number, y: number, width: number): string | undefined => {
  const eighths = "▁▂▃▄▅▆▇█".indexOf(character) + 1
  const top = y - FONT_SIZE + 1
  const height = LINE_HEIGHT - 4
  if (eighths > 0) {
    const part = (height * eighths) / 8
    return `<rect x="${number(x)}" y="${number(top + height - part)}" width="${number(width - 0.6)}" height="${number(part)}"`
  }
  const thickness = character === "━" ? 4 : character === "─" ? 1.5 : 0
  if (thickness === 0) return undefined
  return `<rect x="${number(x)}" y="${number(y - 5 - thickness / 2)}" width="${number(width)}" height="${thickness}"`
}

/** Draws each word separately: the space between needs no picture. A line is one rectangle, and so is each block. */
const pieces = /[━]+|[─]+|[▁▂▃▄▅▆▇█]|(?:(?! {2})[^━─▁▂▃▄▅▆▇█])+/gu

const runSvg = ({ column, style, text }: Run, y: number): string => {
  const out: Array<string> = []
  for (const { 0: piece, index } of text.matchAll(pieces)) {
    if (piece.trim() === "") continue
    const at = column + Array.from(text.slice(0, index)).length
    const leading = piece.length - piece.trimStart().length
    const word = piece.trim()
    const x = PADDING + (at + leading) * CELL_WIDTH
    const width = Array.from(word).length * CELL_WIDTH
    const shape = drawn(Array.from(word)[0]!, x, y, width)
    out.push(
      shape === undefined
        ? `<text x="${number(x)}" y="${number(y)}" textLength="${number(width)}"${fillOf(style)}${style.isBold ? ' font-weight="700"' : ""}>${escaped(word)}</text>`
        : `${shape}${fillOf(style)}/>`
    )
  }
  return out.join("")
}

/** A picture of the lines in a window of so many columns; `title` is the text for screen readers. */
export const terminalSvg = (
  lines: ReadonlyArray<string>,
  { columns, title }: { readonly columns: number; readonly title: string }
): string => {
  const width = number(columns * CELL_WIDTH + 2 * PADDING)
  const height = number(BAR_HEIGHT + lines.length * LINE_HEIGHT + 2 * PADDING - 6)
  const rows = runsOf(lines).map((runs, index) =>
    runs.map((run) => runSvg(run, BAR_HEIGHT + PADDING + FONT_SIZE - 2 + index * LINE_HEIGHT)).join("")
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">${escaped(title)}</title>
<rect x=".5" y=".5" width="${number(Number(width) - 1)}" height="${number(Number(height) - 1)}" rx="10" fill="${PAPER}" stroke="#3a404b"/>
<path d="M1 ${BAR_HEIGHT}V11A10 10 0 0 1 11 1H${number(Number(width) - 11)}A10 10 0 0 1 ${number(Number(width) - 1)} 11V${BAR_HEIGHT}Z" fill="${BAR}"/>
<circle cx="20" cy="17.5" r="5.5" fill="#ff6159"/><circle cx="39" cy="17.5" r="5.5" fill="#ffbd2e"/><circle cx="58" cy="17.5" r="5.5" fill="#28c941"/>
<g font-family="${FONTS}" font-size="${FONT_SIZE}" fill="${INK}" xml:space="preserve">
${rows.filter((row) => row !== "").join("\n")}
</g>
</svg>
`
}
