/** Protection against a function that never returns: a test's timeout cannot stop code that blocks the event loop. */
import { runInThisContext } from "node:vm"

const given = globalThis as { functionInTime?: (() => unknown) | undefined }

/** Calls a function, and stops it with an error if it takes longer, even in the middle of a regular expression. */
export const withinTime = <A>(millis: number, f: () => A): A => {
  given.functionInTime = f
  try {
    return runInThisContext("functionInTime()", { timeout: millis }) as A
  } finally {
    given.functionInTime = undefined
  }
}
