/**
 * The configuration of `run`: a file, flags that override it, and secrets. Secrets come from a file or from the environment,
 * never from a flag, because every user of the machine can see the flags of a process.
 */
import { Effect, Option, Predicate, Result, Schema } from "effect"
import { CliError, type Command } from "effect/cli"
import { ConfigError, decodeConfig } from "../config/ConnectorConfig.ts"
import { readJsonFile } from "../config/inputFile.ts"
import type { KeyFlag } from "../config/Key.ts"
import { keys } from "../config/keys.ts"
import { optional, switchFlag, textFlag } from "./flags.ts"
import { flagNames, flagsOf, hasFlags, readSecret, withFlags } from "./keyFlags.ts"

/** The environment variable for a bearer token. */
export const TOKEN_VARIABLE = "SOURCE_PROMETHEUS_TOKEN"

/** The flags that select what to read. */
export const configFlags = {
  demo: switchFlag("demo", "Read an embedded demo Prometheus; this is the default without any flag"),
  config: optional(textFlag("config", "FILE", "Configuration file, JSON; other flags override its keys")),
  tokenFile: optional(
    textFlag(
      "token-file",
      "FILE",
      `File that contains a bearer token; without this flag it comes from ${TOKEN_VARIABLE}`
    )
  ),
  keys: flagsOf(keys)
}

/** The values of these flags. */
export type ConfigFlags = Command.Command.Config.Infer<typeof configFlags>

const isOfServer = (flag: KeyFlag): boolean => flag.isOfServer === true

/**
 * Whether to read the demo: with `--demo`, or without any flag. Fails if other flags are given without a server: who gives some
 * has forgotten that one, and generated data must not get into a file of theirs. `hasOthers`: whether there are flags besides
 * these.
 */
export const isDemo = (flags: ConfigFlags, hasOthers: boolean): Effect.Effect<boolean, CliError.CliError> => {
  const fail = (message: string) => Effect.fail(new CliError.ValidationError({ message }))
  const hasServer = (flags.config ?? flags.tokenFile) !== undefined || hasFlags(keys, flags.keys, isOfServer)
  if (flags.demo) {
    return hasServer
      ? fail(
          "--demo reads the embedded demo Prometheus, but another flag names a server: remove one of them."
        )
      : Effect.succeed(true)
  }
  if (hasServer) return Effect.succeed(false)
  return hasOthers || hasFlags(keys, flags.keys)
    ? fail(
        "No Prometheus server is given: add --url, such as --url http://localhost:9090, or --config FILE. To read the embedded demo, add --demo."
      )
    : Effect.succeed(true)
}

/** The flags, or the environment, make the configuration invalid: wrong usage. An invalid file is an error like any other. */
export class WrongFlags extends Schema.TaggedError<WrongFlags>()("WrongFlags", { message: Schema.String }) {}

/**
 * The merged settings of file, flags and environment, and whether one of them sets the step. Fails with `WrongFlags` if the file
 * alone does not have all problems.
 */
export const settingsOf = Effect.fnUntraced(function* (flags: ConfigFlags) {
  const file = flags.config === undefined ? {} : yield* readJsonFile(flags.config, "configuration")
  // The decoder rejects anything but an object.
  if (!Predicate.isReadonlyObject(file)) return yield* decodeMerged(file)
  const decodeWithFlags = Effect.fnUntraced(function* (merged: unknown) {
    const decoded = yield* Effect.result(decodeMerged(merged))
    if (Result.isSuccess(decoded)) return decoded.success
    const { message, problems } = decoded.failure
    const ofFile = flags.config === undefined ? [] : yield* problemsOf(file)
    if (problems?.every((problem) => ofFile.includes(problem))) return yield* decoded.failure
    return yield* new WrongFlags({ message })
  })
  const merged = yield* withFlags(keys, file, flags.keys)
  const token = yield* readSecret("token", flags.tokenFile, TOKEN_VARIABLE)
  if (Option.isNone(token)) return yield* decodeWithFlags(merged)
  if (!/^[\x20-\x7e]+$/.test(token.value)) {
    const origin = flags.tokenFile === undefined ? TOKEN_VARIABLE : `The token file ${flags.tokenFile}`
    return yield* new WrongFlags({
      message: `${origin} does not contain a bearer token, which is a single line of ASCII characters (its value is not shown).`
    })
  }
  if ((merged.basic_auth_user ?? "") !== "") {
    return yield* new WrongFlags({
      message: `A user (--user or basic_auth_user) and a token (--token-file or ${TOKEN_VARIABLE}) are both set, but a server accepts only one of them: remove the other.`
    })
  }
  return yield* decodeWithFlags(withToken(merged, token.value))
})

/** The settings of the demo, with the flags that apply to it. */
export const demoSettingsOf = Effect.fnUntraced(function* (
  demo: Readonly<Record<string, unknown>>,
  flags: ConfigFlags
) {
  const { settings } = yield* decodeMerged(
    yield* withFlags(keys, demo, flags.keys, (flag) => !isOfServer(flag))
  )
  return { settings, isStepGiven: (flags.keys.step ?? []).length > 0 }
})

const decodeMerged = (merged: unknown) =>
  decodeConfig(merged).pipe(
    Effect.map((settings) => ({
      settings,
      isStepGiven: Predicate.isReadonlyObject(merged) && (merged.step ?? "") !== ""
    })),
    Effect.mapError((error) => new ConfigError({ ...error, message: withFlagNames(error.message) }))
  )

/** The problems of a configuration. */
const problemsOf = (config: unknown): Effect.Effect<ReadonlyArray<string>> =>
  Effect.match(decodeConfig(config), {
    onSuccess: () => [],
    onFailure: ({ problems = [] }) => problems
  })

/** A configuration with a bearer token in its headers, which replaces other credentials there. */
const withToken = (config: Readonly<Record<string, unknown>>, token: string) => {
  const headers = Array.isArray(config.headers) ? config.headers : []
  const others = headers.filter(
    (header) => !(Predicate.isReadonlyObject(header) && String(header.name).toLowerCase() === "authorization")
  )
  return { ...config, headers: [...others, { name: "Authorization", value: `Bearer ${token}` }] }
}

const names: ReadonlyMap<string, string> = new Map([...flagNames(keys), ["headers", "--token-file"]])

const withFlag = (key: string): string => (names.has(key) ? `${key} (${names.get(key)})` : key)

/** A message about keys, with the flags added for a user who may only know those. */
const withFlagNames = (message: string): string =>
  message.replace(/(?<=^|[.!] | without )(\w+)(?=:| is | must )/g, withFlag)

/** The same for the parts of an error that say which keys to check or to set. */
export const withFlagsToCheck = (message: string): string =>
  message
    .replace(/(?<=\. |^)Check [^:]*/, (advice) => advice.replace(/\w+/g, withFlag))
    .replace(/(?<=\b[Ss]et )(base_url|headers)\b/g, withFlag)
