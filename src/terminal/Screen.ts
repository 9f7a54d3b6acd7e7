/**
 * Standard error as a screen: lines that stay, and below them a picture that is drawn again in its place. All that is
 * written there goes through this one, or it would tear the picture.
 */
import { Context, Effect, Layer } from "effect"
import { visibleLines } from "../text/printable.ts"
import { type Appearance, appearanceOf, colourCodes, type Paint, paintFor, type Size } from "./Appearance.ts"
import { textWidth } from "./textWidth.ts"

/** Where a screen writes to. */
export interface Terminal {
  readonly write: (text: string) => void
  /** Its size at the moment. */
  readonly size: () => Size
}

const ESC = "\u001b["
const HIDE_CURSOR = `${ESC}?25l`
const SHOW_CURSOR = `${ESC}?25h`
const ERASE_LINE = `${ESC}2K`
const UP = `${ESC}A`

/**
 * A text without control characters except our colours, if the terminal has colours. Callers have made foreign texts printable
 * already, or a server could use the colours too; this is a second line of defence.
 */
const withoutControls = (text: string, hasColours: boolean): string => {
  const codes = hasColours ? text.match(colourCodes) : undefined
  return text
    .split(colourCodes)
    .map((part, index) => visibleLines(part) + (codes?.[index] ?? ""))
    .join("")
}

/** The columns that a line takes, without its colours. */
const visibleWidth = (line: string): number => textWidth(line.replaceAll(colourCodes, ""))

/** All methods return at once, so that a logger can call them, too. */
export interface ScreenMethods {
  readonly appearance: Appearance
  readonly paint: Paint
  readonly size: () => Size
  /** Writes lines that stay, above the picture if there is one. */
  readonly printAbove: (text: string) => void
  /** Draws the picture, in the place of the one before. Its lines must be narrower than the terminal, and fewer than its rows. */
  readonly draw: (lines: ReadonlyArray<string>) => void
  /** Erases the picture, and shows the cursor again. */
  readonly clear: () => void
  /** Shows the cursor from now on: the process may end at any moment. */
  readonly leave: () => void
}

/** A screen on a terminal. */
export const makeScreen = (terminal: Terminal, appearance: Appearance): ScreenMethods => {
  let picture: ReadonlyArray<string> = []
  let isCursorHidden = false
  let isLeft = false

  /**
   * Erases the picture, and moves to its beginning. Line by line: some terminals keep a copy of a screen that is erased at
   * once. A terminal that became narrower has broken the picture's lines into several.
   */
  const erase = (): string => {
    if (picture.length === 0) return ""
    const { columns } = terminal.size()
    const rows = picture.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleWidth(line) / columns)), 0)
    return `\r${ERASE_LINE}${(UP + ERASE_LINE).repeat(rows - 1)}`
  }

  const show = (above: string, lines: ReadonlyArray<string>): void => {
    let text = erase()
    text += above
    if (lines.length > 0 && !isCursorHidden && !isLeft) {
      text += HIDE_CURSOR
      isCursorHidden = true
    }
    text += lines.join("\n")
    picture = lines
    if (lines.length === 0 && isCursorHidden) {
      text += SHOW_CURSOR
      isCursorHidden = false
    }
    // In one piece: a terminal that shows half of it would flicker.
    if (text !== "") terminal.write(text)
  }

  return {
    appearance,
    paint: paintFor(appearance),
    size: terminal.size,
    printAbove: (text) => show(`${withoutControls(text, appearance.hasColours)}\n`, picture),
    draw: (lines) => {
      if (appearance.isLive)
        show(
          "",
          lines.map((line) => withoutControls(line, appearance.hasColours))
        )
    },
    clear: () => show("", []),
    leave: () => {
      isLeft = true
      if (!isCursorHidden) return
      isCursorHidden = false
      terminal.write(SHOW_CURSOR)
    }
  }
}

/** The size of a terminal that does not report one. */
const usualSize: Size = { columns: 80, rows: 24 }

const standardError: Terminal = {
  write: (text) => void process.stderr.write(text),
  size: () => {
    const { columns, rows } = process.stderr
    // A terminal on a serial line, or one that is just being made, says 0.
    return { columns: columns || usualSize.columns, rows: rows || usualSize.rows }
  }
}

export class Screen extends Context.Service<Screen, ScreenMethods>()("source-prometheus/terminal/Screen") {
  /**
   * Standard error. However the process ends, the cursor is there again: with the layer's scope, by a signal, by an exit.
   */
  static readonly layer: Layer.Layer<Screen> = Layer.effect(
    Screen,
    Effect.acquireRelease(
      Effect.sync(() => {
        const screen = makeScreen(standardError, appearanceOf(process.env, process.stderr.isTTY === true))
        process.on("exit", screen.leave)
        // Before the handlers that end the process. Without another handler a signal ends it at once, which must stay so.
        for (const signal of signals) {
          if (process.listenerCount(signal) > 0) process.prependListener(signal, screen.leave)
        }
        return screen
      }),
      (screen) =>
        Effect.sync(() => {
          screen.clear()
          for (const event of ["exit", ...signals]) process.off(event, screen.leave)
        })
    )
  )

  /** Any terminal, for tests. */
  static readonly layerOf = (terminal: Terminal, appearance: Appearance): Layer.Layer<Screen> =>
    Layer.effect(
      Screen,
      Effect.acquireRelease(
        Effect.sync(() => makeScreen(terminal, appearance)),
        (screen) => Effect.sync(screen.clear)
      )
    )
}

const signals = ["SIGINT", "SIGTERM"] as const
