/** The command `worker`, wired: takes the parts of runs with `--cluster`. */
import { hostname } from "node:os"
import { Effect, Layer, Option, RcMap, RcRef, References, Scope } from "effect"
import { CliError, Command } from "effect/cli"
import { PartFailed } from "../cluster/PartQueue.ts"
import { ConfigError, ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import { makeMask } from "../config/SecretMask.ts"
import type { DestinationError } from "../destinations/Destination.ts"
import type { SharedDestination } from "../destinations/SharedDestination.ts"
import { ProxyEnvironment } from "../prometheus/http/nodeClients.ts"
import { SharedLoadAccount } from "../prometheus/load/LoadAccount.ts"
import { CurrentLoadMeter, LoadMeter } from "../prometheus/load/LoadMeter.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { secretTexts } from "../prometheus/secretTexts.ts"
import { executePart } from "../run/writeParts.ts"
import type { SyncPart } from "../sync/parts.ts"
import { kindOf } from "../sync/StreamDefinition.ts"
import * as streamSources from "../sync/sources.ts"
import { isRawRange, rangeText } from "../sync/TimeGrid.ts"
import { pluralize } from "../text/pluralize.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { type ConfigFlags, configFlags, isDemo, settingsOf, withFlagsToCheck } from "./configFlags.ts"
import { destinationKinds, placesText } from "./destinations.ts"
import { ExitWithCode } from "./ExitWithCode.ts"
import { clusterFlag, layerAccount, loadCluster, sharedSettings } from "./onCluster.ts"
import { withCredentialsOf, withRenewal } from "./renewal.ts"
import { misfits, runFlags } from "./runFlags.ts"
import { reportErrors, stderrLogger } from "./stderrLogger.ts"
import { setForcedStopNote } from "./stopGuard.ts"
import { checkTarget } from "./target.ts"
import { WRONG_USAGE } from "./usageErrors.ts"

/** An idle worker closes the destination after this time: others may need it for themselves. */
const IDLE = "10 seconds"

const workerFlags = {
  cluster: clusterFlag("The PostgreSQL database that the workers and the run share, without a password"),
  to: runFlags.to,
  gzip: runFlags.gzip,
  dataPath: runFlags.dataPath,
  memoryMegabytes: runFlags.memoryMegabytes
}

/** For a worker that is stopped again while it stops, or that cannot reach the database. */
const FORCED_STOP =
  "Stopped before all parts were given back. All committed data is saved, and other workers take these parts after 30 seconds."

export type WorkerFlags = ConfigFlags & Command.Command.Config.Infer<typeof workerFlags>

/** The kinds that several processes can write. */
const shared = destinationKinds.filter(({ sharedLayer }) => sharedLayer !== undefined)

/** Fails if flags are missing or do not fit. */
export const checkFlags = Effect.fnUntraced(function* (given: WorkerFlags) {
  const fail = (message: string) => new CliError.ValidationError({ message })
  if (given.cluster === undefined) {
    return yield* fail(
      "No cluster is given: add --cluster with the URL of a PostgreSQL database, such as --cluster postgresql://user@host/database."
    )
  }
  if (yield* isDemo(given, true)) {
    return yield* fail("Workers cannot read the demo, which each process has for itself: remove --demo.")
  }
  const { to } = given
  if (to === undefined || to.kind.sharedLayer === undefined) {
    return yield* fail(
      `A worker writes beside others: give --to ${placesText(shared)}, the same one as the run.`
    )
  }
  const [, misfit] = misfits(given, to.kind).find(([isPresent]) => isPresent) ?? []
  if (misfit !== undefined) return yield* fail(misfit)
})

type Failure = PrometheusError | DestinationError | ConfigError

/** What a failure means for a run. */
const toPartFailed = (error: Failure, mask: (text: string) => string): PartFailed => {
  const message = `${mask(error.message)} (on ${hostname()})`
  switch (error._tag) {
    case "ConfigError":
      return new PartFailed({ message, isTransient: false, isFatal: true })
    case "DestinationError":
      return new PartFailed({ message, isTransient: true, isFatal: error.isFatal === true })
    case "PrometheusError": {
      const isFatal = error.policy.onExhausted === "sync"
      return new PartFailed({
        message,
        isTransient: isFatal || error.policy.attribution === "transient",
        isFatal
      })
    }
  }
}

const workFromFlags = Effect.fnUntraced(
  function* (given: WorkerFlags) {
    const { cluster, to } = given
    if (cluster === undefined || to?.kind.sharedLayer === undefined) return yield* new ExitWithCode({})
    const read = settingsOf(given)
    const { settings } = yield* Effect.catchTag(read, "WrongFlags", ({ message }) =>
      Effect.andThen(Effect.logError(message), new ExitWithCode({ exitCode: WRONG_USAGE }))
    )
    const source = settings.baseUrl
    const destination = to.kind.sharedLayer({
      ...given,
      path: to.path,
      source,
      labelColumns: settings.labelColumns,
      kindOf: (stream) => kindOf(settings, stream)
    })
    const renewed = read.pipe(
      Effect.map((renewed) => withCredentialsOf(renewed.settings, settings)),
      Effect.catchTag("WrongFlags", ({ message }) => new ConfigError({ message }))
    )
    const working = Effect.gen(function* () {
      yield* checkTarget(to)
      // What is wrong here would fail every part.
      yield* Effect.scoped(Layer.build(destination))
      const { work } = yield* loadCluster
      yield* Effect.acquireRelease(
        Effect.sync(() => setForcedStopNote(FORCED_STOP)),
        () => Effect.sync(() => setForcedStopNote(""))
      )
      const account = yield* Layer.build(layerAccount(cluster, to, source, settings, "worker"))
      const execute = yield* makeExecute(settings, renewed, destination).pipe(Effect.provideContext(account))
      return yield* work(
        { address: cluster, settings: sharedSettings(to, source, settings) },
        settings.concurrency,
        execute
      )
    })
    yield* working.pipe(
      Effect.catchTag("ClusterError", ({ message }) => new ConfigError({ message })),
      reportErrors(withFlagsToCheck),
      Effect.provide(stderrLogger(secretTexts(settings)))
    )
  },
  Effect.scoped,
  reportErrors(),
  Effect.provide(stderrLogger([])),
  Effect.provideService(References.MinimumLogLevel, "Info")
)

/** Executes a part with the client of the settings, which is renewed with their credentials. */
export const makeExecute = Effect.fnUntraced(function* <R, E>(
  settings: Settings,
  renewed: Effect.Effect<Settings, E, R>,
  destination: Layer.Layer<SharedDestination, Failure, R>
) {
  const scope: Scope.Scope = yield* Effect.scope
  const environment = yield* Effect.context<R>()
  const account = yield* SharedLoadAccount
  /** The client of some credentials, and the sources that read with it: they know what the server has shown to be. */
  const sessionOf = Effect.fnUntraced(function* (settings: Settings) {
    const client = yield* Layer.buildWithScope(
      PrometheusClient.layer.pipe(
        Layer.provide(Layer.succeed(ProxyEnvironment, process.env)),
        Layer.provide(Layer.succeed(SharedLoadAccount, account)),
        Layer.provide(Layer.succeed(ConnectorConfig, settings))
      ),
      scope
    )
    /** The range is that of the sync, whatever this worker is set to: its groups have the metrics of that range. */
    const settingsOfSync = (grid: string): Settings => {
      const [startMillis, stepSeconds, endMillis] = JSON.parse(grid) as [number, number, number]
      // So many parts are read at the same time, each with one request.
      return { ...settings, startMillis, endMillis: Option.some(endMillis), stepSeconds, concurrency: 1 }
    }
    const sources = yield* Scope.provide(
      RcMap.make({
        lookup: (grid: string) =>
          Layer.build(
            streamSources.layer.pipe(
              Layer.provideMerge(Layer.succeed(ConnectorConfig, settingsOfSync(grid))),
              Layer.provide(Layer.succeedContext(client))
            )
          ),
        idleTimeToLive: IDLE
      }),
      scope
    )
    return { settings, sources }
  })
  let current = yield* sessionOf(settings)
  const opened = yield* RcRef.make({ acquire: Layer.build(destination), idleTimeToLive: IDLE })

  const execute = Effect.fnUntraced(
    function* (part: SyncPart) {
      const begun = yield* steadyMillis
      const shared = yield* RcRef.get(opened)
      const text = `${part.stream}, ${rangeText(part.range)}`
      const readWith = Effect.fnUntraced(function* (settings: Settings) {
        if (settings !== current.settings) current = yield* sessionOf(settings)
        const { firstMillis, lastMillis, stepMillis } = part.grid
        // Each sync has another last point. Its sources list the metrics of groups anew.
        const stepSeconds = isRawRange(part.grid) ? settings.stepSeconds : stepMillis / 1000
        const grid = JSON.stringify([firstMillis, stepSeconds, lastMillis])
        return yield* Effect.provideContext(executePart(part), yield* RcMap.get(current.sources, grid))
      })
      const meter = new LoadMeter()
      const outcome = yield* withRenewal(current.settings, renewed, readWith).pipe(
        Effect.provideService(CurrentLoadMeter, meter),
        Effect.provideContext(shared),
        Effect.onInterrupt(() => Effect.logWarning(`Gave back ${text}.`))
      )
      const seconds = ((yield* steadyMillis) - begun) / 1000
      yield* Effect.logInfo(`Read ${text}: ${pluralize(outcome.rows, "new row")} in ${seconds.toFixed(1)} s.`)
      const { bytes, requests, samples } = meter
      return { ...outcome, cost: { requests, bytes, samples } }
    },
    Effect.scoped,
    Effect.provideContext(environment)
  )

  const mask = makeMask(secretTexts(settings))
  return (part: SyncPart) =>
    Effect.catch(execute(part), (error) => {
      const failed = toPartFailed(error as Failure, mask)
      return Effect.andThen(Effect.logError(`${part.stream}: ${failed.message}`), failed)
    })
})

/** `source-prometheus worker`. */
export const workerCommand = Command.make("worker", { ...configFlags, ...workerFlags }, workFromFlags).pipe(
  Command.validate(checkFlags),
  Command.withDescription(
    "Take the parts of runs with --cluster, until stopped: start as many as you like, on any machines, with the flags of the run"
  ),
  Command.withExamples([
    {
      command:
        "source-prometheus worker --cluster postgresql://sync@db/cluster --url http://prometheus:9090 --start 2020-01-01 --to postgres:postgresql://sync@db/metrics",
      description: "Take parts of the run with the same flags"
    }
  ])
)
