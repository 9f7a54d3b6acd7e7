/** The command `run`, wired. */
import { Effect, FileSystem, Layer, References } from "effect"
import { CliError, Command } from "effect/cli"
import { ConfigError, ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import type { InputFileError } from "../config/inputFile.ts"
import { makeMask } from "../config/SecretMask.ts"
import { Destination, layerStates, type SyncMode } from "../destinations/Destination.ts"
import type { DestinationKind, OpenOptions } from "../destinations/DestinationKind.ts"
import { ProxyEnvironment } from "../prometheus/http/nodeClients.ts"
import { CurrentLoadMeter, LoadMeter } from "../prometheus/load/LoadMeter.ts"
import { IsAwaited, PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { secretTexts } from "../prometheus/secretTexts.ts"
import { checkReport, writeReport } from "../report/html/writeReport.ts"
import * as ScreenProgress from "../report/screenProgress.ts"
import { estimate } from "../run/estimate.ts"
import { fitSettings } from "../run/filledDestination.ts"
import { compareWithServer } from "../run/refreshGuard.ts"
import { namesToRead, refuseTables, run } from "../run/run.ts"
import { runOnCluster } from "../run/runOnCluster.ts"
import { runParts } from "../run/runParts.ts"
import { StateStore } from "../sync/StateStore.ts"
import { kindOf } from "../sync/StreamDefinition.ts"
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
import { layerAccount, layerQueue, sharedSettings } from "./onCluster.ts"
import { withCredentialsOf, withRenewal } from "./renewal.ts"
import { repeatedly } from "./repeatedly.ts"
import { checkTogether, isAnyGiven, planOf, type RunFlags, type RunPlan, runFlags } from "./runFlags.ts"
import { showDryRun, showSummary } from "./show.ts"
import { reportErrors, stderrLogger } from "./stderrLogger.ts"
import { setForcedStopNote } from "./stopGuard.ts"
import { checkTarget, targetText } from "./target.ts"
import { WRONG_USAGE } from "./usageErrors.ts"

/** Printed when a second signal, or the end of the grace period, ends the process. */
const FORCED_STOP =
  "Stopped immediately. All committed data is saved, and the same command resumes from there."

/** Provides what the settings of a source say. */
type Connect = <A, E, R>(
  effect: Effect.Effect<A, E, R>
) => Effect.Effect<A, E, Exclude<R, PrometheusClient | ConnectorConfig>>

/** The source of a run: its settings, whether the user gave a step, and its name for messages. */
interface Source {
  readonly settings: Settings
  /** The settings with the credentials that files contain now: tokens expire, and another program renews them. */
  readonly renewed: Effect.Effect<Settings, ConfigError | InputFileError, FileSystem.FileSystem>
  readonly isStepGiven: boolean
  readonly name: string
  /** Provides the server, and a log that masks the secrets of these settings. */
  readonly connect: (settings: Settings) => Connect
}

/** Executes a plan. Fails if a stream failed. */
const executePlan = Effect.fnUntraced(function* (plan: RunPlan, from: Source) {
  const { everyMillis, reportPath, target } = plan
  const { connect, isStepGiven, name: source } = from
  const settings = withShareOfLoad(from.settings, plan.share)
  const renewed = Effect.map(from.renewed, (settings) => withShareOfLoad(settings, plan.share))
  yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning))
  const modes = everyMillis === undefined ? [plan.mode] : [plan.mode, plan.laterMode]
  const refusal = modes
    .map((mode) => target.kind.refusal?.(mode, settings, replacing()))
    .find((text) => text !== undefined)
  if (refusal !== undefined) return yield* new ConfigError({ message: refusal })
  yield* checkTarget(target)
  const opening: OpenOptions = {
    ...plan,
    path: target.path,
    source,
    labelColumns: settings.labelColumns,
    kindOf: (stream) => kindOf(settings, stream),
    replacing: replacing(),
    readOnly: plan.isDryRun
  }
  const destination = target.kind.layer(opening)
  if (plan.isDryRun) return yield* connect(settings)(dryRun(plan, from, destination))
  if (reportPath !== undefined) {
    yield* checkReport(reportPath, { ...target, name: targetText(target) })
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => setForcedStopNote(FORCED_STOP)),
    () => Effect.sync(() => setForcedStopNote(""))
  )

  const runOnce = Effect.fnUntraced(function* (mode: SyncMode, settings: Settings) {
    const options = {
      mode,
      source,
      destination: targetText(target),
      replacesRows: target.kind.replacesRows,
      hasCharts: reportPath !== undefined,
      isStepGiven,
      mayShrink: plan.mayShrink,
      confirm: confirmInTerminal(),
      mask: makeMask(secretTexts(settings))
    }
    const { cluster, partMillis: lengthMillis, share } = plan
    const shared = target.kind.sharedLayer?.(opening)
    const inShared =
      shared === undefined
        ? undefined
        : cluster !== undefined
          ? runOnCluster({ ...options, lengthMillis }).pipe(
              Effect.provide(layerQueue(cluster, sharedSettings(target, source, settings))),
              Effect.catchTag("ClusterError", ({ message }) => new ConfigError({ message })),
              Effect.provide(shared)
            )
          : share !== undefined
            ? Effect.provide(runParts({ ...options, share }), shared)
            : undefined
    const summary = yield* (inShared ?? Effect.provide(run(options), destination)).pipe(
      Effect.provide(ScreenProgress.layer),
      Effect.provideService(CurrentLoadMeter, new LoadMeter())
    )
    yield* showSummary(summary, plan.isJson)
    if (reportPath !== undefined) {
      yield* writeReport(reportPath, summary)
      yield* Effect.logInfo(`Wrote the report to ${reportPath}.`)
    }
    return summary.streams.every(({ error }) => error === undefined)
  })
  const account =
    plan.cluster === undefined
      ? Layer.empty
      : layerAccount(plan.cluster, target, source, settings, "submitter")
  const shared = yield* Effect.catchTag(
    Layer.build(account),
    "ClusterError",
    ({ message }) => new ConfigError({ message })
  )
  const runConnected = (mode: SyncMode, settings: Settings) =>
    withRenewal(settings, renewed, (settings) => connect(settings)(runOnce(mode, settings))).pipe(
      Effect.provideContext(shared)
    )
  if (everyMillis !== undefined) {
    const later = Effect.flatMap(renewed, (settings) => runConnected(plan.laterMode, settings))
    return yield* repeatedly(everyMillis, runConnected(plan.mode, settings), later)
  }
  if (!(yield* runConnected(plan.mode, settings))) return yield* new ExitWithCode({})
})

