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
const withoutControls = (text: string, hasColours: boolean): string =>
  text
    .split(colourCodes)
    .map((part, index) => {
      const isColour = index % 2 === 1
      if (isColour) return hasColours ? part : ""
      return visibleLines(part)
    })
    .join("")

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

  /** The code that hides or shows the cursor, if that changes. */
  const hideCursor = (isHidden: boolean): string => {
    if (isHidden === isCursorHidden) return ""
    isCursorHidden = isHidden
    return isHidden ? HIDE_CURSOR : SHOW_CURSOR
  }

  const show = (above: string, lines: ReadonlyArray<string>): void => {
    const text = erase() + above + hideCursor(lines.length > 0 && !isLeft) + lines.join("\n")
    picture = lines
    // In one write, because a terminal that shows half of a frame would flicker.
    if (text !== "") terminal.write(text)
  }

  const safe = (text: string): string => withoutControls(text, appearance.hasColours)

  return {
    appearance,
    paint: paintFor(appearance),
    size: terminal.size,
    printAbove: (text) => show(`${safe(text)}\n`, picture),
    draw: (lines) => {
      if (appearance.isLive) show("", lines.map(safe))
    },
    clear: () => show("", []),
    leave: () => {
      isLeft = true
      if (isCursorHidden) terminal.write(hideCursor(false))
    }
  }
}

const standardError: Terminal = {
  write: (text) => void process.stderr.write(text),
  size: () => {
    const { columns, rows } = process.stderr
    // A terminal on a serial line, or one that is being created, reports 0.
    return { columns: columns || 80, rows: rows || 24 }
  }
}

export class Screen extends Context.Service<Screen, ScreenMethods>()("source-prometheus/terminal/Screen") {
  /** Standard error. */
  static readonly layer: Layer.Layer<Screen> = Layer.suspend(() =>
    Screen.layerOf(standardError, appearanceOf(process.env, process.stderr.isTTY === true))
  )

  /**
   * Any terminal. The cursor is restored however the process ends: when the layer's scope closes, on a signal, or on exit.
   */
  static readonly layerOf = (terminal: Terminal, appearance: Appearance): Layer.Layer<Screen> =>
    Layer.effect(
      Screen,
      Effect.acquireRelease(
        Effect.sync(() => {
          const screen = makeScreen(terminal, appearance)
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
}

const signals = ["SIGINT", "SIGTERM"] as const
