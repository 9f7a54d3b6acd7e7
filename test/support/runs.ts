/**
 * How often tests with random inputs run: few times by default, so that the first feedback is fast, and five times as many
 * in CI. `MODEL_RUNS=20 npx vitest run …` searches for longer.
 */
const factor = Number(process.env.MODEL_RUNS ?? (process.env.CI ? 5 : 1))

/** The number of runs of a property: `count` by default. */
export const runs = (count: number): number => Math.max(1, Math.round(count * factor))
