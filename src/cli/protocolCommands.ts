/** The verbs of Airbyte's protocol as commands, and the layers of each. */
import { isatty } from "node:tty"
import { Effect, Layer, Option, References } from "effect"
import { Command, Flag } from "effect/cli"
import * as AirbyteState from "../airbyte/AirbyteState.ts"
import { readCatalog } from "../airbyte/Catalog.ts"
import { check, checkFailed } from "../airbyte/check.ts"
import { discover } from "../airbyte/discover.ts"
import { toFailure, traceError } from "../airbyte/failures.ts"
import { Output, type OutputClosed } from "../airbyte/Output.ts"
import type { Failure } from "../airbyte/Protocol.ts"
import * as ProtocolLogger from "../airbyte/ProtocolLogger.ts"
import { read } from "../airbyte/read.ts"
import { spec } from "../airbyte/spec.ts"
import { type ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import type { InputFileError } from "../config/inputFile.ts"
import { OnFetchedSecret, PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { secretTexts } from "../prometheus/secretTexts.ts"
import { ExitWithCode } from "./ExitWithCode.ts"
import { switchFlag, textFlag } from "./flags.ts"
import { checkForPeople, discoverForPeople, quickClient } from "./interactive.ts"

const config = textFlag("config", "FILE", "Configuration file, JSON")

const debug = switchFlag("debug", "Log more details")

const human = Flag.Boolean("human").pipe(
  Flag.withDescription("Print for people instead of protocol messages; the default on a terminal"),
  Flag.optional
)

/**
 * Whether standard output is for a person: by flag, or because it is a terminal. Unlike `process.stdout`, `isatty` does not
 * open it.
 */
const isInteractive = (human: Option.Option<boolean>): boolean => Option.getOrElse(human, () => isatty(1))

type Expected = ConfigError | InputFileError | PrometheusError

/**
 * Runs a verb of the protocol: only messages on standard output, nothing on standard error, and errors as TRACE messages.
 */
const protocol = <R>(
  debug: boolean,
  verb: Effect.Effect<boolean, Expected | OutputClosed, R>
): Effect.Effect<void, ExitWithCode | OutputClosed, Exclude<R, Output>> =>
  Effect.gen(function* () {
    const output = yield* Output
    const level = yield* ProtocolLogger.minimumLevel(debug)
    const succeeded = yield* verb.pipe(
      Effect.provideService(References.MinimumLogLevel, level),
      Effect.catchTag(["ConfigError", "InputFileError", "PrometheusError"], (error) =>
        Effect.as(traceError(toFailure(error)), false)
      ),
      Effect.catchDefect((defect) =>
        Effect.as(
          traceError({
            message: "This is a bug in source-prometheus. Please report it with this message.",
            failure_type: "system_error",
            internal_message: defect instanceof Error ? (defect.stack ?? defect.message) : String(defect)
          }),
          false
        )
      )
    )
    yield* output.flush
    if (!succeeded) return yield* new ExitWithCode({})
  }).pipe(Effect.provide(ProtocolLogger.layer), Effect.provide(Output.layer))

/** The configuration of a file; its secrets are masked in all later output. */
const configLayer = (path: string) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const settings = yield* ConnectorConfig
      const output = yield* Output
      output.maskSecrets(...secretTexts(settings))
      yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning), { discard: true })
    })
  ).pipe(Layer.provideMerge(ConnectorConfig.layerFile(path)))

/** Masks secrets in all output, also those that a client fetches. */
const maskFetchedSecrets = Layer.effect(
  OnFetchedSecret,
  Effect.map(Output, ({ maskFetchedSecret }) => maskFetchedSecret)
)

/** The server of a configuration. */
const serverLayer = (
  path: string,
  client: Layer.Layer<PrometheusClient, never, ConnectorConfig> = PrometheusClient.layer
) => client.pipe(Layer.provide(maskFetchedSecrets), Layer.provideMerge(configLayer(path)))

const specCommand = Command.make("spec", { debug }, ({ debug }) => protocol(debug, spec)).pipe(
  Command.withDescription("Print the JSON Schema of the configuration (Airbyte protocol)"),
  Command.withExamples([
    { command: "source-prometheus spec", description: "Print the JSON Schema of the configuration" }
  ])
)

const checkCommand = Command.make("check", { config, debug, human }, ({ config, debug, human }) =>
  isInteractive(human)
    ? checkForPeople(config)
    : protocol(
        debug,
        check.pipe(
          Effect.provide(serverLayer(config, quickClient)),
          Effect.catchTag(["ConfigError", "PrometheusError", "CheckTimeout"], checkFailed)
        )
      )
).pipe(
  Command.withDescription("Check that the configured server can be read (Airbyte protocol)"),
  Command.withExamples([
    { command: "source-prometheus check --config config.json", description: "Check a configuration" }
  ])
)

const discoverCommand = Command.make("discover", { config, debug, human }, ({ config, debug, human }) =>
  isInteractive(human)
    ? discoverForPeople(config)
    : protocol(debug, Effect.provide(discover, serverLayer(config)))
).pipe(
  Command.withDescription("List the streams, one per metric, and their columns (Airbyte protocol)"),
  Command.withExamples([
    { command: "source-prometheus discover --config config.json", description: "List the metrics" },
    {
      command: "source-prometheus discover --config config.json > catalog.json",
      description: "Write the catalog as Airbyte expects it"
    }
  ])
)

const readCommand = Command.make(
  "read",
  {
    config,
    catalog: textFlag("catalog", "FILE", "File with the configured catalog, JSON"),
    state: Flag.optional(textFlag("state", "FILE", "File with the states of the last sync, JSON")),
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
      command: "source-prometheus read --config config.json --catalog catalog.json",
      description: "Read from the beginning"
    },
    {
      command: "source-prometheus read --config config.json --catalog catalog.json --state state.json",
      description: "Resume where the last sync ended"
    }
  ])
)

/** All verbs of the protocol; some have an interactive form, too. */
export const protocolCommands = [specCommand, checkCommand, discoverCommand, readCommand] as const

/** Reports a failure outside of a verb as a TRACE message, because standard output belongs to the protocol. */
export const reportFailure = (failure: Failure): Effect.Effect<void, OutputClosed> =>
  traceError(failure).pipe(
    Effect.andThen(Effect.flatMap(Output, ({ flush }) => flush)),
    Effect.provide(Output.layer)
  )
