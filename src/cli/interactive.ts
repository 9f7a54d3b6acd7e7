/** `check` and `discover` for a person at a terminal: sentences and tables instead of protocol messages. */
import { Console, Effect, Layer, References } from "effect"
import { ConnectorConfig, decodeConfig } from "../config/ConnectorConfig.ts"
import { readJsonFile } from "../config/inputFile.ts"
import { IsAwaited, PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { secretTexts } from "../prometheus/secretTexts.ts"
import { discoverSelected, noMetrics, streamsText } from "../sync/Discovery.ts"
import { layerQuick, quickCheck } from "../sync/quickCheck.ts"
import { printable } from "../text/printable.ts"
import { showMetrics } from "./show.ts"
import { type ExpectedError, reportErrors, stderrLogger } from "./stderrLogger.ts"

/** Checks whether the server can be read, and prints the number of its streams. */
const check = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const { backend, names, streams, unmatched } = yield* quickCheck
  if (streams.length === 0) return yield* noMetrics(settings, unmatched)
  const kind = backend === undefined ? "" : ` (${backend})`
  yield* Console.log(
    printable(`Connected to ${settings.baseUrl}${kind}: ${streamsText(settings, names)} to read.`)
  )
})

/** Prints a table of the streams. */
const listMetrics = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const { metrics, streams, unmatched } = yield* discoverSelected
  if (streams.length === 0) return yield* noMetrics(settings, unmatched)
  yield* showMetrics(streams)
  yield* Effect.logInfo(`${streamsText(settings, metrics)} at ${settings.baseUrl}.`)
})

/** Runs a program against the server of a configuration file, and reports its errors. A `client` may replace the settings. */
const withServer =
  (
    program: Effect.Effect<void, ExpectedError, ConnectorConfig | PrometheusClient>,
    client: Layer.Layer<PrometheusClient, never, ConnectorConfig>
  ) =>
  (configPath: string) =>
    Effect.gen(function* () {
      const settings = yield* Effect.flatMap(readJsonFile(configPath, "configuration"), decodeConfig)
      yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning)).pipe(
        Effect.andThen(program),
        Effect.provide(Layer.provideMerge(client, Layer.succeed(ConnectorConfig, settings))),
        // Errors are reported here, where the secrets to mask are known.
        reportErrors(),
        Effect.provide(stderrLogger(secretTexts(settings)))
      )
    }).pipe(
      reportErrors(),
      Effect.provide(stderrLogger([])),
      Effect.provideService(References.MinimumLogLevel, "Info")
    )

/** The client of a check, with its configuration. */
export const quickClient = Layer.provideMerge(PrometheusClient.layer, layerQuick)

/** `check` with the configuration at a path. */
export const checkForPeople = withServer(check, quickClient)

/** `discover` with the configuration at a path. */
export const discoverForPeople = withServer(
  listMetrics,
  Layer.provide(PrometheusClient.layer, Layer.succeed(IsAwaited, true))
)
