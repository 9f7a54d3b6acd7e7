/** SIGINT and SIGTERM: the first asks the program to stop, the second ends it. */
import { constants } from "node:os"
import { isatty } from "node:tty"
import {
  dismissGuard,
  extendGrace,
  forcedStopNote,
  graceOfStop,
  guardStops,
  guardStopsLater,
  type StopSignal,
  stopSignals
} from "./stopGuard.ts"

/**
 * A worker completes commits that it has begun, and gives the other parts back. `docker stop` kills a container after ten seconds,
 * and Kubernetes after thirty.
 */
const WORKER_GRACE_MILLIS = 8000

let received: StopSignal | undefined

/** Handles the signals for a command with these arguments. The first signal makes the runtime interrupt the program. */
export const handleSignals = ([verb = ""]: ReadonlyArray<string>): void => {
  if (verb === "worker") extendGrace(WORKER_GRACE_MILLIS)
  for (const signal of stopSignals) {
    process.on(signal, () => {
      if (received !== undefined) return forceStop(received)
      received = signal
      guardStops(signal)
      setTimeout(() => forceStop(signal), graceOfStop()).unref()
    })
  }
  // These two end soon, but their input may be any text from a server. At a terminal, the user may stop a run at any time.
  if (verb === "check" || verb === "discover" || (verb === "run" && isatty(2))) guardStops()
  else if (verb === "read" || verb === "run" || verb === "worker") guardStopsLater()
}

/** Ends the process without waiting for pending work. The guard ends it if this cannot write its note. */
const forceStop = (signal: NodeJS.Signals): void => {
  const note = forcedStopNote()
  if (note !== "") process.stderr.write(`${note}\n`)
  dieOf(signal)
}

/**
 * Ends the process by the signal that it received, as the sender expects. The kernel does not let a signal kill the first
 * process of a container, which therefore exits with the signal's exit code.
 */
export const dieOfSignal = (): void => dieOf(received ?? "SIGTERM")

const dieOf = (signal: NodeJS.Signals): void => {
  if (process.pid === 1) process.exit(128 + constants.signals[signal])
  dismissGuard(() => {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
