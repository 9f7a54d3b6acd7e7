/** The configuration as a service: checked whole before anything is asked of a server. */
import { Context, Effect, FileSystem, Layer, Option, Predicate, Redacted, Result, Schema } from "effect"
import { isBareName, type Matcher, parse as parseSelector } from "../promql/Matcher.ts"
import { compilePattern, type MetricFilter, type NamePattern } from "../promql/MetricFilter.ts"
import { expandHome, homeOf } from "../text/homePath.ts"
import {
  accepted,
  type Config,
  type ConfigInput,
  type ConfigKey,
  ConfigSchema,
  defaults,
  parseMoment
} from "./ConfigSchema.ts"
import { isCommon } from "./SecretMask.ts"

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
  /** Labels that no series has for us, although its identity is that of all its labels. */
  readonly excludedLabels: ReadonlySet<string>
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

/**
 * The secrets of a configuration in the clear, in every form in which they are sent: for masking them in what is printed.
 * Without those that any text may have by chance: their mask would only tell them.
 */
export const secretTexts = (settings: Settings): ReadonlyArray<string> =>
  allSecretTexts(settings).filter((secret) => !isCommon(secret))

/** All of them: for masking them in what a server says, before it becomes part of a message. */
export const allSecretTexts = ({ basicAuth, headers, secrets }: Settings): ReadonlyArray<string> => [
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
  // A pipe has no size, and is read as it is.
  const size = yield* files.stat(place).pipe(
    Effect.map((info) => Number(info.size)),
    Effect.orElseSucceed(() => 0)
  )
  if (size > MAX_FILE_BYTES) {
    return yield* new InputFileError({
      message: `The ${what} file ${path} has ${Math.round(size / MEGABYTE)} MB, but must have at most ${MAX_FILE_BYTES / MEGABYTE} MB: it is most likely not the file that was meant.`
    })
  }
  return yield* files
    .readFileString(place)
    .pipe(Effect.mapError((error) => failed(reasonTexts[error.reason._tag] ?? error.message)))
})

const MEGABYTE = 1_000_000

/** A catalog of 100,000 streams has less than that. */
const MAX_FILE_BYTES = 400 * MEGABYTE

/** Reads a JSON file as `readTextFile` does. */
export const readJsonFile = Effect.fnUntraced(function* (path: string, what: string) {
  const text = yield* readTextFile(path, what)
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    // The parser's own message quotes the text, which may hold a secret.
    catch: () => new InputFileError({ message: `The ${what} file ${path} is not JSON${whereBroken(text)}.` })
  })
  if (isTooDeep(json)) {
    return yield* new InputFileError({ message: `The ${what} file ${path} is ${TOO_DEEP}.` })
  }
  return json
})

/** No file of ours has lists and objects in each other so often, and what walks through them would run out of stack. */
const MAX_DEPTH = 100

const TOO_DEEP = `nested too deeply: lists and objects must not be in each other more than ${MAX_DEPTH} times`

const isTooDeep = (json: unknown): boolean => {
  let level: ReadonlyArray<unknown> = [json]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true
    const next: Array<unknown> = []
    for (const value of level) {
      if (typeof value !== "object" || value === null) continue
      for (const inner of Object.values(value)) {
        if (typeof inner === "object" && inner !== null) next.push(inner)
      }
    }
    level = next
  }
  return false
}

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
    if (isTooDeep(input)) return new ConfigError({ message: `The configuration is ${TOO_DEEP}.` })
    return decodeGiven(withoutAbsent(input))
  })

