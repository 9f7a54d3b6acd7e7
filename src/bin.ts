/** The executable. */
import { constants } from "node:os"
import { isatty } from "node:tty"
import { setFlagsFromString } from "node:v8"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit } from "effect"
import { OutputClosed } from "./airbyte/Output.ts"
import { keepExternalMemoryLow } from "./cli/externalMemory.ts"
import { main } from "./cli/main.ts"
import * as platform from "./cli/platform.ts"
import {
  dismissGuard,
  forcedStopNote,
  GRACE_MILLIS,
  guardStops,
  guardStopsLater,
  type StopSignal,
  stopSignals
} from "./cli/stopGuard.ts"
import { visibleLines } from "./text/printable.ts"

// A read allocates little that lives long, and much that is large and dies young: the bytes of answers. Left to itself V8
// lets that pile up, for no gain in time. There is so little to look through that doing it at once, by one thread, costs less
// than doing it bit by bit beside the program, which has to tell of all that it changes meanwhile.
setFlagsFromString("--semi-space-growth-factor=1")
setFlagsFromString("--no-parallel-scavenge")
setFlagsFromString("--no-incremental-marking")
setFlagsFromString("--heap-growing-percent=70")
keepExternalMemoryLow()

/**
 * Dies of a signal as if it had never been handled, which is what whoever sent it expects to see. The first process of a
 * container cannot: the kernel spares it, and it would end with 0, as if all were done. It says so by its exit code.
 */
const dieOf = (signal: NodeJS.Signals): void => {
  if (process.pid === 1) process.exit(128 + constants.signals[signal])
  dismissGuard(() => {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

// Node prints its warnings on standard error, which is silent in the protocol. The one that concerns users, that certificates
// are not checked, is logged by each sync.
process.removeAllListeners("warning")

/** Does not wait any longer for what is still open. The guard takes over where this cannot write its note. */
const forceStop = (signal: NodeJS.Signals): void => {
  const note = forcedStopNote()
  if (note !== "") process.stderr.write(`${note}\n`)
  dieOf(signal)
}

let received: StopSignal | undefined
for (const signal of stopSignals) {
  process.on(signal, () => {
    // Whoever sends a second one does not want to wait.
    if (received !== undefined) return forceStop(received)
    received = signal
    guardStops(signal)
    setTimeout(() => forceStop(signal), GRACE_MILLIS).unref()
  })
}

const [verb = ""] = process.argv.slice(2)
// These two do not last long, but take any text that a server gives them. A person at a terminal is there to stop a run.
if (verb === "check" || verb === "discover" || (verb === "run" && isatty(2))) guardStops()
else if (verb === "read" || verb === "run") guardStopsLater()

// What is said on standard error is of no use where it cannot be written, and no reason to end: the work is done all the same.
if (verb !== "spec" && verb !== "read") process.stderr.on("error", () => {})

NodeRuntime.runMain(Effect.suspend(() => main(process.argv.slice(2))).pipe(Effect.provide(platform.layer)), {
  disableErrorReporting: true,
  teardown: (exit, onExit) => {
    if (Exit.isSuccess(exit)) return onExit(exit.value as number)
    const error = Cause.squash(exit.cause)
    const isStop =
      Cause.hasInterruptsOnly(exit.cause) || (error instanceof OutputClosed && error.code === "EPIPE")
    // Nobody reading our output any more is a stop, as a signal is.
    if (isStop) return dieOf(received ?? "SIGTERM")
    if (error instanceof OutputClosed) {
      process.stderr.write(`source-prometheus cannot write its output: ${error.code}.\n`)
      return onExit(1)
    }
    if ((error as NodeJS.ErrnoException).syscall === "uv_cwd") {
      process.stderr.write("The current folder does not exist any more. Change to another one.\n")
      return onExit(1)
    }
    process.stderr.write(
      `This is a bug in source-prometheus. Please report it with these lines:\n${visibleLines(Cause.pretty(exit.cause))}\n`
    )
    onExit(1)
  }
})
