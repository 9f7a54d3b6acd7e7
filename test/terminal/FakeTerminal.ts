/** The features of a terminal that a `Screen` uses: its lines, its cursor, and its scrollback. */
import type { Size } from "../../src/terminal/Appearance.ts"
import type { Terminal } from "../../src/terminal/Screen.ts"

export class FakeTerminal implements Terminal {
  columns: number
  rows: number
  /** All lines including the scrollback, those of the screen last. */
  lines: Array<string> = [""]
  isCursorVisible = true
  /** Everything written. */
  written = ""
  private row = 0
  private column = 0

  constructor({ columns, rows }: Size) {
    this.columns = columns
    this.rows = rows
  }

  readonly size = (): Size => ({ columns: this.columns, rows: this.rows })

  readonly write = (text: string): void => {
    this.written += text
    for (const [token, parameters, command] of text.matchAll(/\u001b\[([?\d;]*)([a-zA-Z])|[\s\S]/gu)) {
      if (command !== undefined) this.obey(parameters!, command)
      else if (token === "\n") this.newLine()
      else if (token === "\r") this.column = 0
      else this.put(token)
    }
  }

  /** The visible lines, without blank ones at the end. */
  get text(): ReadonlyArray<string> {
    const lines = this.lines.map((line) => line.trimEnd())
    while (lines.at(-1) === "") lines.pop()
    return lines
  }

  /** Resizes like most terminals: lines that no longer fit are wrapped, and wrapped lines are not joined again. */
  resize({ columns, rows }: Size): void {
    const broken: Array<string> = []
    for (const [index, line] of this.lines.entries()) {
      const parts = line.match(new RegExp(`.{1,${columns}}`, "gu")) ?? [""]
      if (index < this.row) broken.push(...parts)
      else if (index === this.row) {
        broken.push(...parts)
        this.row = broken.length - 1
        this.column = parts.at(-1)!.length
        break
      }
    }
    this.lines = broken
    this.columns = columns
    this.rows = rows
  }

  private obey(parameters: string, command: string): void {
    const count = Number(parameters === "" ? 1 : parameters)
    switch (command) {
      case "m":
        return
      case "h":
      case "l":
        if (parameters === "?25") this.isCursorVisible = command === "h"
        return
      case "A":
        // It cannot leave the screen.
        this.row = Math.max(this.lines.length - this.rows, 0, this.row - count)
        return
      case "K":
        if (parameters !== "2") throw new Error("The terminal erases complete lines only.")
        this.lines[this.row] = ""
        return
      default:
        throw new Error(`The terminal does not know ${JSON.stringify(command)}.`)
    }
  }

  private put(character: string): void {
    if (character < " ") throw new Error(`The terminal received ${JSON.stringify(character)}.`)
    if (this.column >= this.columns) this.newLine()
    const line = this.lines[this.row]!
    this.lines[this.row] =
      line.slice(0, this.column).padEnd(this.column) + character + line.slice(this.column + 1)
    this.column++
  }

  private newLine(): void {
    this.row++
    this.column = 0
    if (this.row === this.lines.length) this.lines.push("")
  }
}
