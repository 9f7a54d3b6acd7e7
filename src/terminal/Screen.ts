/**
 * Standard error as a screen: permanent lines, and below them a picture that is redrawn in place. All output to standard error
 * must use the screen, or it would corrupt the picture.
 */
import { Context, Effect, Layer } from "effect"
import { visibleLines } from "../text/printable.ts"
import { type Appearance, appearanceOf, colourCodes, type Paint, paintFor, type Size } from "./Appearance.ts"
import { textWidth } from "./textWidth.ts"

/** The output of a screen. */
export interface Terminal {
  readonly write: (text: string) => void
  /** Its current size. */
  readonly size: () => Size
}

const ESC = "\u001b["
const HIDE_CURSOR = `${ESC}?25l`
const SHOW_CURSOR = `${ESC}?25h`
const ERASE_LINE = `${ESC}2K`
const UP = `${ESC}A`

/**
 * Removes control characters from a text, except our colours if the terminal has colours. Callers have already made untrusted
 * text printable, because a server could use the colours too. This is a second line of defence.
 */
const withoutControls = (text: string, hasColours: boolean): string => {
  const codes = hasColours ? text.match(colourCodes) : undefined
  return text
    .split(colourCodes)
    .map((part, index) => visibleLines(part) + (codes?.[index] ?? ""))
    .join("")
}

/** The width of a line, without its colour codes. */
const visibleWidth = (line: string): number => textWidth(line.replaceAll(colourCodes, ""))

/** All methods are synchronous, so that a logger can call them. */
export interface ScreenMethods {
  readonly appearance: Appearance
  readonly paint: Paint
  readonly size: () => Size
  /** Writes permanent lines, above the picture if there is one. */
  readonly printAbove: (text: string) => void
  /** Redraws the picture in place. Its lines must be narrower than the terminal, and fewer than its rows. */
  readonly draw: (lines: ReadonlyArray<string>) => void
  /** Erases the picture, and shows the cursor again. */
  readonly clear: () => void
  /** Shows the cursor again, because the process may end at any moment. */
  readonly leave: () => void
}

/** A screen on a terminal. */
export const makeScreen = (terminal: Terminal, appearance: Appearance): ScreenMethods => {
  let picture: ReadonlyArray<string> = []
  let isCursorHidden = false
  let isLeft = false

  /**
   * Erases the picture and moves the cursor to its beginning. It erases line by line, because some terminals save a cleared
   * screen in their history. On a terminal that became narrower, the picture's lines have wrapped.
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
    // In one write, because a terminal that shows half of a frame would flicker.
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
    // A terminal on a serial line, or one that is being created, reports 0.
    return { columns: columns || usualSize.columns, rows: rows || usualSize.rows }
  }
}

export class Screen extends Context.Service<Screen, ScreenMethods>()("source-prometheus/terminal/Screen") {
  /**
   * Standard error. The cursor is restored however the process ends: when the layer's scope closes, on a signal, or on exit.
   */
  static readonly layer: Layer.Layer<Screen> = Layer.effect(
    Screen,
    Effect.acquireRelease(
      Effect.sync(() => {
        const screen = makeScreen(standardError, appearanceOf(process.env, process.stderr.isTTY === true))
        process.on("exit", screen.leave)
        // Before the handlers that end the process. Without another handler, a signal must still end it immediately.
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
