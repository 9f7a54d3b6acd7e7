/**
 * Gives this process a wrong clock from its start. Loaded with `--import`, see `wrongClock.ts`.
 *
 * Durations (timers, `performance.now`) are unaffected, as on a machine whose clock is wrong.
 */
const { searchParams } = new URL(import.meta.url)
const RightDate = Date
const rightNow = Date.now
const shift = Number(searchParams.get("millis"))
const swings = searchParams.has("swings")

let looks = 0
const now = (): number => {
  if (!swings) return rightNow() + shift
  looks++
  // A little more each time, so that no two readings are consistent.
  return rightNow() + (looks % 2 === 0 ? shift : -shift) * (1 + looks / 100)
}

RightDate.now = now
globalThis.Date = new Proxy(RightDate, {
  apply: () => new RightDate(now()).toString(),
  construct: (_target, parts) => Reflect.construct(RightDate, parts.length === 0 ? [now()] : parts)
})
Object.defineProperty(performance, "timeOrigin", { value: performance.timeOrigin + shift })
