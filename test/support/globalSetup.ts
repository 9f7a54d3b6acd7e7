import { ensurePrometheus, ensureVictoriaMetrics } from "./binaries.ts"

/** Runs once before the integration tests, which then find the programs of the real servers themselves. */
export const setup = async (): Promise<void> => {
  // One after the other: both may have to use apt-get.
  await ensurePrometheus()
  await ensureVictoriaMetrics()
}
