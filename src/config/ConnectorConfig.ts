/** The configuration as a service. It is validated completely before the first request. */
import {
  Context,
  Effect,
  type FileSystem,
  Layer,
  Option,
  Predicate,
  type Redacted,
  Result,
  Schema
} from "effect"
import { type Matcher, parse as parseSelector } from "../promql/Matcher.ts"
import type { MetricFilter } from "../promql/MetricFilter.ts"
import { crossProblems } from "./crossChecks.ts"
import { decodeKeys } from "./decodeKeys.ts"
import { type InputFileError, isTooDeep, readJsonFile, TOO_DEEP } from "./inputFile.ts"
import { type Config, type ConfigInput, keys } from "./keys.ts"
import { compileFilter, type Sampling, type StreamSettings, streamSettingsOf } from "./StreamSettings.ts"
import { parseMoment } from "./times.ts"

/** The configuration is missing, unreadable or invalid. `message` names every invalid key. */
export class ConfigError extends Schema.TaggedError<ConfigError>()("ConfigError", {
  message: Schema.String,
  /** The sentences of the message about keys. */
  problems: Schema.optionalKey(Schema.Array(Schema.String))
}) {}

/** How requests are authenticated: basic authentication, or one of the forms of the key `authentication`. */
export type AuthenticationSettings =
  | { readonly auth_type: "basic"; readonly user: string; readonly password: Redacted.Redacted }
  | NonNullable<Config["authentication"]>

/** The name of a method of authentication. */
export type AuthType = AuthenticationSettings["auth_type"]

/** The settings of one method of authentication. */
export type AuthenticationOf<Type extends AuthType> = Extract<
  AuthenticationSettings,
  { readonly auth_type: Type }
>

/** How connections with https are secured. */
export type TlsSettings = NonNullable<Config["tls"]>

/** The decoded configuration. Times are milliseconds since the epoch, durations are milliseconds. */
export interface Settings extends StreamSettings {
  /** Without a slash at the end. */
  readonly baseUrl: string
  readonly authentication: AuthenticationSettings
  readonly tls: TlsSettings
  /** Without one, the environment variables say which proxy is used. */
  readonly proxyUrl: Option.Option<Redacted.Redacted>
  readonly headers: ReadonlyArray<NameAndValue>
  /** Parameters in the address of every request. */
  readonly parameters: ReadonlyArray<NameAndValue>
  readonly startMillis: number
  readonly endMillis: Option.Option<number>
  readonly stepSeconds: number
  readonly sampling: Sampling
  readonly metrics: MetricFilter
  readonly matchers: ReadonlyArray<Matcher>
  readonly labelColumns: boolean
  /** Labels that are left out of every record. A series is still identified by all its labels. */
  readonly excludedLabels: ReadonlySet<string>
  readonly lookbackMillis: number
  readonly settleDelayMillis: number
  /** How the samples of a grid are requested. */
  readonly api: Config["api"]
  readonly concurrency: number
  /** The load budget. Undefined: no limit. */
  readonly maxRequestsPerSecond: number | undefined
  readonly maxSamplesPerSecond: number | undefined
  readonly requestTimeoutMillis: number
  readonly maxRetries: number
  readonly compression: Config["compression"]
  /** How to handle a response that has a warning about missing data. */
  readonly partialData: Config["partial_data"]
  /** How to handle points that the server cannot return although it returns others. */
  readonly damagedData: Config["damaged_data"]
  /** Which of Thanos' blocks may be read. */
  readonly maxSourceResolution: Config["max_source_resolution"]
  /** Warnings about valid but unusual values, as sentences. */
  readonly warnings: ReadonlyArray<string>
}

/** A header or a parameter. */
export interface NameAndValue {
  readonly name: string
  readonly value: Redacted.Redacted
}

