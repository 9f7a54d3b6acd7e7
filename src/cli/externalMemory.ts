/**
 * Keeps down what V8 does not see: the bytes of answers are outside its heap, where each weighs as little as a pointer. Left
 * to itself it lets tens of megabytes of them pile up, and now and then twice as many, before it looks for those in use.
 */
import { getHeapStatistics } from "node:v8"
import { collectGarbage } from "../samples/collectGarbage.ts"

/** How much more may pile up. Less is collected more often: with 8 MB a read takes a fifth longer. */
const MOST_BYTES = 20e6

/** An answer brings some 3 MB meanwhile. */
const PERIOD_MILLIS = 25

/** Collects garbage whenever that much has been added since the last time, for as long as the process lives. */
export const keepExternalMemoryLow = (): void => {
  let least = 0
  const look = () => {
    // Not `process.memoryUsage()`, which asks the system for more than that, and waits for it.
    const bytes = getHeapStatistics().external_memory
    least = Math.min(least, bytes)
    if (bytes < least + MOST_BYTES) return
    collectGarbage()
    least = getHeapStatistics().external_memory
  }
  setInterval(look, PERIOD_MILLIS).unref()
}
