/** The configuration as a service: checked whole before anything is asked of a server. */
import {
  Context,
  Effect,
  FileSystem,
  Layer,
  Option,
  Predicate,
  Redacted,
  Result,
  Schema,
  SchemaIssue
} from "effect"
import {
  accepted,
  type Config,
  type ConfigKey,
  ConfigSchema,
  defaults,
  parseMoment
} from "./config/ConfigSchema.ts"
import { type Matcher, parse as parseSelector } from "./prometheus/Matcher.ts"
import { compilePattern, type MetricFilter } from "./prometheus/MetricFilter.ts"

/** The configuration is missing, unreadable or wrong; `message` names every key that is. */
export class ConfigError extends Schema.TaggedError<ConfigError>()("ConfigError", {
  message: Schema.String
}) {}

/** A file that was named on the command line cannot be read, or is not JSON. */
export class InputFileError extends Schema.TaggedError<InputFileError>()("InputFileError", {
  message: Schema.String
}) {}

/** What the rest of the connector works with. Times are milliseconds since the epoch or durations in them. */
export interface Settings {
  /** Without a slash at the end. */
  readonly baseUrl: string
  readonly basicAuth: Option.Option<{ readonly user: string; readonly password: Redacted.Redacted }>
  readonly headers: ReadonlyArray<{ readonly name: string; readonly value: Redacted.Redacted }>
  readonly startMillis: number
  readonly endMillis: Option.Option<number>
  readonly stepSeconds: number
  readonly metrics: MetricFilter
  readonly matchers: ReadonlyArray<Matcher>
  readonly labelColumns: boolean
  readonly lookbackMillis: number
  readonly settleDelayMillis: number
  readonly concurrency: number
  readonly requestTimeoutMillis: number
  readonly maxRetries: number
  readonly compression: "none" | "gzip"
  /** Every secret value, to be masked wherever text leaves the process. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** What was odd but not wrong, in sentences. */
  readonly warnings: ReadonlyArray<string>
}

/** The configuration of this run. */
export class ConnectorConfig extends Context.Service<ConnectorConfig, Settings>()(
  "source-prometheus/ConnectorConfig"
) {
  /** From configuration that is already in memory, such as a test's or a library user's. */
  static readonly layerFrom = (input: unknown): Layer.Layer<ConnectorConfig, ConfigError> =>
    Layer.effect(ConnectorConfig, decodeConfig(input))

  /** From a JSON file, as platforms hand it over. */
  static readonly layerFile = (
    path: string
  ): Layer.Layer<ConnectorConfig, ConfigError | InputFileError, FileSystem.FileSystem> =>
    Layer.effect(ConnectorConfig, Effect.flatMap(readJsonFile(path, "configuration"), decodeConfig))
}

/** The secrets of a configuration in the clear, in every form in which they are sent: for masking them. */
export const secretTexts = ({ basicAuth, secrets }: Settings): ReadonlyArray<string> => [
  ...secrets.map(Redacted.value),
  ...Option.match(basicAuth, { onNone: () => [], onSome: (basicAuth) => [basicCredentials(basicAuth)] })
]

/** What the header of HTTP basic authentication carries after the word `Basic`. */
export const basicCredentials = ({ password, user }: Option.Option.Value<Settings["basicAuth"]>): string =>
  Buffer.from(`${user}:${Redacted.value(password)}`).toString("base64")

/** Reads a JSON file; `what` it is of ours is told with the file's name when that fails. */
export const readJsonFile = Effect.fnUntraced(function* (path: string, what: string) {
  const files = yield* FileSystem.FileSystem
  const text = yield* files.readFileString(path).pipe(
    Effect.mapError(
      (error) =>
        new InputFileError({
          message: `The ${what} file ${path} cannot be read: ${reasonTexts[error.reason._tag] ?? error.message}.`
        })
    )
  )
  return yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    // The parser's own message quotes the text, which may hold a secret.
    catch: () => new InputFileError({ message: `The ${what} file ${path} is not JSON${whereBroken(text)}.` })
  })
})

