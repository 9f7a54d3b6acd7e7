/** Child processes that never outlive this one. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process"
import { constants } from "node:os"

const running = new Set<ChildProcess>()

/** Starts a process in its own group, so that `kill` also reaches the children of a shell. */
export const start = (program: string, args: ReadonlyArray<string>, options: SpawnOptions): ChildProcess => {
  const child = spawn(program, args, { ...options, detached: true })
  running.add(child)
  child.once("exit", () => running.delete(child))
  return child
}

/** Kills a process and its group, unless it has exited. */
export const kill = (child: ChildProcess): void => {
  if (child.pid === undefined || !running.has(child)) return
  try {
    process.kill(-child.pid, "SIGKILL")
  } catch {
    // It has just exited.
  }
}

/** The exit code of a process, or the signal that killed it. Rejects if it could not be started. */
export const exitOf = (child: ChildProcess): Promise<number | NodeJS.Signals> =>
  new Promise((resolve, reject) => {
    child.once("error", (error) => {
      running.delete(child)
      reject(new Error(`${child.spawnfile} could not be started: ${error.message}`))
    })
    child.once("exit", (code, signal) => resolve(code ?? signal!))
  })

/** Collects the output of a stream for error messages: only the end if it is long. */
export const collect = (stream: NodeJS.ReadableStream | null): (() => string) => {
  let text = ""
  stream?.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-100_000)
  })
  return () => text
}

process.once("exit", () => {
  for (const child of running) kill(child)
})
// Without these, a signal would end the process without its `exit` handlers.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}
