/**
 * Fails a test that prints, and a file that leaves running fibers behind.
 *
 * A program's logs are part of its behaviour: a test provides a logger and asserts the logs, instead of printing errors that no
 * one reads. A fiber that never ends belongs to a test that nothing awaits, and slows all later files of the worker.
 */
import { setTimeout } from "node:timers/promises"
import { afterAll, afterEach, beforeEach } from "vitest"

const methods = ["debug", "error", "info", "log", "trace", "warn"] as const

let printed: Array<string> = []

const original = { ...console }
for (const method of methods) {
  const print = console[method].bind(console)
  console[method] = (...values: ReadonlyArray<unknown>) => {
    const text = values.map(String).join(" ")
    // On a busy machine the test clock prints its own warnings.
    if (!text.includes("test clock")) printed.push(text)
    print(...values)
  }
}

beforeEach(() => {
  printed = []
})

afterEach(() => {
  if (printed.length > 0) throw new Error(`This test printed:\n${printed.join("\n")}`)
})

afterAll(async () => {
  // The next file in the same worker patches the console again.
  for (const method of methods) console[method] = original[method]
  for (let checks = 0; isRunning(); checks++) {
    if (checks === 100)
      throw new Error("This file leaves fibers that never end. Look for a test that nothing awaits.")
    await setTimeout(10)
  }
})

/** Whether a fiber is about to continue: fibers yield to each other by immediates. */
const isRunning = (): boolean => process.getActiveResourcesInfo().includes("Immediate")
