/** The command `run`, wired. */
import { Effect, FileSystem, Layer, Option, References } from "effect"
import { Command } from "effect/cli"
import { ConfigError, ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import { makeMask } from "../config/SecretMask.ts"
import { layerStates, type SyncMode } from "../destinations/Destination.ts"
import type { DestinationKind } from "../destinations/DestinationKind.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { secretTexts } from "../prometheus/secretTexts.ts"
import { checkReportPath, writeReport } from "../report/html/writeReport.ts"
import * as ScreenProgress from "../report/screenProgress.ts"
import { estimate } from "../run/estimate.ts"
import { fitSettings } from "../run/filledDestination.ts"
import { compareWithServer } from "../run/refreshGuard.ts"
import { namesToRead, run } from "../run/run.ts"
import { StateReader } from "../sync/StateReader.ts"
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
import { checkReportFile, checkTarget } from "./reportPath.ts"
import { checkTogether, planOf, type RunFlags, type RunPlan, runFlags } from "./runFlags.ts"
import { showDryRun, showSummary } from "./show.ts"
import { reportErrors, reportErrorsAs, stderrLogger } from "./stderrLogger.ts"
import { setForcedStopNote } from "./stopGuard.ts"
import { targetText } from "./target.ts"
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
  const { isStepGiven, name: source, settings } = from
  const destination = plan.target.kind.layer({
    ...plan,
    path: plan.target.path,
    source,
    labelColumns: settings.labelColumns,
    replacing: replacing(),
    readOnly: plan.isDryRun
  })

  const runOnce = Effect.fnUntraced(function* (mode: SyncMode) {
    const summary = yield* run({
      mode,
      source,
      destination: targetText(plan.target),
      hasCharts: plan.reportPath !== undefined,
      isStepGiven,
      mayShrink: plan.mayShrink,
      confirm: confirmInTerminal(),
      mask: makeMask(secretTexts(settings))
    }).pipe(Effect.provide(Layer.merge(destination, ScreenProgress.layer)))
    yield* showSummary(summary, plan.isJson)
    if (plan.reportPath !== undefined) {
      yield* writeReport(plan.reportPath, summary)
      yield* Effect.logInfo(`Wrote the report to ${plan.reportPath}.`)
    }
    return summary.streams.every(({ error }) => error === undefined)
  })

  yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning))
  const modes = plan.everyMillis === undefined ? [plan.mode] : [plan.mode, plan.laterMode]
  const refusal = modes
    .map((mode) => plan.target.kind.refusal?.(mode, settings, replacing()))
    .find((text) => text !== undefined)
  if (refusal !== undefined) return yield* new ConfigError({ message: refusal })
  yield* checkTarget(plan.target)
  if (plan.isDryRun) return yield* dryRun(plan, from, destination)
  if (plan.reportPath !== undefined) {
    yield* checkReportFile(plan.reportPath, plan.target)
    yield* checkReportPath(plan.reportPath)
  }
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
  const files = yield* FileSystem.FileSystem
  const isThere = yield* Effect.orElseSucceed(files.exists(target.path), () => true)
  const estimated = isThere
    ? yield* Effect.gen(function* () {
        const fitted = yield* fitSettings(names, about)
        if (mode === "full_refresh_overwrite" && !mayShrink) {
          yield* Effect.provideService(compareWithServer(names, about.destination), ConnectorConfig, fitted)
        }
        return yield* estimate(names, about).pipe(
          Effect.provide(layerStates(mode)),
          Effect.provideService(ConnectorConfig, fitted)
        )
      }).pipe(Effect.provide(destination))
    : yield* Effect.provide(estimate(names, about), StateReader.layerMemory())
  yield* showDryRun(estimated, isJson)
})

const runFromFlags = Effect.fnUntraced(
  function* (given: ConfigFlags & RunFlags) {
    const { printAbove } = yield* Screen
    // `validate` has already rejected ambiguous flags.
    const readsDemo = yield* Effect.orDie(isDemo(given, Option.isSome(given.to)))
    const { isStepGiven, settings } = yield* Effect.gen(function* () {
      if (readsDemo) return yield* demoSettingsOf(yield* startDemo, given)
      return yield* settingsOf(given)
    }).pipe(
      Effect.catchIf(
        // Without a file the error is in the flags.
        (error): error is ConfigError => error._tag === "ConfigError" && Option.isNone(given.config),
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
        PrometheusClient.layer.pipe(Layer.provideMerge(Layer.succeed(ConnectorConfig, settings)))
      ),
      // Errors are reported here, where the secrets to mask are known.
      reportErrorsAs(withFlagsToCheck),
      Effect.provide(stderrLogger(secretTexts(settings), printAbove))
    )
  },
  Effect.scoped,
  reportErrors,
  Effect.provide(stderrLogger([])),
  Effect.provide(Screen.layer),
  Effect.provideService(References.MinimumLogLevel, "Info")
)

/** `source-prometheus run`. */
export const runCommand = Command.make("run", { ...configFlags, ...runFlags }, runFromFlags).pipe(
  Command.validate((given) => Effect.andThen(checkTogether(given), isDemo(given, Option.isSome(given.to)))),
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