const decodeGiven = Effect.fnUntraced(function* (given: Readonly<Record<string, unknown>>) {
  const { config, problems } = decodeKeys(given)
  const [metrics, patternProblems] = yield* compileMetrics(config)
  const all = [...problems, ...patternProblems, ...crossProblems(config)]
  if (all.length > 0) {
    return yield* new ConfigError({ message: `The configuration is not valid. ${all.join(" ")}` })
  }
  const warnings = [...unknownKeyWarnings(given), ...labelWarnings(config)]
  return toSettings(Schema.decodeUnknownSync(ConfigSchema)(given), metrics, warnings)
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
  const named = unknown.slice(0, MAX_SHOWN_KEYS).map((key) => shorten(key, 100))
  const more = unknown.length > named.length ? ` and ${unknown.length - named.length} more` : ""
  return [
    `Unknown configuration ${unknown.length === 1 ? "key is" : "keys are"} ignored: ${named.join(", ")}${more}.`
  ]
}

/** More unknown keys than this are only counted. */
const MAX_SHOWN_KEYS = 20

const shorten = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length)}…` : text

const problem = (key: ConfigKey, value: unknown): string =>
  value === undefined
    ? `${key} is missing: it must be ${accepted[key]}.`
    : `${key} is ${quoted(key, value)}, but must be ${accepted[key]}.`

const secretKeys: ReadonlySet<string> = new Set(["basic_auth_pass", "headers"])

/** Only texts, numbers and the like are shown: what is in a list or an object may be a secret under any name. */
const quoted = (key: ConfigKey, value: unknown): string => {
  if (secretKeys.has(key)) return "not of the right type (its value is not shown)"
  if (Array.isArray(value)) return "a list (its content is not shown)"
  if (Predicate.isObject(value)) return "an object (its content is not shown)"
  return shown(key === "base_url" && typeof value === "string" ? withoutCredentials(value) : value)
}

/** A value as JSON, if that is not too long. */
const shown = (value: unknown): string => shorten(JSON.stringify(value), 200)

/** What stands before the last `@` may be a password, what stands after `?` a token. */
const withoutCredentials = (url: string): string =>
  url.replace(/^.*@/s, "***@").replace(/([?#]).+$/s, "$1***")

/** What a schema of single keys cannot see. Keys that are wrong in themselves are missing here. */
const crossProblems = (config: Partial<Config>): ReadonlyArray<string> => [
  ...urlProblems(config),
  ...authProblems(config),
  ...dateProblems(config),
  ...selectorProblems(config),
  ...labelProblems(config),
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

const labelProblems = ({ exclude_labels = [] }: Partial<Config>): ReadonlyArray<string> => [
  ...(exclude_labels.includes("__name__")
    ? ["exclude_labels must not have __name__, which is the name of the metric: use metrics.exclude."]
    : []),
  ...(exclude_labels.includes("") ? ["exclude_labels must not have an empty name."] : [])
]

/** A pattern or a blank in a name matches no label, so nothing would be left out. */
const labelWarnings = ({ exclude_labels = [] }: Partial<Config>): ReadonlyArray<string> =>
  exclude_labels
    .filter((name) => !isBareName(name))
    .map(
      (name) =>
        `exclude_labels has ${shown(name)}, which is taken as the exact name of a label and not as a pattern.`
    )

const byConnection = "is set by the connection itself"
const byRequest = "describes the request itself"
const forParts = "would have the server leave out data"

/**
 * Headers that are refused, and why. Those that proxies ask for (`Cookie`, also `Proxy-Authorization`, as Google's proxy
 * takes it beside the server's own `Authorization`) are not among them.
 */
const refusedHeaders: ReadonlyMap<string, string> = new Map([
  ["accept-encoding", `${byConnection}, by the key compression`],
  ["connection", byConnection],
  ["content-encoding", byRequest],
  ["content-length", byConnection],
  ["content-type", byRequest],
  ["expect", byConnection],
  ["host", "follows from base_url"],
  ["http2-settings", byConnection],
  ["if-match", forParts],
  ["if-modified-since", forParts],
  ["if-none-match", forParts],
  ["if-range", forParts],
  ["if-unmodified-since", forParts],
  ["keep-alive", byConnection],
  ["proxy-connection", byConnection],
  ["range", forParts],
  ["te", byConnection],
  ["trailer", byConnection],
  ["transfer-encoding", byConnection],
  ["upgrade", byConnection]
])

/** Neither half is quoted: people put the value, a secret, into the wrong one. */
const headerProblems = ({ basic_auth_user, headers = [] }: Partial<Config>): ReadonlyArray<string> => {
  const places = new Map<string, number>()
  return headers.flatMap(({ name, value }, index) => {
    const key = name.toLowerCase()
    const refused = refusedHeaders.get(key)
    const before = places.get(key)
    places.set(key, before ?? index)
    return [
      ...(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)
        ? []
        : [
            `headers[${index}].name is no name of an HTTP header: letters, digits and - are, such as X-Scope-OrgID.`
          ]),
      ...(refused === undefined
        ? []
        : [`headers[${index}].name is ${name}, which ${refused}: leave it out.`]),
      ...(before === undefined
        ? []
        : [`headers[${index}].name is the same as that of headers[${before}]: leave out one of them.`]),
      ...(key === "authorization" && basic_auth_user !== undefined
        ? [
            `headers[${index}].name is ${name}, which basic_auth_user and basic_auth_pass stand for as well: leave out one of them.`
          ]
        : []),
      ...lengthProblems(`headers[${index}].name`, name),
      ...lengthProblems(`headers[${index}].value`, value),
      ...(/^[\t\x20-\x7e\x80-\xff]*$/.test(value)
        ? []
        : [
            `headers[${index}].value has characters that an HTTP header cannot carry (its value is not shown).`
          ])
    ]
  })
}

const withoutSlashes = (url: string): string => {
  let end = url.length
  while (url[end - 1] === "/") end--
  return url.slice(0, end)
}

const toSettings = (config: Config, metrics: MetricFilter, warnings: ReadonlyArray<string>): Settings => {
  const headers = (config.headers ?? []).map(({ name, value }) => ({ name, value: Redacted.make(value) }))
  const password = config.basic_auth_pass === undefined ? undefined : Redacted.make(config.basic_auth_pass)
  return {
    baseUrl: withoutSlashes(config.base_url.trim()),
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
    excludedLabels: new Set(config.exclude_labels),
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