/** The configuration of this run. */
export class ConnectorConfig extends Context.Service<ConnectorConfig, Settings>()(
  "source-prometheus/config/ConnectorConfig"
) {
  /** From a configuration written in a program. */
  static readonly layer = (config: ConfigInput): Layer.Layer<ConnectorConfig, ConfigError> =>
    ConnectorConfig.layerFrom(config)

  /** From any JSON value in memory. */
  static readonly layerFrom = (input: unknown): Layer.Layer<ConnectorConfig, ConfigError> =>
    Layer.effect(ConnectorConfig, decodeConfig(input))

  /** From a JSON file, as platforms pass it. */
  static readonly layerFile = (
    path: string
  ): Layer.Layer<ConnectorConfig, ConfigError | InputFileError, FileSystem.FileSystem> =>
    Layer.effect(ConnectorConfig, Effect.flatMap(readJsonFile(path, "configuration"), decodeConfig))
}

/** Validates a configuration. The error lists all problems and never quotes a secret. */
export const decodeConfig = (input: unknown): Effect.Effect<Settings, ConfigError> =>
  Effect.suspend(() => {
    if (!Predicate.isReadonlyObject(input)) {
      return new ConfigError({
        message: "The configuration must be a JSON object with at least base_url and start_date."
      })
    }
    if (isTooDeep(input)) return new ConfigError({ message: `The configuration is ${TOO_DEEP}.` })
    const given = withoutAbsent(input)
    return decodeGiven(hasEmptyPassword(input) ? { ...given, basic_auth_pass: "" } : given)
  })

/** Where an API key is the user, the password is empty. Without a user, the field of a form is empty. */
const hasEmptyPassword = ({
  basic_auth_pass: password,
  basic_auth_user: user
}: Readonly<Record<string, unknown>>): boolean => password === "" && (user ?? "") !== ""

/** Platforms send null for an empty field, and some send an empty string. Both mean "not given". */
const withoutAbsent = (input: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(input)
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([key, value]) => [key, Predicate.isReadonlyObject(value) ? withoutAbsent(value) : value])
  )

const decodeGiven = Effect.fnUntraced(function* (given: Readonly<Record<string, unknown>>) {
  const { config, problems, warnings } = decodeKeys(keys, given)
  const [metrics, metricsProblems] = yield* compileFilter(config.metrics, "metrics")
  const [streams, streamsProblems] = yield* streamSettingsOf(config)
  const all = [...problems, ...metricsProblems, ...streamsProblems, ...crossProblems(config)]
  if (all.length > 0) {
    return yield* new ConfigError({
      message: `The configuration is not valid. ${all.join(" ")}`,
      problems: all
    })
  }
  // Without problems, all keys are present.
  return toSettings(config as Config, metrics, streams, warnings)
})

const toSettings = (
  config: Config,
  metrics: MetricFilter,
  streams: StreamSettings,
  warnings: ReadonlyArray<string>
): Settings => ({
  ...streams,
  baseUrl: withoutSlashes(config.base_url.trim()),
  authentication:
    config.basic_auth_pass === undefined
      ? (config.authentication ?? { auth_type: "none" })
      : { auth_type: "basic", user: config.basic_auth_user ?? "", password: config.basic_auth_pass },
  tls: config.tls ?? { verify: true },
  proxyUrl: Option.fromNullishOr(config.proxy_url),
  headers: config.headers ?? [],
  parameters: config.parameters ?? [],
  startMillis: parseMoment(config.start_date),
  endMillis: Option.map(Option.fromNullishOr(config.end_date), parseMoment),
  stepSeconds: config.step,
  sampling: config.sampling,
  metrics,
  matchers: Result.getOrThrow(parseSelector(config.selector ?? "")),
  labelColumns: config.label_columns,
  excludedLabels: new Set(config.exclude_labels),
  lookbackMillis: config.lookback_window * 1000,
  settleDelayMillis: config.settle_delay * 1000,
  api: config.api,
  concurrency: config.concurrency,
  maxRequestsPerSecond: config.max_requests_per_second,
  maxSamplesPerSecond: config.max_samples_per_second,
  requestTimeoutMillis: config.request_timeout * 1000,
  maxRetries: config.max_retries,
  compression: config.compression,
  partialData: config.partial_data,
  damagedData: config.damaged_data,
  maxSourceResolution: config.max_source_resolution,
  warnings
})

const withoutSlashes = (url: string): string => {
  let end = url.length
  while (url[end - 1] === "/") end--
  return url.slice(0, end)
}
