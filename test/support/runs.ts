/**
 * How long tests with random or large inputs take: a short time by default, so that the first feedback is fast, and fifteen
 * times as long in CI. `MODEL_RUNS=60 npx vitest run …` searches for longer.
 */
const factor = Number(process.env.MODEL_RUNS ?? (process.env.CI ? 15 : 1))

/** The number of runs of a property: `count` by default. */
export const runs = (count: number): number => Math.max(1, Math.round(count * factor))

/** The length of a text that must be handled in linear time: 200,000 by default, where quadratic time would be a minute. */
export const longText = Math.min(1_000_000, runs(200_000))
