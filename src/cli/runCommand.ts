/** The command `run`, wired. */
import { Effect, FileSystem, Layer, References } from "effect"
import { Command } from "effect/cli"
import { ConfigError, ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import { makeMask } from "../config/SecretMask.ts"
import { layerStates, type SyncMode } from "../destinations/Destination.ts"
import type { DestinationKind } from "../destinations/DestinationKind.ts"
import { IsAwaited, PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { secretTexts } from "../prometheus/secretTexts.ts"
import { checkReport, writeReport } from "../report/html/writeReport.ts"
import * as ScreenProgress from "../report/screenProgress.ts"
import { estimate } from "../run/estimate.ts"
import { fitSettings } from "../run/filledDestination.ts"
import { compareWithServer } from "../run/refreshGuard.ts"
import { namesToRead, run } from "../run/run.ts"
import { StateStore } from "../sync/StateStore.ts"
import { Screen } from "../terminal/Screen.ts"
import {
  type ConfigFlags,
  configFlags,
  demoSettingsOf,
  isDemo,
  settingsOf,
  withFlagsToCheck
} from "./configFlags.ts"
import { confirmInTerminal } from "./confirmInTerminal.ts"
import { startDemo } from "./demo.ts"
import { replacing } from "./destinations.ts"
import { ExitWithCode } from "./ExitWithCode.ts"
import { repeatedly } from "./repeatedly.ts"
import { checkTogether, planOf, type RunFlags, type RunPlan, runFlags } from "./runFlags.ts"
import { showDryRun, showSummary } from "./show.ts"
import { reportErrors, stderrLogger } from "./stderrLogger.ts"
import { setForcedStopNote } from "./stopGuard.ts"
import { checkTarget, targetText } from "./target.ts"
import { WRONG_USAGE } from "./usageErrors.ts"

/** Printed when a second signal, or the end of the grace period, ends the process. */
const FORCED_STOP =
  "Stopped immediately. All committed data is saved, and the same command resumes from there."

/** The source of a run: its settings, whether the user gave a step, and its name for messages. */
interface Source {
  readonly settings: Settings
  readonly isStepGiven: boolean
  readonly name: string
}

/** Executes a plan. Fails if a stream failed. */
const executePlan = Effect.fnUntraced(function* (plan: RunPlan, from: Source) {
  const { everyMillis, reportPath, target } = plan
  const { isStepGiven, name: source, settings } = from
  yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning))
  const modes = everyMillis === undefined ? [plan.mode] : [plan.mode, plan.laterMode]
  const refusal = modes
    .map((mode) => target.kind.refusal?.(mode, settings, replacing()))
    .find((text) => text !== undefined)
  if (refusal !== undefined) return yield* new ConfigError({ message: refusal })
  yield* checkTarget(target)
  const destination = target.kind.layer({
    ...plan,
    path: target.path,
    source,
    labelColumns: settings.labelColumns,
    replacing: replacing(),
    readOnly: plan.isDryRun
  })
  if (plan.isDryRun) return yield* dryRun(plan, from, destination)
  if (reportPath !== undefined) {
    yield* checkReport(reportPath, { ...target, name: targetText(target) })
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => setForcedStopNote(FORCED_STOP)),
    () => Effect.sync(() => setForcedStopNote(""))
  )

  const runOnce = Effect.fnUntraced(function* (mode: SyncMode) {
    const summary = yield* run({
      mode,
      source,
      destination: targetText(target),
      replacesRows: target.kind.replacesRows,
      hasCharts: reportPath !== undefined,
      isStepGiven,
      mayShrink: plan.mayShrink,
      confirm: confirmInTerminal(),
      mask: makeMask(secretTexts(settings))
    }).pipe(Effect.provide(Layer.merge(destination, ScreenProgress.layer)))
    yield* showSummary(summary, plan.isJson)
    if (reportPath !== undefined) {
      yield* writeReport(reportPath, summary)
      yield* Effect.logInfo(`Wrote the report to ${reportPath}.`)
    }
    return summary.streams.every(({ error }) => error === undefined)
  })
  if (everyMillis !== undefined) {
    return yield* repeatedly(everyMillis, runOnce(plan.mode), runOnce(plan.laterMode))
  }
  if (!(yield* runOnce(plan.mode))) return yield* new ExitWithCode({})
})

