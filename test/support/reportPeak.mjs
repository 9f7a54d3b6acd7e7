/**
 * Preloaded with `--import` into a measured process: writes its peak memory in megabytes to the file PEAK_FILE when it
 * exits.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"

process.once("exit", () => {
  const path = "/proc/self/status"
  // This file is better if it exists: maxRSS includes the memory of the parent that the process was forked from.
  const kibibytes = existsSync(path)
    ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(path, "utf8"))[1]
    : process.resourceUsage().maxRSS
  writeFileSync(process.env.PEAK_FILE, String(Number(kibibytes) / 1024))
})
