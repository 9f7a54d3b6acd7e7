/** How the process ends. */
import { Cause, Exit } from "effect"
import { OutputClosed } from "../airbyte/Output.ts"
import { visibleLines } from "../text/printable.ts"
import { dieOfSignal } from "./signals.ts"

/**
 * Exits with the code of the program, re-raises the signal that stopped it, or reports an unexpected error. All output is written
 * by then. A success exits too: otherwise Node would wait for connections that a library left open.
 */
export const teardown = <E>(exit: Exit.Exit<E, unknown>, onExit: (code: number) => void): void => {
  if (Exit.isSuccess(exit)) process.exit(exit.value as number)
  const error = Cause.squash(exit.cause)
  // A reader that closes our output stops the program, like a signal.
  const isReaderGone = error instanceof OutputClosed && error.code === "EPIPE"
  if (isReaderGone || Cause.hasInterruptsOnly(exit.cause)) {
    dieOfSignal()
    return
  }
  process.stderr.write(`${messageOf(error, exit.cause)}\n`)
  onExit(1)
}

const messageOf = (error: unknown, cause: Cause.Cause<unknown>): string => {
  if (error instanceof OutputClosed) return `Cannot write to standard output: ${error.code}.`
  if ((error as NodeJS.ErrnoException).syscall === "uv_cwd") {
    return "The current folder no longer exists. Change to another one."
  }
  return `This is a bug in source-prometheus. Please report it with these lines:\n${visibleLines(Cause.pretty(cause))}`
}
