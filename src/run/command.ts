/** The command `run`, wired. */
import { Effect, FileSystem, Layer, Option, References } from "effect"
import { Command } from "effect/cli"
import { type ConfigError, ConnectorConfig, type Settings, secretTexts } from "../ConnectorConfig.ts"
import { makeMask } from "../config/SecretMask.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { setForcedStopNote } from "../stopGuard.ts"
import { StateStore } from "../sync/StateStore.ts"
import { Unsuccessful } from "../Unsuccessful.ts"
import { WRONG_USAGE } from "../usageErrors.ts"
import {
  type ConfigFlags,
  configFlags,
  demoSettingsOf,
  isEmpty,
  settingsOf,
  withFlagsToCheck
} from "./configFlags.ts"
import { layerStates, type SyncMode } from "./Destination.ts"
import { startDemo } from "./demo.ts"
import { destinationLayer } from "./destinations.ts"
import { masked, maskedSummary } from "./display/masked.ts"
import { Screen } from "./display/Screen.ts"
import * as ShownProgress from "./display/shownProgress.ts"
import { estimate } from "./estimate.ts"
import { personalLog, tellErrors, tellErrorsAs } from "./personal.ts"
import { repeatedly } from "./repeatedly.ts"
import { checkReportPlace, writeReport } from "./report/writeReport.ts"
import { run } from "./run.ts"
import { checkTogether, planOf, type RunFlags, type RunPlan, runFlags } from "./runFlags.ts"
import { showDryRun, showSummary } from "./show.ts"
import { type Target, targetText } from "./target.ts"

/** Printed when a stop does not wait for the run to end. */
const FORCED_STOP =
  "Stopped at once. All that was committed is kept, and the same command resumes from there."

/** Does what the plan says, from a source that people know by a name of its own. Fails where a stream did. */
const carryOut = Effect.fnUntraced(function* (plan: RunPlan, settings: Settings, source: string) {
  const mask = makeMask(secretTexts(settings))
  const destination = destinationLayer(plan.target, { ...plan, source, labelColumns: settings.labelColumns })
  const progress = masked(ShownProgress.layer, mask)

  const runOnce = Effect.fnUntraced(function* (mode: SyncMode) {
    const summary = yield* run({
      mode,
      source,
      destination: targetText(plan.target),
      hasCharts: plan.reportPath !== undefined
    }).pipe(
      Effect.provide(Layer.merge(destination, progress)),
      Effect.map((summary) => maskedSummary(summary, mask))
    )
    yield* showSummary(summary, plan.isJson)
    if (plan.reportPath !== undefined) {
      yield* writeReport(plan.reportPath, summary)
      yield* Effect.logInfo(`The report is in ${plan.reportPath}.`)
    }
    return summary.streams.every(({ error }) => error === undefined)
  })

  yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning))
  if (plan.isDryRun) return yield* dryRun(plan, source, destination)
  if (plan.reportPath !== undefined) yield* checkReportPlace(plan.reportPath)
  yield* Effect.acquireRelease(
    Effect.sync(() => setForcedStopNote(FORCED_STOP)),
    () => Effect.sync(() => setForcedStopNote(""))
  )
  if (plan.everyMillis !== undefined) {
    let mode = plan.mode
    const next = Effect.suspend(() => runOnce(mode)).pipe(
      Effect.tap(() => Effect.sync(() => (mode = plan.laterMode)))
    )
    return yield* repeatedly(plan.everyMillis, next)
  }
  if (!(yield* runOnce(plan.mode))) return yield* new Unsuccessful({})
})

/**
 * Whether there is something to open, be it only to say what is wrong with it. To open a folder that has no states yet
 * would make them.
 */
const hasSomething = Effect.fnUntraced(function* ({ format, path }: Target) {
  const files = yield* FileSystem.FileSystem
  const exists = (path: string) => Effect.orElseSucceed(files.exists(path), () => false)
  if (format === "duckdb" || !(yield* exists(path))) return yield* exists(path)
  const isFolder = yield* files.stat(path).pipe(
    Effect.map(({ type }) => type === "Directory"),
    Effect.orElseSucceed(() => false)
  )
  return !isFolder || (yield* exists(`${path}/_state`))
})

/** What a run would go on from is looked up where there is a destination; none is made. */
const dryRun = Effect.fnUntraced(function* (
  { isJson, mode, target }: RunPlan,
  source: string,
  destination: ReturnType<typeof destinationLayer>
) {
  const isThere = yield* hasSomething(target)
  const estimated = yield* estimate({ mode, source, destination: targetText(target) }).pipe(
    Effect.provide(isThere ? Layer.provide(layerStates(mode), destination) : StateStore.layerMemory())
  )
  yield* showDryRun(estimated, isJson)
})

const runGiven = Effect.fnUntraced(
  function* (given: ConfigFlags & RunFlags) {
    const { printAbove } = yield* Screen
    const isDemo = isEmpty(given)
    const settings = yield* Effect.gen(function* () {
      if (isDemo) return yield* demoSettingsOf(yield* startDemo, given)
      return yield* settingsOf(given)
    }).pipe(
      Effect.catchIf(
        // Without a file it can only be the flags.
        (error): error is ConfigError => error._tag === "ConfigError" && Option.isNone(given.config),
        ({ message }) => Effect.andThen(Effect.logError(message), new Unsuccessful({ exitCode: WRONG_USAGE }))
      )
    )
    const plan = planOf(given, isDemo ? "demo.duckdb" : "prometheus.duckdb")
    if (isDemo) {
      yield* Effect.logInfo("Neither --url nor --config is given, so an embedded demo Prometheus is read.")
    }
    yield* carryOut(plan, settings, isDemo ? "the demo" : settings.baseUrl).pipe(
      Effect.provide(
        PrometheusClient.layer.pipe(Layer.provideMerge(Layer.succeed(ConnectorConfig, settings)))
      ),
      // Inside, where the secrets are known.
      tellErrorsAs(withFlagsToCheck),
      Effect.provide(personalLog(secretTexts(settings), printAbove))
    )
  },
  Effect.scoped,
  tellErrors,
  Effect.provide(personalLog([])),
  Effect.provide(Screen.layer),
  Effect.provideService(References.MinimumLogLevel, "Info")
)

/** `source-prometheus run`. */
export const runCommand = Command.make("run", { ...configFlags, ...runFlags }, runGiven).pipe(
  Command.validate((given) => checkTogether(given)),
  Command.withDescription(
    "Do a whole sync without Airbyte: read all metrics into DuckDB, Parquet or JSON lines, and go on from there the next time"
  ),
  Command.withExamples([
    { command: "source-prometheus run", description: "Try it with an embedded demo Prometheus" },
    {
      command: "source-prometheus run --url http://localhost:9090 --start 2026-01-01 --step 5m",
      description: "Read your Prometheus into prometheus.duckdb; run it again to add what is new"
    },
    {
      command:
        "source-prometheus run --config config.json --select 'node_*' --to parquet:metrics --every 15m",
      description: "Keep a folder of Parquet files in sync with some metrics until stopped"
    },
    {
      command: "source-prometheus run --url http://localhost:9090 --start 2026-01-01 --dry-run",
      description: "Show what would be read"
    }
  ])
)
