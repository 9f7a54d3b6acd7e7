/**
 * Preloaded with `--import` into a process that is measured: writes its exit code and its peak memory to file
 * descriptor 3 as it ends. Plain JavaScript, so that it costs the process next to nothing.
 */
import { readFileSync, writeSync } from "node:fs"

process.once("exit", (exitCode) => {
  // Not `process.resourceUsage().maxRSS`: that one includes what the process was a copy of before it became Node.
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))
  writeSync(3, JSON.stringify({ exitCode, peakRssMegabytes: (Number(kibibytes) * 1024) / 1e6 }))
})
