/** The configuration as a service: checked whole before anything is asked of a server. */
import { Context, Effect, FileSystem, Layer, Option, Predicate, Redacted, Result, Schema } from "effect"
import {
  accepted,
  type Config,
  type ConfigInput,
  type ConfigKey,
  ConfigSchema,
  defaults,
  parseMoment
} from "./config/ConfigSchema.ts"
import { expandHome, homeOf } from "./homePath.ts"
import { type Matcher, parse as parseSelector } from "./prometheus/Matcher.ts"
import { compilePattern, type MetricFilter, type NamePattern } from "./prometheus/MetricFilter.ts"

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
  /** What becomes of an answer of which the server warns. */
  readonly partialData: "fail" | "accept"
  /** Every secret value, to be masked wherever text leaves the process. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** What was odd but not wrong, in sentences. */
  readonly warnings: ReadonlyArray<string>
}

/** The configuration of this run. */
export class ConnectorConfig extends Context.Service<ConnectorConfig, Settings>()(
  "source-prometheus/ConnectorConfig"
) {
  /** From configuration that a program writes down. */
  static readonly layer = (config: ConfigInput): Layer.Layer<ConnectorConfig, ConfigError> =>
    ConnectorConfig.layerFrom(config)

  /** From JSON that is already in memory, whatever it may be. */
  static readonly layerFrom = (input: unknown): Layer.Layer<ConnectorConfig, ConfigError> =>
    Layer.effect(ConnectorConfig, decodeConfig(input))

  /** From a JSON file, as platforms hand it over. */
  static readonly layerFile = (
    path: string
  ): Layer.Layer<ConnectorConfig, ConfigError | InputFileError, FileSystem.FileSystem> =>
    Layer.effect(ConnectorConfig, Effect.flatMap(readJsonFile(path, "configuration"), decodeConfig))
}

/** The secrets of a configuration in the clear, in every form in which they are sent: for masking them. */
export const secretTexts = ({ basicAuth, headers, secrets }: Settings): ReadonlyArray<string> => [
  ...secrets.map(Redacted.value),
  // Servers quote the token of `Bearer token` without the word before it.
  ...headers
    .map(({ value }) => Redacted.value(value))
    .flatMap((value) => /^\w+ +(.+)$/.exec(value)?.[1] ?? []),
  ...Option.match(basicAuth, { onNone: () => [], onSome: (basicAuth) => [basicCredentials(basicAuth)] })
]

/** What the header of HTTP basic authentication carries after the word `Basic`. */
export const basicCredentials = ({ password, user }: Option.Option.Value<Settings["basicAuth"]>): string =>
  Buffer.from(`${user}:${Redacted.value(password)}`).toString("base64")

/** Reads a file that was named on the command line; `what` it is of ours is told with its name when that fails. */
export const readTextFile = Effect.fnUntraced(function* (path: string, what: string) {
  const files = yield* FileSystem.FileSystem
  const failed = (why: string) =>
    new InputFileError({ message: `The ${what} file ${path} cannot be read: ${why}.` })
  const place = yield* Effect.fromResult(Result.mapError(expandHome(path, homeOf(process.env)), failed))
  return yield* files
    .readFileString(place)
    .pipe(Effect.mapError((error) => failed(reasonTexts[error.reason._tag] ?? error.message)))
})

/** Reads a JSON file as `readTextFile` does. */
export const readJsonFile = Effect.fnUntraced(function* (path: string, what: string) {
  const text = yield* readTextFile(path, what)
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
        message: "The configuration must be a JSON object with at least base_url and start_date."
      })
    }
    return decodeGiven(withoutAbsent(input))
  })

const decodeGiven = Effect.fnUntraced(function* (given: Readonly<Record<string, unknown>>) {
  const { config, problems } = decodeKeys(given)
  const [metrics, patternProblems] = yield* compileMetrics(config)
  const all = [...problems, ...patternProblems, ...crossProblems(config)]
  if (all.length > 0) {
    return yield* new ConfigError({ message: `The configuration is not valid. ${all.join(" ")}` })
  }
  return toSettings(Schema.decodeUnknownSync(ConfigSchema)(given), metrics, unknownKeyWarnings(given))
})

