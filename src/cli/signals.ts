/** SIGINT and SIGTERM: the first asks the program to stop, the second ends it. */
import { constants } from "node:os"
import { isatty } from "node:tty"
import {
  dismissGuard,
  forcedStopNote,
  GRACE_MILLIS,
  guardStops,
  guardStopsLater,
  type StopSignal,
  stopSignals
} from "./stopGuard.ts"

let received: StopSignal | undefined

/** Handles signals, for a command with these arguments. The runtime interrupts the program with the first signal. */
export const handleSignals = ([verb = ""]: ReadonlyArray<string>): void => {
  for (const signal of stopSignals) {
    process.on(signal, () => {
      if (received !== undefined) return forceStop(received)
      received = signal
      guardStops(signal)
      setTimeout(() => forceStop(signal), GRACE_MILLIS).unref()
    })
  }
  // These two end soon, but take any text that a server sends. At a terminal, a person may stop a run at any time.
  if (verb === "check" || verb === "discover" || (verb === "run" && isatty(2))) guardStops()
  else if (verb === "read" || verb === "run") guardStopsLater()
}

/** Ends the process without waiting for what is still open. The guard takes over if this cannot write its note. */
const forceStop = (signal: NodeJS.Signals): void => {
  const note = forcedStopNote()
  if (note !== "") process.stderr.write(`${note}\n`)
  dieOf(signal)
}

/**
 * Ends the process by the signal that it received, as the sender expects. The first process of a container cannot die of a
 * signal, since the kernel spares it: it exits with the code of the signal instead.
 */
export const dieOfSignal = (): void => dieOf(received ?? "SIGTERM")

const dieOf = (signal: NodeJS.Signals): void => {
  if (process.pid === 1) process.exit(128 + constants.signals[signal])
  dismissGuard(() => {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