/** Reads the states of an existing destination to show where a run would resume. Creates and changes nothing. */
const dryRun = Effect.fnUntraced(function* (
  { isJson, mayShrink, mode, target }: RunPlan,
  { isStepGiven, name: source }: Source,
  destination: ReturnType<DestinationKind["layer"]>
) {
  const about = { mode, source, destination: targetText(target), isStepGiven, isDryRun: true }
  const names = yield* namesToRead
  const resumed = Effect.gen(function* () {
    if (mode === "full_refresh_overwrite" && !mayShrink) {
      yield* compareWithServer(names, about.destination)
    }
    return yield* Effect.provide(estimate(names, about), layerStates(mode))
  })
  const files = yield* FileSystem.FileSystem
  const isThere = yield* Effect.orElseSucceed(files.exists(target.path), () => true)
  const estimated = isThere
    ? yield* Effect.provide(
        Effect.provideServiceEffect(resumed, ConnectorConfig, fitSettings(names, about)),
        destination
      )
    : yield* Effect.provide(estimate(names, about), StateStore.layerMemory())
  yield* showDryRun(estimated, isJson)
})

const runFromFlags = Effect.fnUntraced(
  function* (given: ConfigFlags & RunFlags) {
    const { printAbove } = yield* Screen
    // `validate` has already rejected ambiguous flags.
    const readsDemo = yield* Effect.orDie(isDemo(given, given.to !== undefined))
    const { isStepGiven, settings } = yield* Effect.gen(function* () {
      if (readsDemo) return yield* demoSettingsOf(yield* startDemo, given)
      return yield* settingsOf(given)
    }).pipe(
      Effect.catchIf(
        // Without a file the error is in the flags.
        (error): error is ConfigError => error._tag === "ConfigError" && given.config === undefined,
        ({ message }) => Effect.andThen(Effect.logError(message), new ExitWithCode({ exitCode: WRONG_USAGE }))
      )
    )
    const plan = planOf(given, readsDemo)
    if (readsDemo && !given.demo) {
      yield* Effect.logInfo(
        "Reading the embedded demo Prometheus, because neither --url nor --config is given."
      )
    }
    yield* executePlan(plan, { settings, isStepGiven, name: readsDemo ? "the demo" : settings.baseUrl }).pipe(
      Effect.provide(
        PrometheusClient.layer.pipe(
          // A repeated run may have been started together with the server.
          Layer.provide(Layer.succeed(IsAwaited, plan.everyMillis === undefined)),
          Layer.provideMerge(Layer.succeed(ConnectorConfig, settings))
        )
      ),
      // Errors are reported here, where the secrets to mask are known.
      reportErrors(withFlagsToCheck),
      Effect.provide(stderrLogger(secretTexts(settings), printAbove))
    )
  },
  Effect.scoped,
  reportErrors(),
  Effect.provide(stderrLogger([])),
  Effect.provide(Screen.layer),
  Effect.provideService(References.MinimumLogLevel, "Info")
)

/** `source-prometheus run`. */
export const runCommand = Command.make("run", { ...configFlags, ...runFlags }, runFromFlags).pipe(
  Command.validate((given) => Effect.andThen(checkTogether(given), isDemo(given, given.to !== undefined))),
  Command.withDescription(
    "Sync without Airbyte: read metrics into DuckDB, Parquet or JSON lines. The next run resumes where this one ended"
  ),
  Command.withExamples([
    { command: "source-prometheus run", description: "Try it with an embedded demo Prometheus" },
    {
      command: "source-prometheus run --url http://localhost:9090 --start 2026-01-01 --step 5m",
      description: "Read your Prometheus into prometheus.duckdb; run it again to add new data"
    },
    {
      command:
        "source-prometheus run --config config.json --select 'node_*' --to parquet:metrics --every 15m",
      description: "Keep a folder of Parquet files up to date with some metrics until stopped"
    },
    {
      command: "source-prometheus run --url http://localhost:9090 --start 2026-01-01 --dry-run",
      description: "Show what would be read"
    }
  ])
)