/** The patterns of both sides, and what is wrong with those that cannot be compiled. */
const compileMetrics = Effect.fnUntraced(function* ({ metrics }: Partial<Config>) {
  const problems: Array<string> = []
  const compiled = { include: [] as Array<NamePattern>, exclude: [] as Array<NamePattern> }
  for (const side of ["include", "exclude"] as const) {
    for (const pattern of metrics?.[side] ?? []) {
      const result = yield* Effect.result(compilePattern(pattern))
      if (Result.isSuccess(result)) compiled[side].push(result.success)
      else problems.push(`metrics.${side}: ${result.failure}.`)
    }
  }
  return [compiled satisfies MetricFilter, problems] as const
})

/** Decodes each key for itself, so that what is right of a wrong configuration can be checked further. */
const decodeKeys = (given: Readonly<Record<string, unknown>>) => {
  const config: Record<string, unknown> = {}
  const problems: Array<string> = []
  for (const key of configKeys) {
    const decoded = Schema.decodeUnknownResult(Schema.Struct({ [key]: ConfigSchema.fields[key] }))(given)
    if (Result.isSuccess(decoded)) Object.assign(config, decoded.success)
    else problems.push(problem(key, given[key]))
  }
  return { config: config as Partial<Config>, problems }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  Predicate.isObject(value) && !Array.isArray(value)

/** Platforms send null for what was left empty, and some send empty text: both mean "not given". */
const withoutAbsent = (input: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(input)
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([key, value]) => [key, isRecord(value) ? withoutAbsent(value) : value])
  )

const configKeys = Object.keys(ConfigSchema.fields) as ReadonlyArray<ConfigKey>

