/**
 * A stop that works while the event loop is blocked. JavaScript handles signals only between turns of the event loop, so an
 * endless regular expression would keep the process alive. The guard is a worker thread with its own signal handles. If the
 * process is still alive after the grace period, the guard lets the signal kill it.
 *
 * A worker takes 12 MB, a tenth of the memory of a read. It therefore starts only when there is something to guard against,
 * when the process is idle, or when it has run for a while: see `guardStopsLater`.
 */
import { subscribe } from "node:diagnostics_channel"
import type { IncomingMessage } from "node:http"
import type { Session as InspectorSession } from "node:inspector"
import { constants } from "node:os"
import type { Worker } from "node:worker_threads"

/** The signals that stop the program. */
export const stopSignals = ["SIGINT", "SIGTERM"] as const

export type StopSignal = (typeof stopSignals)[number]

/** How long a clean stop may take. After that the main thread ends the process, if it can. */
let graceMillis = 2000

/** Allows a longer stop. Called before the guard starts. */
export const extendGrace = (millis: number): void => {
  graceMillis = millis
}

/** How long a clean stop may take. */
export const graceOfStop = (): number => graceMillis

/** The input of the worker. Its function is serialized, so it cannot see the rest of this module. */
interface GuardData {
  readonly signals: Readonly<Record<StopSignal, number>>
  readonly graceMillis: number
  /** A signal that arrived before the guard started. */
  readonly received: StopSignal | undefined
  readonly note: string
}

/** Node's internal signal handle, the only one available in a worker. */
interface SignalHandle {
  onsignal: () => void
  readonly start: (signal: number) => void
  readonly unref: () => void
  readonly close: () => void
}

/** Runs in the worker, with the worker's `require`. */
const guard = (load: NodeJS.Require): void => {
  const { write } = load("node:fs") as typeof import("node:fs")
  const { isatty } = load("node:tty") as typeof import("node:tty")
  const { parentPort, workerData } = load("node:worker_threads") as typeof import("node:worker_threads")
  const { internalBinding } = load("internal/test/binding") as {
    internalBinding: (name: string) => { Signal: new () => SignalHandle }
  }
  const { graceMillis, signals, ...given } = workerData as GuardData
  const { Signal } = internalBinding("signal_wrap")
  /** The time that the main thread has to end the process itself. */
  const turnMillis = 300
  let { note, received } = given
  let isForced = false

  const force = (signal: StopSignal): void => {
    if (isForced) return
    isForced = true
    // The last resort for a main thread that is stuck in a system call.
    setTimeout(() => process.kill(process.pid, "SIGKILL"), 400)
    // Asynchronous, because the reader of standard error may be stuck too.
    if (note !== "") write(2, `${isatty(2) ? "\r\u001b[?25h\n" : ""}${note}\n`, () => {})
    // The signal kills the process only after both threads have removed their handlers.
    for (const handle of handles) handle.close()
    const { Session } = load("node:inspector") as { Session: new () => InspectorSession }
    const session = new Session()
    session.connectToMainThread()
    // V8 evaluates an expression even while the main thread is busy. The kernel does not let a signal kill the first
    // process of a container, so that process exits. Node would print that a debugger is attached, which is this session.
    const expression =
      process.pid === 1
        ? `{
            const { closeSync, openSync } = process.getBuiltinModule("node:fs")
            closeSync(2)
            openSync("/dev/null", "w")
            process.exit(${128 + signals[signal]})
          }`
        : `process.removeAllListeners("${signal}")`
    session.post("Runtime.evaluate", { expression }, () => {
      session.disconnect()
      process.kill(process.pid, signal)
    })
  }

  const onSignal = (signal: StopSignal): void => {
    setTimeout(force, turnMillis + (received === undefined ? graceMillis : 0), received ?? signal)
    received ??= signal
  }

  const handles = (Object.keys(signals) as Array<StopSignal>).map((signal) => {
    const handle = new Signal()
    handle.onsignal = () => onSignal(signal)
    handle.start(signals[signal])
    return handle
  })
  if (received !== undefined) setTimeout(force, graceMillis + turnMillis, received)
  parentPort?.on("message", (text: string) => (note = text))
}

let worker: Worker | undefined
let isUnavailable = false
let note = ""

/** Starts the guard unless it is running. Does nothing if this Node has no such handles. */
export const guardStops = (received?: StopSignal): void => {
  if (worker !== undefined || isUnavailable) return
  const data: GuardData = {
    signals: { SIGINT: constants.signals.SIGINT, SIGTERM: constants.signals.SIGTERM },
    graceMillis,
    received,
    note
  }
  try {
    // Loaded lazily, because it would slow down the start of the program.
    const { Worker } = process.getBuiltinModule("node:worker_threads")
    worker = new Worker(`(${guard.toString()})(require)`, {
      eval: true,
      workerData: data,
      // No inherited options, such as modules to preload. Any warning would be about this internal module.
      execArgv: ["--expose-internals", "--no-warnings"],
      env: {},
      stdout: true,
      stderr: true,
      trackUnmanagedFds: false,
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16, stackSizeMb: 1 }
    })
    worker.once("error", () => {
      isUnavailable = true
    })
    worker.unref()
  } catch {
    isUnavailable = true
  }
}

/**
 * Ends the guard, and then calls `andThen`. A signal kills the process only if it has no handler, and the guard is one. The
 * guard does not start again.
 */
export const dismissGuard = (andThen: () => void): void => {
  isUnavailable = true
  if (worker === undefined) andThen()
  else worker.terminate().then(andThen, andThen)
}

/** Below this share of busy time the process counts as idle. */
const IDLE_SHARE = 0.1

const POLL_MILLIS = 500

/** After this time the memory of the guard no longer matters. */
const LONG_MILLIS = 10_000

/**
 * Starts the guard once the process is idle, has run for a while, or receives an error response, which may contain any text.
 * While samples arrive there is no such text, and memory use is at its peak.
 */
export const guardStopsLater = (): void => {
  const begun = performance.now()
  let before = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    if (utilization < IDLE_SHARE || performance.now() - begun > LONG_MILLIS) start()
  }, POLL_MILLIS).unref()
  const start = (): void => {
    clearInterval(timer)
    guardStops()
  }
  subscribe("http.client.response.finish", (message) => {
    const { response } = message as { readonly response: IncomingMessage }
    if (response.statusCode !== 200) start()
  })
}

/** Sets the text that a forced stop prints on standard error. Prints nothing if it is empty. */
export const setForcedStopNote = (text: string): void => {
  note = text
  worker?.postMessage(text)
}

/** The text that a forced stop prints. */
export const forcedStopNote = (): string => note
