/** Keeps the memory of the process low. A read allocates large buffers that die young: the bytes of responses. */
import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { collectGarbage } from "../samples/collectGarbage.ts"

/**
 * Tunes V8 for short-lived garbage. By default V8 lets it accumulate, which saves no time. Few objects are live, so a
 * single-threaded collection without pauses in between is cheaper than an incremental one, which needs write barriers.
 */
export const keepMemoryLow = (): void => {
  setFlagsFromString("--semi-space-growth-factor=1")
  setFlagsFromString("--no-parallel-scavenge")
  setFlagsFromString("--no-incremental-marking")
  setFlagsFromString("--heap-growing-percent=70")
  keepExternalMemoryLow()
}

/** How many bytes may accumulate. With 8 MB a read takes a fifth longer. */
const MAX_BYTES = 20e6

/** A response adds some 3 MB within this time. */
const PERIOD_MILLIS = 25

/**
 * Collects garbage whenever this amount of external memory has been added since the last collection. The bytes of responses are
 * outside V8's heap, where each buffer counts as a small object, so V8 would let tens of megabytes accumulate.
 */
export const keepExternalMemoryLow = (): void => {
  let least = 0
  const check = () => {
    // Not `process.memoryUsage()`, which makes a system call.
    const bytes = getHeapStatistics().external_memory
    least = Math.min(least, bytes)
    if (bytes < least + MAX_BYTES) return
    collectGarbage()
    least = getHeapStatistics().external_memory
  }
  setInterval(check, PERIOD_MILLIS).unref()
}
