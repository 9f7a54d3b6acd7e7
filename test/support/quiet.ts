/**
 * Fails a test that prints. A program's logs are part of its behaviour: a test provides a logger and asserts the logs,
 * instead of printing errors that no one reads.
 */
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

// The next file in the same worker patches the console again.
afterAll(() => {
  for (const method of methods) console[method] = original[method]
})
