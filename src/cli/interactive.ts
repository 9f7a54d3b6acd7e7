/** `check` and `discover` for a person in front of a terminal: sentences and tables instead of messages. */
import { Console, Effect, Layer, References } from "effect"
import { type ConfigError, ConnectorConfig, decodeConfig, type Settings } from "../config/ConnectorConfig.ts"
import { readJsonFile } from "../config/inputFile.ts"
import { secretTexts } from "../config/secrets.ts"
import type { DestinationError } from "../destinations/Destination.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { discover, discoverNames, noMetrics } from "../sync/Discovery.ts"
import { refuseClockAhead, warnOfConnection } from "../sync/syncWarnings.ts"
import { pluralize } from "../text/pluralize.ts"
import { printable } from "../text/printable.ts"
import { showMetrics } from "./show.ts"
import { reportErrors, stderrLogger } from "./stderrLogger.ts"

/** Nobody wants to wait long for an answer that is no. */
const impatient = (settings: Settings): Settings => ({
  ...settings,
  maxRetries: Math.min(1, settings.maxRetries)
})

/** Says whether the server can be read, and what it has; fails where it has nothing. */
const check = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  yield* warnOfConnection
  const { clock, names } = yield* discoverNames
  yield* refuseClockAhead(clock)
  if (names.length === 0) return yield* noMetrics(settings)
  yield* Console.log(
    printable(`${settings.baseUrl} can be read: it has ${pluralize(names.length, "metric")}.`)
  )
})

/** Shows the metrics with what is known of them. */
const show = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const metrics = yield* discover
  if (metrics.length === 0) return yield* noMetrics(settings)
  yield* showMetrics(metrics)
  yield* Effect.logInfo(`${pluralize(metrics.length, "metric")} at ${settings.baseUrl}.`)
})

/** Does something with the server of a configuration file, and tells what goes wrong. */
const forPerson =
  <R>(
    verb: Effect.Effect<void, ConfigError | PrometheusError | DestinationError, R>,
    adapt: (settings: Settings) => Settings = (settings) => settings
  ) =>
  (configPath: string) =>
    Effect.gen(function* () {
      const settings = adapt(yield* Effect.flatMap(readJsonFile(configPath, "configuration"), decodeConfig))
      yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning)).pipe(
        Effect.andThen(verb),
        Effect.provide(
          PrometheusClient.layer.pipe(Layer.provideMerge(Layer.succeed(ConnectorConfig, settings)))
        ),
        // Inside, where the secrets are known.
        reportErrors,
        Effect.provide(stderrLogger(secretTexts(settings)))
      )
    }).pipe(
      reportErrors,
      Effect.provide(stderrLogger([])),
      Effect.provideService(References.MinimumLogLevel, "Info")
    )

/** The verbs that have a form for people; each takes the path of the configuration. */
export const interactive = { check: forPerson(check, impatient), discover: forPerson(show) }
