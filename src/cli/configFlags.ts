/**
 * The configuration of a person's command: a file, flags over it, and secrets from where nobody else sees them: the
 * environment or a file, but no flag, since those are shown to all users of a machine.
 */
import { Config, Effect, Option } from "effect"
import { CliError, Flag } from "effect/cli"
import {
  ConfigError,
  decodeConfig,
  InputFileError,
  readJsonFile,
  readTextFile
} from "../config/ConnectorConfig.ts"

/** Holds the password of basic authentication. */
export const PASSWORD_VARIABLE = "SOURCE_PROMETHEUS_PASSWORD"

/** Holds a bearer token. */
export const TOKEN_VARIABLE = "SOURCE_PROMETHEUS_TOKEN"

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const severalTimes = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.atLeast(0))

/** Flags that say what is read; each stands for a key of the configuration and overrides it. */
export const configFlags = {
  demo: Flag.Boolean("demo").pipe(
    Flag.withDefault(false),
    Flag.withDescription(
      "Read an embedded demo Prometheus; so does run without any flag that says what to read or where to write"
    )
  ),
  config: text("config", "FILE", "The file with the configuration, JSON; flags override what is in it"),
  url: text("url", "URL", "The address of Prometheus, such as http://localhost:9090"),
  start: text("start", "DATE", "Read data from then on: 2026-01-01 or 2026-01-01T00:00:00Z, in UTC"),
  end: text("end", "DATE", "Stop there instead of at the present"),
  step: text("step", "DURATION", "The time between two data points, such as 15s, 5m or 1h (default: 1h)"),
  user: text(
    "user",
    "NAME",
    `The user of basic authentication; the password is read from ${PASSWORD_VARIABLE}, or from --password-file`
  ),
  passwordFile: text("password-file", "FILE", "The file that holds the password"),
  tokenFile: text(
    "token-file",
    "FILE",
    `The file that holds a bearer token, which is otherwise read from ${TOKEN_VARIABLE}`
  ),
  select: severalTimes(
    "select",
    "PATTERN",
    "Read only these metrics, such as 'node_*'; may be given several times"
  ),
  exclude: severalTimes("exclude", "PATTERN", "Leave out these metrics; may be given several times"),
  excludeLabel: severalTimes(
    "exclude-label",
    "NAME",
    "Leave this label out of all data, such as one with personal data; may be given several times"
  )
}

/** What the flags were given. */
export interface ConfigFlags {
  readonly demo: boolean
  readonly config: Option.Option<string>
  readonly url: Option.Option<string>
  readonly start: Option.Option<string>
  readonly end: Option.Option<string>
  readonly step: Option.Option<string>
  readonly user: Option.Option<string>
  readonly passwordFile: Option.Option<string>
  readonly tokenFile: Option.Option<string>
  readonly select: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
  readonly excludeLabel: ReadonlyArray<string>
}

/** Whether no flag says which server is meant, or how to log in there. */
const namesNoServer = ({ config, passwordFile, tokenFile, url, user }: ConfigFlags): boolean =>
  [config, passwordFile, tokenFile, url, user].every(Option.isNone)

/** Whether no flag says what to read. */
export const isEmpty = (flags: ConfigFlags): boolean =>
  namesNoServer(flags) &&
  [flags.start, flags.end, flags.step].every(Option.isNone) &&
  [flags.select, flags.exclude, flags.excludeLabel].every(({ length }) => length === 0)

/**
 * Whether the demo is read: when the user asks for it, or gives no flag at all that says what to read or where to write. Fails where
 * a server is missing: who forgets it must not find made-up data in a file of their own.
 */
export const isDemo = (flags: ConfigFlags, hasTarget: boolean): Effect.Effect<boolean, CliError.CliError> => {
  const fail = (message: string) => Effect.fail(new CliError.ValidationError({ message }))
  if (flags.demo) {
    return namesNoServer(flags)
      ? Effect.succeed(true)
      : fail(
          "--demo reads the embedded demo Prometheus, and other flags name a server: leave out one of them."
        )
  }
  if (!namesNoServer(flags)) return Effect.succeed(false)
  return isEmpty(flags) && !hasTarget
    ? Effect.succeed(true)
    : fail(
        "No Prometheus is given: add --url, such as --url http://localhost:9090, or --config FILE. To read the embedded demo, add --demo."
      )
}

