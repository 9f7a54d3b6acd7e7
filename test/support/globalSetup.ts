import {
  ensureChromium,
  ensureNginx,
  ensurePrometheus,
  ensureSquid,
  ensureSystemdAnalyze,
  ensureVictoriaMetrics,
  findPrometheus,
  findVictoriaMetrics
} from "./binaries.ts"
import { inCi } from "./runs.ts"

/** Runs once before the integration tests: installs or builds the real servers and the browser if they are missing. */
export const setup = async (): Promise<void> => {
  // One after the other, because each may run apt-get or use all processors.
  await ensurePrometheus(2)
  await ensureVictoriaMetrics("Debian")
  await ensureChromium()
  await ensureNginx()
  await ensureSquid()
  await ensureSystemdAnalyze()
  await optional(
    "Prometheus 3",
    () => findPrometheus(3),
    () => ensurePrometheus(3)
  )
  await optional(
    "a current VictoriaMetrics",
    () => findVictoriaMetrics("current"),
    () => ensureVictoriaMetrics("current")
  )
}

/** Builds a server. If that fails, its tests are skipped, or fail in CI. */
const optional = async (
  name: string,
  find: () => Promise<unknown>,
  ensure: () => Promise<unknown>
): Promise<void> => {
  try {
    if (await isMissing(find)) console.error(`Building ${name} for the tests, once: this takes some minutes.`)
    await ensure()
  } catch (error) {
    if (inCi) throw error
    const reason = error instanceof Error ? error.message : error
    console.error(`\nLEFT OUT: the tests on ${name}.\n${reason}\n`)
  }
}

const isMissing = (find: () => Promise<unknown>): Promise<boolean> =>
  find().then(
    () => false,
    () => true
  )
