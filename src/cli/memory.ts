/** Keeps the memory of the process low: a read allocates much that is large and dies young, the bytes of responses. */
import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { collectGarbage } from "../samples/collectGarbage.ts"

/**
 * Tunes V8 for that. By default it lets such garbage pile up, for no gain in time. There is so little to look through that
 * collecting it at once and in one thread costs less than doing so bit by bit beside the program, which would have to record
 * all its changes meanwhile.
 */
export const keepMemoryLow = (): void => {
  setFlagsFromString("--semi-space-growth-factor=1")
  setFlagsFromString("--no-parallel-scavenge")
  setFlagsFromString("--no-incremental-marking")
  setFlagsFromString("--heap-growing-percent=70")
  keepExternalMemoryLow()
}

/** How many bytes may pile up. With 8 MB a read takes a fifth longer. */
const MAX_BYTES = 20e6

/** A response brings some 3 MB meanwhile. */
const PERIOD_MILLIS = 25

/**
 * Collects garbage whenever that much external memory has been added since the last time. The bytes of responses are outside
 * of V8's heap, where each weighs as little as a pointer: by itself V8 lets tens of megabytes of them pile up.
 */
export const keepExternalMemoryLow = (): void => {
  let least = 0
  const check = () => {
    // Not `process.memoryUsage()`, which waits for the system.
    const bytes = getHeapStatistics().external_memory
    least = Math.min(least, bytes)
    if (bytes < least + MAX_BYTES) return
    collectGarbage()
    least = getHeapStatistics().external_memory
  }
  setInterval(check, PERIOD_MILLIS).unref()
}
