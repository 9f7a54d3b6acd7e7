/** The commands, and how the layers are wired for each. */
import { Console, Data, Effect, Layer, Logger, Option, References } from "effect"
import { CliConfig, CliError, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import packageJson from "../package.json" with { type: "json" }
import * as AirbyteState from "./airbyte/AirbyteState.ts"
import { readCatalog } from "./airbyte/Catalog.ts"
import { check, checkFailed } from "./airbyte/check.ts"
import { discover } from "./airbyte/discover.ts"
import { toFailure, traceError } from "./airbyte/failures.ts"
import { Output, type OutputClosed } from "./airbyte/Output.ts"
import * as ProtocolLogger from "./airbyte/ProtocolLogger.ts"
import { read } from "./airbyte/read.ts"
import { makeMask } from "./airbyte/SecretMask.ts"
import { spec } from "./airbyte/spec.ts"
import { type ConfigError, ConnectorConfig, type InputFileError, secretTexts } from "./ConnectorConfig.ts"
import { PrometheusClient } from "./prometheus/PrometheusClient.ts"
import type { PrometheusError } from "./prometheus/PrometheusError.ts"
import { startDemo } from "./run/demo.ts"
import { type DestinationError, JsonLines } from "./run/JsonLines.ts"
import { run } from "./run/run.ts"

/** The verb has said what went wrong; what remains is to exit with another code than 0. */
class Unsuccessful extends Data.TaggedError("Unsuccessful") {}

const config = Flag.String("config").pipe(Flag.withDescription("The file with the configuration, JSON"))

const debug = Flag.Boolean("debug").pipe(Flag.withDescription("Log in detail"), Flag.withDefault(false))

type Expected = ConfigError | InputFileError | PrometheusError

/**
 * Runs a verb of the protocol: only messages on standard output, nothing on standard error, and whatever goes
 * wrong is told as a TRACE.
 */
const protocol = <R>(
  debug: boolean,
  verb: Effect.Effect<boolean, Expected | OutputClosed, R>
): Effect.Effect<void, Unsuccessful | OutputClosed, Exclude<R, Output>> =>
  Effect.gen(function* () {
    const output = yield* Output
    const succeeded = yield* verb.pipe(
      Effect.catchTag(["ConfigError", "InputFileError", "PrometheusError"], (error) =>
        Effect.as(traceError(toFailure(error)), false)
      ),
      Effect.catchDefect((defect) =>
        Effect.as(
          traceError({
            message:
              "The connector failed because of a mistake in its program. Please report it with this message.",
            failureType: "system_error",
            internal: defect instanceof Error ? (defect.stack ?? defect.message) : String(defect)
          }),
          false
        )
      )
    )
    yield* output.flush
    if (!succeeded) return yield* new Unsuccessful()
  }).pipe(
    Effect.provide(ProtocolLogger.layer),
    Effect.provideService(References.MinimumLogLevel, debug ? "Debug" : "Info"),
    Effect.provide(Output.layer)
  )

/** The configuration of a file; its secrets are masked in whatever is told from then on. */
const configLayer = (path: string) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const settings = yield* ConnectorConfig
      const output = yield* Output
      output.maskSecrets(secretTexts(settings))
      yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning), { discard: true })
    })
  ).pipe(Layer.provideMerge(ConnectorConfig.layerFile(path)))

const serverLayer = (path: string) => PrometheusClient.layer.pipe(Layer.provideMerge(configLayer(path)))

/** Somebody waits for a check: one more try is all a passing failure gets. */
const hasty = Layer.effect(
  ConnectorConfig,
  Effect.map(ConnectorConfig, (settings) => ({ ...settings, maxRetries: Math.min(1, settings.maxRetries) }))
)

const specCommand = Command.make("spec", { debug }, ({ debug }) => protocol(debug, spec)).pipe(
  Command.withDescription("Print which configuration the connector takes (Airbyte protocol)")
)

const checkCommand = Command.make("check", { config, debug }, ({ config, debug }) =>
  protocol(
    debug,
    check.pipe(
      Effect.provide(
        PrometheusClient.layer.pipe(Layer.provideMerge(hasty), Layer.provideMerge(configLayer(config)))
      ),
      Effect.catchTag(["ConfigError", "PrometheusError"], checkFailed)
    )
  )
).pipe(
  Command.withDescription("Check that the configured Prometheus can be read (Airbyte protocol)"),
  Command.withExamples([
    { command: "source-prometheus check --config config.json", description: "Check a configuration" }
  ])
)

const discoverCommand = Command.make("discover", { config, debug }, ({ config, debug }) =>
  protocol(debug, Effect.provide(discover, serverLayer(config)))
).pipe(
  Command.withDescription("List the streams, one per metric, with their columns (Airbyte protocol)"),
  Command.withExamples([
    { command: "source-prometheus discover --config config.json", description: "Print the catalog" }
  ])
)

