/** `check` and `discover` for a person at a terminal: sentences and tables instead of protocol messages. */
import { Console, Effect, type FileSystem, Layer, References } from "effect"
import { ConnectorConfig, decodeConfig, type Settings } from "../config/ConnectorConfig.ts"
import { readJsonFile } from "../config/inputFile.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { secretTexts } from "../prometheus/secretTexts.ts"
import { discover, noMetrics } from "../sync/Discovery.ts"
import { layerQuick, quickCheck } from "../sync/quickCheck.ts"
import { pluralize } from "../text/pluralize.ts"
import { printable } from "../text/printable.ts"
import type { ExitWithCode } from "./ExitWithCode.ts"
import { showMetrics } from "./show.ts"
import { type ExpectedError, reportErrors, stderrLogger } from "./stderrLogger.ts"

/** An interactive command; it takes the path of the configuration. */
export type InteractiveCommand = (
  configPath: string
) => Effect.Effect<void, ExitWithCode, FileSystem.FileSystem>

/** Checks whether the server can be read, and prints the number of its metrics. */
const check = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const names = yield* quickCheck
  if (names.length === 0) return yield* noMetrics(settings)
  yield* Console.log(
    printable(`Connected to ${settings.baseUrl}: it has ${pluralize(names.length, "metric")} to read.`)
  )
})

/** Prints a table of the metrics. */
const listMetrics = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const metrics = yield* discover
  if (metrics.length === 0) return yield* noMetrics(settings)
  yield* showMetrics(metrics)
  yield* Effect.logInfo(`${pluralize(metrics.length, "metric")} at ${settings.baseUrl}.`)
})

/** Runs a program against the server of a configuration file, and reports its errors. */
const withServer =
  (
    program: Effect.Effect<void, ExpectedError, ConnectorConfig | PrometheusClient>,
    adapt: (config: Layer.Layer<ConnectorConfig>) => Layer.Layer<ConnectorConfig> = (config) => config
  ): InteractiveCommand =>
  (configPath) =>
    Effect.gen(function* () {
      const settings: Settings = yield* Effect.flatMap(
        readJsonFile(configPath, "configuration"),
        decodeConfig
      )
      yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning)).pipe(
        Effect.andThen(program),
        Effect.provide(
          PrometheusClient.layer.pipe(Layer.provideMerge(adapt(Layer.succeed(ConnectorConfig, settings))))
        ),
        // Errors are reported here, where the secrets to mask are known.
        reportErrors,
        Effect.provide(stderrLogger(secretTexts(settings)))
      )
    }).pipe(
      reportErrors,
      Effect.provide(stderrLogger([])),
      Effect.provideService(References.MinimumLogLevel, "Info")
    )

/** The commands that have an interactive form. */
export const interactive = {
  check: withServer(check, (config) => Layer.provide(layerQuick, config)),
  discover: withServer(listMetrics)
}
