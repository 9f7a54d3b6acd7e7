import { ensureChromium, ensurePrometheus, ensureVictoriaMetrics } from "./binaries.ts"

/** Runs once before the integration tests, which then find the programs of the real servers, and the browser, themselves. */
export const setup = async (): Promise<void> => {
  // One after the other: all may have to use apt-get.
  await ensurePrometheus()
  await ensureVictoriaMetrics()
  await ensureChromium()
}
