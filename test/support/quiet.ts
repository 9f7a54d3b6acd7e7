/**
 * Fails a test that prints. What a program logs is part of what it does: a test provides a logger, and asserts what it got,
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
    // On a busy machine the test clock has notes of its own.
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

// The next file of the same worker has a console of its own.
afterAll(() => {
  for (const method of methods) console[method] = original[method]
})