const unknownKeyWarnings = (given: Readonly<Record<string, unknown>>): ReadonlyArray<string> => {
  const unknownIn = (value: unknown, known: ReadonlyArray<string>, path: string) =>
    isRecord(value) ? Object.keys(value).flatMap((key) => (known.includes(key) ? [] : [path + key])) : []
  const headers = Array.isArray(given.headers) ? given.headers : []
  const unknown = [
    ...unknownIn(given, configKeys, ""),
    ...unknownIn(given.metrics, ["include", "exclude"], "metrics."),
    ...headers.flatMap((header, index) => unknownIn(header, ["name", "value"], `headers[${index}].`))
  ]
  if (unknown.length === 0) return []
  return [
    `Unknown configuration ${unknown.length === 1 ? "key is" : "keys are"} ignored: ${unknown.join(", ")}.`
  ]
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

/** What stands before the last `@` may be a password, what stands after `?` a token. */
const withoutCredentials = (url: string): string =>
  url.replace(/^.*@/s, "***@").replace(/([?#]).+$/s, "$1***")

/** What a schema of single keys cannot see. Keys that are wrong in themselves are missing here. */
const crossProblems = (config: Partial<Config>): ReadonlyArray<string> => [
  ...urlProblems(config),
  ...authProblems(config),
  ...dateProblems(config),
  ...selectorProblems(config),
  ...headerProblems(config)
]

const urlProblems = ({ base_url }: Partial<Config>): ReadonlyArray<string> => {
  if (base_url === undefined) return []
  const url = URL.canParse(base_url.trim()) ? new URL(base_url.trim()) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || /[?#]/.test(base_url)) {
    return [problem("base_url", base_url)]
  }
  if (url.username === "" && url.password === "") return []
  return [
    `base_url is ${quoted("base_url", base_url)}, but must not hold a user or password: give them as basic_auth_user and basic_auth_pass.`
  ]
}

/** More than HTTP servers take of all headers together, and what masking secrets in messages can still cope with. */
const MAX_HEADER_CHARACTERS = 16_384

/** Nobody means to send that much: it is the wrong file, mostly. */
const lengthProblems = (what: string, { length }: string): ReadonlyArray<string> =>
  length <= MAX_HEADER_CHARACTERS
    ? []
    : [
        `${what} has ${length} characters, but must have at most ${MAX_HEADER_CHARACTERS}, since it is sent in an HTTP header.`
      ]

const authProblems = ({ basic_auth_pass, basic_auth_user }: Partial<Config>): ReadonlyArray<string> => {
  if ((basic_auth_user === undefined) === (basic_auth_pass === undefined)) {
    return [
      ...lengthProblems("basic_auth_user", basic_auth_user ?? ""),
      ...lengthProblems("basic_auth_pass", basic_auth_pass ?? "")
    ]
  }
  const [present, absent] =
    basic_auth_pass === undefined
      ? ["basic_auth_user", "basic_auth_pass"]
      : ["basic_auth_pass", "basic_auth_user"]
  return [`${present} is given without ${absent}: basic authentication needs both, or leave out both.`]
}

const dateProblems = ({ end_date, start_date }: Partial<Config>): ReadonlyArray<string> =>
  start_date !== undefined && end_date !== undefined && parseMoment(end_date) < parseMoment(start_date)
    ? [`end_date is ${end_date}, before start_date ${start_date}: it must not be before it.`]
    : []

const selectorProblems = ({ selector }: Partial<Config>): ReadonlyArray<string> => {
  const matchers = parseSelector(selector ?? "")
  if (Result.isFailure(matchers)) return [`selector must be ${accepted.selector}: ${matchers.failure}.`]
  if (!matchers.success.some(({ label, operator }) => label === "__name__" && operator === "=")) return []
  return [
    "selector must not name a metric, since it is added to the query of every metric: use metrics.include."
  ]
}

/** Headers that would break the connection, or that another key is for. */
const ownHeaders: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "transfer-encoding"
])

/** Neither half is quoted: people put the value, a secret, into the wrong one. */
const headerProblems = ({ headers = [] }: Partial<Config>): ReadonlyArray<string> =>
  headers.flatMap(({ name, value }, index) => [
    ...(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)
      ? []
      : [
          `headers[${index}].name is no name of an HTTP header: letters, digits and - are, such as X-Scope-OrgID.`
        ]),
    ...(ownHeaders.has(name.toLowerCase())
      ? [`headers[${index}].name is ${name}, which is set by the connection itself: leave it out.`]
      : []),
    ...lengthProblems(`headers[${index}].value`, value),
    ...(/^[\t\x20-\x7e\x80-\xff]*$/.test(value)
      ? []
      : [`headers[${index}].value has characters that an HTTP header cannot carry (its value is not shown).`])
  ])

const toSettings = (config: Config, metrics: MetricFilter, warnings: ReadonlyArray<string>): Settings => {
  const headers = (config.headers ?? []).map(({ name, value }) => ({ name, value: Redacted.make(value) }))
  const password = config.basic_auth_pass === undefined ? undefined : Redacted.make(config.basic_auth_pass)
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
    metrics,
    matchers: Result.getOrThrow(parseSelector(config.selector ?? "")),
    labelColumns: config.label_columns ?? defaults.label_columns,
    lookbackMillis: (config.lookback_window ?? defaults.lookback_window) * 1000,
    settleDelayMillis: (config.settle_delay ?? defaults.settle_delay) * 1000,
    concurrency: config.concurrency ?? defaults.concurrency,
    requestTimeoutMillis: (config.request_timeout ?? defaults.request_timeout) * 1000,
    maxRetries: config.max_retries ?? defaults.max_retries,
    compression: config.compression ?? defaults.compression,
    partialData: config.partial_data ?? defaults.partial_data,
    secrets: [...(password === undefined ? [] : [password]), ...headers.map((header) => header.value)],
    warnings
  }
}
