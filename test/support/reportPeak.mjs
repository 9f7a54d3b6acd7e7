/**
 * Preloaded with `--import` into a process that is measured: writes its peak memory in megabytes to the file PEAK_FILE
 * as it ends.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"

process.once("exit", () => {
  const path = "/proc/self/status"
  // Where there is that, it is better: the other one includes what the process was a copy of before it became Node.
  const kibibytes = existsSync(path)
    ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(path, "utf8"))[1]
    : process.resourceUsage().maxRSS
  writeFileSync(process.env.PEAK_FILE, String(Number(kibibytes) / 1024))
})
