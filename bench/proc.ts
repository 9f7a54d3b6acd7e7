/** Memory and CPU time of processes, from /proc. */
import { readFileSync } from "node:fs"

/** Fails with instructions on systems without /proc. */
export const assertLinux = (): void => {
  if (process.platform !== "linux") {
    throw new Error(
      "The bench reads memory and CPU time from /proc: run it on Linux, such as in a container."
    )
  }
}

/** The clock ticks of /proc, the same on every Linux that Node supports. */
const TICKS_PER_SECOND = 100

/** User and system CPU seconds of a process so far. */
export const cpuSeconds = (pid: number): number => times(pid, 13)

/** User and system CPU seconds of all exited descendants of this process. */
export const endedChildrenCpuSeconds = (): number => times(process.pid, 15)

/** The sum of a field of /proc/PID/stat and the next, counted from 0. */
const times = (pid: number, field: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  // The second field is the program's name in parentheses, and may contain spaces.
  const fromThird = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fromThird[field - 2]) + Number(fromThird[field - 1])) / TICKS_PER_SECOND
}
