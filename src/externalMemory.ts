/**
 * Keeps down what V8 does not see: the bytes of answers are outside its heap, where each weighs as little as a pointer. Left
 * to itself it lets tens of megabytes of them pile up, and now and then twice as many, before it looks for those in use.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** How much more may pile up. Less is collected more often: with 8 MB a read takes a fifth longer. */
const MOST_BYTES = 20e6

/** An answer brings some 3 MB meanwhile. */
const PERIOD_MILLIS = 25

/** Collects garbage whenever that much has been added since the last time, for as long as the process lives. */
export const keepExternalMemoryLow = (): void => {
  // There is no other way to call it, unless whoever starts the process says so.
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as (options: { readonly type: "major" }) => void
  setFlagsFromString("--no-expose-gc")
  let least = 0
  const look = () => {
    const { arrayBuffers } = process.memoryUsage()
    least = Math.min(least, arrayBuffers)
    if (arrayBuffers < least + MOST_BYTES) return
    collect({ type: "major" })
    least = process.memoryUsage().arrayBuffers
  }
  setInterval(look, PERIOD_MILLIS).unref()
}
