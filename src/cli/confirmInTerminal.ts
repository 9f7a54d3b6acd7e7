/** Asks the user at the terminal. */
import { createInterface } from "node:readline"
import { Effect, Option } from "effect"
import { printable } from "../text/printable.ts"

/** Asks a yes-or-no question. Returns none unless standard input and error are terminals. Anything but yes counts as no. */
export const confirmInTerminal = (): Option.Option<(question: string) => Effect.Effect<boolean>> =>
  process.stdin.isTTY === true && process.stderr.isTTY === true ? Option.some(ask) : Option.none()

const ask = (question: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    // Without readline's own line editing, so that Ctrl-C stays a signal.
    const lines = createInterface({ input: process.stdin, terminal: false })
    let answer = ""
    lines.once("line", (line) => {
      answer = line
      lines.close()
    })
    lines.once("close", () => {
      if (answer === "") process.stderr.write("\n")
      process.stdin.unref()
      resume(Effect.succeed(/^\s*y(es)?\s*$/i.test(answer)))
    })
    process.stderr.write(`${printable(question)} [y/N] `)
    return Effect.sync(() => lines.close())
  })
