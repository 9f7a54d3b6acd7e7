/** How the process ends. */
import { Cause, Exit } from "effect"
import { OutputClosed } from "../airbyte/Output.ts"
import { visibleLines } from "../text/printable.ts"
import { dieOfSignal } from "./signals.ts"

/** How long Node may wait for what a library left open, such as a connection. */
const PATIENCE_MILLIS = 500

/**
 * Ends the process when nothing is left to wait for. `process.exit` may wait for ever: it joins V8's threads, and one that
 * compiles may wait for a garbage collection of the main thread (https://github.com/nodejs/node/issues/54918).
 */
const exitWith = (code: number): void => {
  process.exitCode = code
  setTimeout(() => process.exit(code), PATIENCE_MILLIS).unref()
}

/**
 * Ends with the code of the program, re-raises the signal that stopped it, or reports an unexpected error. All output is written
 * by then.
 */
export const teardown = (exit: Exit.Exit<unknown, unknown>): void => {
  if (Exit.isSuccess(exit)) {
    exitWith(exit.value as number)
    return
  }
  const error = Cause.squash(exit.cause)
  // A reader that closes our output stops the program, like a signal.
  const isReaderGone = error instanceof OutputClosed && error.code === "EPIPE"
  if (isReaderGone || Cause.hasInterruptsOnly(exit.cause)) {
    dieOfSignal()
    return
  }
  process.stderr.write(`${messageOf(error, exit.cause)}\n`)
  exitWith(1)
}

const messageOf = (error: unknown, cause: Cause.Cause<unknown>): string => {
  if (error instanceof OutputClosed) return `Cannot write to standard output: ${error.code}.`
  if ((error as NodeJS.ErrnoException).syscall === "uv_cwd") {
    return "The current folder no longer exists. Change to another one."
  }
  return `This is a bug in source-prometheus. Please report it with these lines:\n${visibleLines(Cause.pretty(cause))}`
}
