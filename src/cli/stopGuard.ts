/**
 * A stop that works while the event loop is blocked. JavaScript handles a signal only when the loop turns, so a regular
 * expression that does not end would keep the process alive. The guard is a worker thread with signal handles of its own: if
 * the process is still there after the grace period, the guard has the signal kill it.
 *
 * A worker takes 12 MB, a tenth of what a read does. So it starts when there is something to guard against, or when the
 * process has nothing else to do, or has lasted for a while: see `guardStopsLater`.
 */
import { subscribe } from "node:diagnostics_channel"
import type { IncomingMessage } from "node:http"
import type { Session as InspectorSession } from "node:inspector"
import { constants } from "node:os"
import type { Worker } from "node:worker_threads"

/** The signals that stop the program. */
export const stopSignals = ["SIGINT", "SIGTERM"] as const

export type StopSignal = (typeof stopSignals)[number]

/** How long a clean stop may take. After that the main thread ends the process by itself, if it can. */
export const GRACE_MILLIS = 2000

/** What the worker is given: its function is turned into text, so it sees nothing else of this module. */
interface GuardData {
  readonly signals: Readonly<Record<StopSignal, number>>
  /** A signal that came before the guard was there. */
  readonly received: StopSignal | undefined
  readonly note: string
  readonly forceAfterMillis: number
  readonly forceAgainAfterMillis: number
  readonly killAfterMillis: number
}

/** Node's own handle of a signal, the only one that a worker can have. */
interface SignalHandle {
  onsignal: () => void
  readonly start: (signal: number) => void
  readonly unref: () => void
  readonly close: () => void
}

/** Runs in the worker, with its `require`. */
const guard = (load: NodeJS.Require): void => {
  const { write } = load("node:fs") as typeof import("node:fs")
  const { isatty } = load("node:tty") as typeof import("node:tty")
  const { parentPort, workerData } = load("node:worker_threads") as typeof import("node:worker_threads")
  const { internalBinding } = load("internal/test/binding") as {
    internalBinding: (name: string) => { Signal: new () => SignalHandle }
  }
  const { forceAfterMillis, forceAgainAfterMillis, killAfterMillis, signals, ...given } =
    workerData as GuardData
  const { Signal } = internalBinding("signal_wrap")
  let { note, received } = given
  let isForced = false

  const force = (signal: StopSignal): void => {
    if (isForced) return
    isForced = true
    // The last resort, for a main thread that is stuck in the system.
    setTimeout(() => process.kill(process.pid, "SIGKILL"), killAfterMillis)
    // Not synchronously: the reader of standard error may be stuck, too.
    if (note !== "") write(2, `${isatty(2) ? "\r\u001b[?25h\n" : ""}${note}\n`, () => {})
    // The signal kills only once neither this thread nor the main one handles it.
    for (const handle of handles) handle.close()
    const { Session } = load("node:inspector") as { Session: new () => InspectorSession }
    const session = new Session()
    session.connectToMainThread()
    // V8 runs an expression while the main thread is busy. The kernel spares the first process of a
    // container, so that one has to exit. Node would say there that a debugger is connected, which is this session.
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
    const first = received ?? signal
    setTimeout(force, received === undefined ? forceAfterMillis : forceAgainAfterMillis, first)
    received = first
  }

  const handles = (Object.keys(signals) as Array<StopSignal>).map((signal) => {
    const handle = new Signal()
    handle.onsignal = () => onSignal(signal)
    handle.start(signals[signal])
    return handle
  })
  if (received !== undefined) setTimeout(force, forceAfterMillis, received)
  parentPort?.on("message", (text: string) => {
    note = text
  })
}

let worker: Worker | undefined
let isUnavailable = false
let note = ""

/** Starts the guard, unless it has been started. Where a Node has no such handles, nothing happens. */
export const guardStops = (received?: StopSignal): void => {
  if (worker !== undefined || isUnavailable) return
  const data: GuardData = {
    signals: { SIGINT: constants.signals.SIGINT, SIGTERM: constants.signals.SIGTERM },
    received,
    note,
    forceAfterMillis: GRACE_MILLIS + 300,
    forceAgainAfterMillis: 300,
    killAfterMillis: 400
  }
  try {
    // Loaded only here: the start of the program would take longer.
    const { Worker } = process.getBuiltinModule("node:worker_threads")
    worker = new Worker(`(${guard.toString()})(require)`, {
      eval: true,
      workerData: data,
      // No options of the process itself, such as modules to preload. Warnings would be about the first of these.
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
 * Ends the guard, and then calls `andThen`. A signal kills the process only while it has no handler, and the guard is one. The
 * guard does not start again.
 */
export const dismissGuard = (andThen: () => void): void => {
  isUnavailable = true
  if (worker === undefined) andThen()
  else worker.terminate().then(andThen, andThen)
}

/** A process that works less than this is waiting. */
const IDLE_SHARE = 0.1

const LOOK_MILLIS = 500

/** A run that long has more memory than the guard adds. */
const LONG_MILLIS = 10_000

/**
 * Starts the guard once the process is idle, has run for a while, or receives an error response, whose text may be anything.
 * While samples arrive there is no such text, and memory is at its peak.
 */
export const guardStopsLater = (): void => {
  const begun = performance.now()
  let before = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    if (utilization < IDLE_SHARE || performance.now() - begun > LONG_MILLIS) start()
  }, LOOK_MILLIS).unref()
  const start = (): void => {
    clearInterval(timer)
    guardStops()
  }
  subscribe("http.client.response.finish", (message) => {
    const { response } = message as { readonly response: IncomingMessage }
    if (response.statusCode !== 200) start()
  })
}

/** Sets what a forced stop prints on standard error; nothing, if empty. */
export const setForcedStopNote = (text: string): void => {
  note = text
  worker?.postMessage(text)
}

/** What a forced stop prints. */
export const forcedStopNote = (): string => note