/** The settings that file, environment and flags make together, and whether any of them has a step. */
export const settingsOf = Effect.fnUntraced(function* (flags: ConfigFlags) {
  const file = yield* Option.match(flags.config, {
    onNone: () => Effect.succeed({}),
    onSome: (path) => readJsonFile(path, "configuration")
  })
  const password = yield* secretOf("password", flags.passwordFile, PASSWORD_VARIABLE)
  const token = yield* secretOf("token", flags.tokenFile, TOKEN_VARIABLE)
  if (Option.exists(token, (token) => !/^[\x20-\x7e]+$/.test(token))) {
    const place = Option.match(flags.tokenFile, {
      onNone: () => TOKEN_VARIABLE,
      onSome: (path) => `the token file ${path}`
    })
    return yield* new ConfigError({
      message: `What is in ${place} is no bearer token, which is a single line of plain letters, digits and signs (it is not shown).`
    })
  }
  const overrides = {
    ...given("base_url", flags.url),
    ...given("start_date", flags.start),
    ...given("end_date", flags.end),
    ...given("step", flags.step),
    ...given("basic_auth_user", flags.user),
    ...given("basic_auth_pass", password)
  }
  // What is no object is told by the decoder.
  const merged = isObject(file)
    ? {
        ...file,
        ...overrides,
        ...metricsOf(file, flags),
        ...excludedLabelsOf(file, flags),
        ...headersOf(file, token)
      }
    : file
  if (Option.isSome(token) && isObject(merged) && (merged.basic_auth_user ?? "") !== "") {
    return yield* new ConfigError({
      message: `A user (--user or basic_auth_user) and a token (--token-file or ${TOKEN_VARIABLE}) are given, but a server takes one of them: leave out the other.`
    })
  }
  const settings = yield* Effect.mapError(decodeConfig(merged), (error) => withFlagNames(error))
  return { settings, isStepGiven: isObject(merged) && (merged.step ?? "") !== "" }
})

/** The configuration of the demo, to which the flags apply as well. */
export const demoSettingsOf = (
  demo: Readonly<Record<string, unknown>>,
  { end, exclude, excludeLabel, select, start, step }: ConfigFlags
) =>
  Effect.mapError(
    decodeConfig({
      ...demo,
      ...given("start_date", start),
      ...given("end_date", end),
      ...given("step", step),
      ...metricsOf({}, { select, exclude }),
      ...excludedLabelsOf({}, { excludeLabel })
    }),
    (error) => withFlagNames(error)
  ).pipe(Effect.map((settings) => ({ settings, isStepGiven: Option.isSome(step) })))

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const given = (key: string, value: Option.Option<string>) =>
  Option.match(value, { onNone: () => ({}), onSome: (value) => ({ [key]: value }) })

/** Those of the file stay excluded: a label that must not leave is not let out by naming another. */
const excludedLabelsOf = (
  file: Readonly<Record<string, unknown>>,
  { excludeLabel }: Pick<ConfigFlags, "excludeLabel">
) => {
  if (excludeLabel.length === 0) return {}
  const before = file.exclude_labels ?? []
  return { exclude_labels: Array.isArray(before) ? [...before, ...excludeLabel] : before }
}

const metricsOf = (
  file: Readonly<Record<string, unknown>>,
  { exclude, select }: Pick<ConfigFlags, "select" | "exclude">
) => {
  if (select.length === 0 && exclude.length === 0) return {}
  const before = isObject(file.metrics) ? file.metrics : {}
  return {
    metrics: {
      ...before,
      ...(select.length === 0 ? {} : { include: select }),
      ...(exclude.length === 0 ? {} : { exclude })
    }
  }
}

/** The configured headers, the token among them in the place of any other credentials. */
const headersOf = (file: Readonly<Record<string, unknown>>, token: Option.Option<string>) =>
  Option.match(token, {
    onNone: () => ({}),
    onSome: (token) => {
      const before = Array.isArray(file.headers) ? file.headers : []
      const others = before.filter(
        (header) => !(isObject(header) && String(header.name).toLowerCase() === "authorization")
      )
      return { headers: [...others, { name: "Authorization", value: `Bearer ${token}` }] }
    }
  })

/** A secret from a file or else from the environment. */
const secretOf = Effect.fnUntraced(function* (
  what: string,
  file: Option.Option<string>,
  variableName: string
) {
  if (Option.isSome(file)) {
    const path = file.value
    const content = yield* readTextFile(path, what)
    const secret = content.replace(/\r?\n$/, "")
    if (secret === "") {
      return yield* new InputFileError({ message: `The ${what} file ${path} is empty.` })
    }
    return Option.some(secret)
  }
  const variable = yield* Effect.orElseSucceed(Config.option(Config.String(variableName)), () =>
    Option.none<string>()
  )
  return Option.filter(variable, (secret) => secret !== "")
})

const flagNames: ReadonlyMap<string, string> = new Map([
  ["base_url", "--url"],
  ["start_date", "--start"],
  ["end_date", "--end"],
  ["step", "--step"],
  ["basic_auth_user", "--user"],
  ["basic_auth_pass", `${PASSWORD_VARIABLE} or --password-file`],
  ["exclude_labels", "--exclude-label"],
  ["headers", "--token-file"]
])

/** A person who has no file knows the flags and not the keys. */
const withFlagNames = ({ message }: ConfigError): ConfigError =>
  new ConfigError({ message: message.replace(/(?<=^|[.!] )(\w+)(?= (?:is|must) )/g, named) })

const named = (key: string): string => {
  const flag = flagNames.get(key)
  return flag === undefined ? key : `${key} (${flag})`
}

/** The same for what errors of a run advise to check. */
export const withFlagsToCheck = (message: string): string =>
  message.replace(/(?<=\. |^)Check [^:]*/, (advice) =>
    advice.replace(/\w+/g, (word) => (word === "metrics" ? "metrics (--select, --exclude)" : named(word)))
  )
