import { ensureChromium, ensurePrometheus, ensureVictoriaMetrics } from "./binaries.ts"

/** Runs once before the integration tests, and installs the real servers and the browser if they are missing. */
export const setup = async (): Promise<void> => {
  // One after the other, because each may run apt-get.
  await ensurePrometheus()
  await ensureVictoriaMetrics()
  await ensureChromium()
}
