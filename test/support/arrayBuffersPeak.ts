/** Allocates short-lived buffers, as a read does, and prints their peak size in megabytes. */
import { setTimeout as sleep } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { keepExternalMemoryLow } from "../../src/cli/memory.ts"

setFlagsFromString("--no-incremental-marking")
if (process.argv[2] === "low") keepExternalMemoryLow()

const kept: Array<unknown> = []
let peak = 0
for (let i = 0; i < 3000; i++) {
  kept.push(new Uint8Array(65_536), i % 4 === 0 ? Array.from({ length: 5000 }, () => ({})).length : 0)
  if (kept.length > 256) kept.splice(0, 2)
  peak = Math.max(peak, process.memoryUsage().arrayBuffers)
  if (i % 20 === 0) await sleep(2)
}
console.log(peak / 1e6)
