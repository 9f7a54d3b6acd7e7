/**
 * How often tests with random inputs run: rarely by default, so that the first feedback is fast, and often in CI.
 * `MODEL_RUNS=20 npx vitest run …` searches twenty times as long as the default.
 */
const { CI, MODEL_RUNS } = process.env

/** The number of runs of a property: `few` by default, `many` in CI. */
export const runs = (few: number, many: number): number =>
  MODEL_RUNS === undefined ? (CI ? many : few) : Math.max(1, Math.round(few * Number(MODEL_RUNS)))

/** The length of a text that must be handled in linear time. In CI, quadratic time would exceed the timeout of a test. */
export const longText = CI ? 1_000_000 : 50_000

/** Whether tests run in CI, where those that lack a program fail instead of being skipped. */
export const inCi = CI !== undefined && CI !== "" && CI !== "false"
