import { Redacted } from "effect"

/** All secrets within a value, in the order in which they are found. */
export const redactedIn = (value: unknown): ReadonlyArray<string> => {
  const found: Array<string> = []
  const seen = new Set<unknown>()
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || seen.has(value)) return
    seen.add(value)
    if (Redacted.isRedacted(value)) {
      const secret = Redacted.value(value)
      if (typeof secret === "string") found.push(secret)
      else walk(secret)
    } else if (value instanceof Map) for (const entry of value) walk(entry)
    else for (const inner of Object.values(value)) walk(inner)
  }
  walk(value)
  return found
}