const readCommand = Command.make(
  "read",
  {
    config,
    catalog: Flag.String("catalog").pipe(Flag.withDescription("The file with the configured catalog, JSON")),
    state: Flag.String("state").pipe(
      Flag.withDescription("The file with the states of the last sync, JSON"),
      Flag.optional
    ),
    debug
  },
  ({ catalog, config, debug, state }) =>
    protocol(
      debug,
      Effect.flatMap(readCatalog(catalog), read).pipe(
        Effect.provide(Layer.mergeAll(serverLayer(config), AirbyteState.layer(state)))
      )
    )
).pipe(
  Command.withDescription("Read the streams of a catalog (Airbyte protocol)"),
  Command.withExamples([
    {
      command: "source-prometheus read --config config.json --catalog catalog.json --state state.json",
      description: "Go on where the last sync ended"
    }
  ])
)

type RunError = Expected | DestinationError

const runCommand = Command.make(
  "run",
  {
    config: Flag.String("config").pipe(
      Flag.withDescription(
        "The file with the configuration; without it, an embedded demo Prometheus is read"
      ),
      Flag.optional
    ),
    output: Flag.String("output").pipe(
      Flag.withDescription("The JSON-lines file to append to; its state is kept beside it"),
      Flag.withDefault("prometheus.jsonl")
    )
  },
  ({ config, output }) =>
    Effect.gen(function* () {
      const configuration = Option.isSome(config)
        ? ConnectorConfig.layerFile(config.value)
        : ConnectorConfig.layerFrom(yield* startDemo)
      if (Option.isNone(config)) {
        yield* Console.error("No --config is given, so an embedded demo Prometheus is read.")
      }
      const services = Layer.mergeAll(PrometheusClient.layer, JsonLines.layer(output)).pipe(
        Layer.provideMerge(configuration)
      )
      const succeeded = yield* Effect.provide(withPlainLog(run), services)
      if (!succeeded) return yield* new Unsuccessful()
    }).pipe(
      Effect.scoped,
      Effect.catchTag(
        ["ConfigError", "InputFileError", "PrometheusError", "DestinationError"],
        (error: RunError) => Effect.andThen(Console.error(error.message), Effect.fail(new Unsuccessful()))
      )
    )
).pipe(
  Command.withDescription("Do a whole sync without Airbyte: read all metrics into a JSON-lines file"),
  Command.withExamples([
    { command: "source-prometheus run", description: "Try it with an embedded demo Prometheus" },
    {
      command: "source-prometheus run --config config.json --output metrics.jsonl",
      description: "Read your Prometheus; run it again to add what is new"
    }
  ])
)

/** Warnings of a run as plain lines for a person, on standard error. */
const withPlainLog = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | ConnectorConfig> =>
  Effect.flatMap(ConnectorConfig, (settings) => {
    const mask = makeMask(secretTexts(settings))
    const logger = Logger.make(({ message }) => {
      process.stderr.write(`${mask((Array.isArray(message) ? message : [message]).join(" "))}\n`)
    })
    return Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning)).pipe(
      Effect.andThen(effect),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Warn")
    )
  })

const root = Command.make("source-prometheus").pipe(
  Command.withDescription(
    "Replicates Prometheus metrics: an Airbyte source connector and an exporter of its own"
  ),
  Command.withSubcommands([specCommand, checkCommand, discoverCommand, readCommand, runCommand])
)

const verbs: ReadonlySet<string> = new Set(["spec", "check", "discover", "read"])

/** Standard output belongs to the protocol: a wrong invocation of a verb is told there as a TRACE, without help. */
const protocolPresenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.provide(
          Effect.flatMap(Output, (output) =>
            Effect.andThen(
              traceError({
                message: `${event.errors.map((error) => error.message).join(". ")}. See ${event.commandPath.join(" ")} --help.`,
                failureType: "config_error"
              }),
              Effect.ignore(output.flush)
            )
          ),
          Output.layer
        )
      : CliOutput.defaultPresenter.present(event)
}

/**
 * Runs the program with command line arguments and answers its exit code. Fails with `OutputClosed` if nobody
 * reads what it writes.
 */
export const main = (args: ReadonlyArray<string>) =>
  Command.runWith(root, { version: packageJson.version })(args).pipe(
    Effect.as(0),
    Effect.catchTag("Unsuccessful", () => Effect.succeed(1)),
    Effect.catchIf(
      (error): error is CliError.CliError => CliError.isCliError(error),
      (error) => Effect.succeed(error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : 1)
    ),
    // Without Effect's wizard and --log-level: the protocol has --debug.
    Effect.provideService(CliConfig.CliConfig, {
      builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions]
    }),
    Effect.provide(
      CliOutput.layerPresenter(verbs.has(args[0] ?? "") ? protocolPresenter : CliOutput.defaultPresenter)
    )
  )