const reasonTexts: Readonly<Record<string, string>> = {
  NotFound: "it does not exist",
  PermissionDenied: "permission denied",
  BadResource: "it is not a file"
}

const whereBroken = (text: string): string => {
  if (text.trim() === "") return ": it is empty"
  try {
    JSON.parse(text)
  } catch (error) {
    const position = /position (\d+)/.exec(String(error))?.[1]
    if (position !== undefined) return ` (line ${text.slice(0, Number(position)).split("\n").length})`
  }
  return ""
}

/** Checks a configuration whole. All that is wrong is told at once, and no secret is ever quoted. */
export const decodeConfig = (input: unknown): Effect.Effect<Settings, ConfigError> =>
  Effect.suspend(() => {
    if (!isRecord(input)) {
      return new ConfigError({
        message: "The configuration must be a JSON object with at least base_url, start_date and step."
      })
    }
    const given = withoutNulls(input) as Readonly<Record<string, unknown>>
    const decoded = Schema.decodeUnknownResult(ConfigSchema)(given, { errors: "all" })
    const problems = Result.isFailure(decoded)
      ? schemaProblems(decoded.failure.issue, given)
      : crossProblems(decoded.success)
    if (problems.length > 0) {
      return new ConfigError({ message: `The configuration is not valid. ${problems.join(" ")}` })
    }
    return Effect.succeed(toSettings(Result.getOrThrow(decoded), unknownKeyWarnings(given)))
  })

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  Predicate.isObject(value) && !Array.isArray(value)

/** Platforms send null for what was left empty, and some send empty text: both mean "not given". */
const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, child]) => child !== null)
      .map(([key, child]) => [key, withoutNulls(child)])
  )
}

const known = new Set(Object.keys(ConfigSchema.fields))

const isKnown = (key: unknown): key is ConfigKey => typeof key === "string" && known.has(key)

const unknownKeyWarnings = (given: Readonly<Record<string, unknown>>): ReadonlyArray<string> => {
  const unknown = Object.keys(given).filter((key) => !known.has(key))
  if (unknown.length === 0) return []
  return [
    `Unknown configuration ${unknown.length === 1 ? "key is" : "keys are"} ignored: ${unknown.join(", ")}.`
  ]
}

const schemaProblems = (
  issue: SchemaIssue.Issue,
  given: Readonly<Record<string, unknown>>
): ReadonlyArray<string> => {
  const problems = new Map<ConfigKey, string>()
  for (const { path } of SchemaIssue.makeFormatterStandardSchemaV1()(issue).issues) {
    const key = path?.[0]
    if (!isKnown(key) || problems.has(key)) continue
    problems.set(key, problem(key, given[key]))
  }
  return Array.from(problems.values())
}

const problem = (key: ConfigKey, value: unknown): string =>
  value === undefined
    ? `${key} is missing: it must be ${accepted[key]}.`
    : `${key} is ${quoted(key, value)}, but must be ${accepted[key]}.`

const secretKeys: ReadonlySet<string> = new Set(["basic_auth_pass", "headers"])

const quoted = (key: ConfigKey, value: unknown): string => {
  if (secretKeys.has(key)) return "not of the right type (its value is not shown)"
  const text = key === "base_url" && typeof value === "string" ? withoutCredentials(value) : value
  const json = JSON.stringify(text)
  return json.length > 200 ? `${json.slice(0, 200)}…` : json
}