/** The load budget of one of several processes, which do not know of each other. */
const withShareOfLoad = (settings: Settings, share: RunPlan["share"]): Settings => {
  const { maxRequestsPerSecond, maxSamplesPerSecond } = settings
  const { processes = 1 } = share ?? {}
  return {
    ...settings,
    maxRequestsPerSecond: maxRequestsPerSecond && maxRequestsPerSecond / processes,
    maxSamplesPerSecond: maxSamplesPerSecond && maxSamplesPerSecond / processes
  }
}

/** Reads the states of an existing destination to show where a run would resume. Creates and changes nothing. */
const dryRun = Effect.fnUntraced(function* (
  { cluster, isJson, mayShrink, mode, partMillis, processes, target }: RunPlan,
  { isStepGiven, name: source }: Source,
  destination: ReturnType<DestinationKind["layer"]>
) {
  // The run itself would refuse them.
  if (cluster !== undefined || processes !== undefined) yield* refuseTables
  const about = { mode, source, destination: targetText(target), isStepGiven, isDryRun: true }
  const names = yield* namesToRead
  const hasParts = target.kind.sharedLayer !== undefined && mode === "incremental_append_deduped"
  const partsWith = (known: ReadonlyMap<string, number>) =>
    hasParts ? { known, lengthMillis: partMillis, processes } : undefined
  const resumed = Effect.gen(function* () {
    const { partLengths } = yield* Destination
    if (mode === "full_refresh_overwrite" && !mayShrink) {
      yield* compareWithServer(names, about.destination)
    }
    return yield* Effect.provide(estimate(names, about, partsWith(partLengths())), layerStates(mode))
  })
  const files = yield* FileSystem.FileSystem
  const isThere = target.isRemote || (yield* Effect.orElseSucceed(files.exists(target.path), () => true))
  const estimated = isThere
    ? yield* Effect.provide(
        Effect.provideServiceEffect(
          resumed,
          ConnectorConfig,
          Effect.flatMap(Destination, ({ streams }) => fitSettings(names, about, streams()))
        ),
        destination
      )
    : yield* Effect.provide(estimate(names, about, partsWith(new Map())), StateStore.layerMemory())
  yield* showDryRun(estimated, isJson)
})

const runFromFlags = Effect.fnUntraced(
  function* (given: ConfigFlags & RunFlags) {
    const { printAbove } = yield* Screen
    // `validate` has already rejected ambiguous flags.
    const readsDemo = yield* Effect.orDie(isDemo(given, isAnyGiven(given)))
    const demo = readsDemo ? yield* startDemo : undefined
    const read = Effect.gen(function* () {
      return demo === undefined ? yield* settingsOf(given) : yield* demoSettingsOf(demo, given)
    })
    const { isStepGiven, settings } = yield* Effect.catchTag(read, "WrongFlags", ({ message }) =>
      Effect.andThen(Effect.logError(message), new ExitWithCode({ exitCode: WRONG_USAGE }))
    )
    const plan = planOf(given, readsDemo)
    if (readsDemo && !given.demo) {
      yield* Effect.logInfo("Reading the embedded demo Prometheus, because no flag is given.")
    }
    const connect =
      (settings: Settings): Connect =>
      (effect) =>
        effect.pipe(
          Effect.provide(
            PrometheusClient.layer.pipe(
              // A repeated run may have been started together with the server.
              Layer.provide(Layer.succeed(IsAwaited, plan.everyMillis === undefined)),
              // No proxy can reach the demo.
              Layer.provide(Layer.succeed(ProxyEnvironment, readsDemo ? {} : process.env)),
              Layer.provideMerge(Layer.succeed(ConnectorConfig, settings))
            )
          ),
          Effect.provide(stderrLogger(secretTexts(settings), printAbove))
        )
    yield* executePlan(plan, {
      settings,
      renewed: read.pipe(
        Effect.map((renewed) => withCredentialsOf(renewed.settings, settings)),
        Effect.catchTag("WrongFlags", ({ message }) => new ConfigError({ message }))
      ),
      isStepGiven,
      name: readsDemo ? "the demo" : settings.baseUrl,
      connect
    }).pipe(
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
  Command.validate((given) =>
    checkTogether(given).pipe(
      Effect.andThen(isDemo(given, isAnyGiven(given))),
      Effect.flatMap((readsDemo) =>
        readsDemo && given.cluster !== undefined
          ? new CliError.ValidationError({
              message:
                "Workers cannot read the demo, which each process has for itself: remove --cluster or --demo."
            })
          : Effect.void
      )
    )
  ),
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