const withoutCredentials = (url: string): string => url.replace(/\/\/[^/?#]*@/, "//***@")

/** What a schema of single keys cannot see. */
const crossProblems = (config: Config): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const base = URL.canParse(config.base_url.trim()) ? new URL(config.base_url.trim()) : undefined
  if (base === undefined || !/^https?:$/.test(base.protocol) || base.search !== "" || base.hash !== "") {
    problems.push(problem("base_url", config.base_url))
  } else if (base.username !== "" || base.password !== "") {
    problems.push(
      `base_url is ${quoted("base_url", config.base_url)}, but must not hold a user or password: give them as basic_auth_user and basic_auth_pass.`
    )
  }
  if (hasText(config.basic_auth_user) !== hasText(config.basic_auth_pass)) {
    const [present, absent] = hasText(config.basic_auth_user)
      ? ["basic_auth_user", "basic_auth_pass"]
      : ["basic_auth_pass", "basic_auth_user"]
    problems.push(
      `${present} is given without ${absent}: basic authentication needs both, or leave out both.`
    )
  }
  if (parseMoment(config.start_date) < 0) problems.push(problem("start_date", config.start_date))
  if (config.end_date !== undefined && parseMoment(config.end_date) < parseMoment(config.start_date)) {
    problems.push(
      `end_date is ${config.end_date}, before start_date ${config.start_date}: it must be after it.`
    )
  }
  for (const side of ["include", "exclude"] as const) {
    for (const pattern of config.metrics?.[side] ?? []) {
      const compiled = compilePattern(pattern)
      if (Result.isFailure(compiled)) problems.push(`metrics.${side}: ${compiled.failure}.`)
    }
  }
  const matchers = parseSelector(config.selector ?? "")
  if (Result.isFailure(matchers)) {
    problems.push(`selector must be ${accepted.selector}: ${matchers.failure}.`)
  } else if (matchers.success.some((matcher) => matcher.label === "__name__" && matcher.operator === "=")) {
    problems.push(
      "selector must not name a metric, since it is added to the query of every metric: use metrics.include."
    )
  }
  for (const [index, header] of (config.headers ?? []).entries()) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(header.name)) {
      problems.push(
        `headers[${index}].name is ${JSON.stringify(header.name)}, which is no name of an HTTP header.`
      )
    } else if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(header.value)) {
      problems.push(
        `headers[${index}].value has characters that an HTTP header cannot carry (its value is not shown).`
      )
    }
  }
  return problems
}

const hasText = (text: string | undefined): text is string => text !== undefined && text !== ""

const toSettings = (config: Config, warnings: ReadonlyArray<string>): Settings => {
  const headers = (config.headers ?? []).map(({ name, value }) => ({ name, value: Redacted.make(value) }))
  const password = hasText(config.basic_auth_pass) ? Redacted.make(config.basic_auth_pass) : undefined
  const patterns = (side: "include" | "exclude") =>
    (config.metrics?.[side] ?? []).map((pattern) => Result.getOrThrow(compilePattern(pattern)))
  return {
    baseUrl: config.base_url.trim().replace(/\/+$/, ""),
    basicAuth: Option.map(Option.fromNullishOr(password), (password) => ({
      user: config.basic_auth_user ?? "",
      password
    })),
    headers,
    startMillis: parseMoment(config.start_date),
    endMillis: Option.map(Option.fromNullishOr(config.end_date), parseMoment),
    stepSeconds: config.step,
    metrics: { include: patterns("include"), exclude: patterns("exclude") },
    matchers: Result.getOrThrow(parseSelector(config.selector ?? "")),
    labelColumns: config.label_columns ?? defaults.label_columns,
    lookbackMillis: (config.lookback_window ?? defaults.lookback_window) * 1000,
    settleDelayMillis: (config.settle_delay ?? defaults.settle_delay) * 1000,
    concurrency: config.concurrency ?? defaults.concurrency,
    requestTimeoutMillis: (config.request_timeout ?? defaults.request_timeout) * 1000,
    maxRetries: config.max_retries ?? defaults.max_retries,
    compression: config.compression ?? defaults.compression,
    secrets: [...(password === undefined ? [] : [password]), ...headers.map((header) => header.value)],
    warnings
  }
}
