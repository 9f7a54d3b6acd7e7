/**
 * The configuration of `run`: a file, flags that override it, and secrets. Secrets come from a file or from the environment,
 * never from a flag, because every user of the machine can see the flags of a process.
 */
import { Effect, Predicate, Result } from "effect"
import { CliError, type Command } from "effect/cli"
import { ConfigError, decodeConfig } from "../config/ConnectorConfig.ts"
import { readJsonFile } from "../config/inputFile.ts"
import type { KeyFlag } from "../config/Key.ts"
import { keys } from "../config/keys.ts"
import { optional, switchFlag, textFlag } from "./flags.ts"
import { flagNames, flagsOf, hasFlags, WrongFlags, withFlags } from "./keyFlags.ts"

/** The flags that select what to read. */
export const configFlags = {
  demo: switchFlag("demo", "Read an embedded demo Prometheus; this is the default without any flag"),
  config: optional(textFlag("config", "FILE", "Configuration file, JSON; other flags override its keys")),
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
  const hasServer = flags.config !== undefined || hasFlags(keys, flags.keys, isOfServer)
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
  const { config, origins } = yield* withFlags(keys, file, flags.keys)
  yield* checkOneMethod(config, origins)
  return yield* decodeWithFlags(config)
})

/** Fails if a flag or a variable selects one of two methods of authentication. */
const checkOneMethod = Effect.fnUntraced(function* (
  config: Readonly<Record<string, unknown>>,
  origins: ReadonlyMap<string, string>
) {
  const { authentication, basic_auth_user: user = "" } = config
  const method = Predicate.isReadonlyObject(authentication) ? authentication.auth_type : undefined
  if ((user ?? "") === "" || typeof method !== "string" || method === "none") return
  const user_ = origins.get("basic_auth_user")
  const other = origins.get("authentication.auth_type")
  if (user_ === undefined && other === undefined) return
  return yield* new WrongFlags({
    message: `${user_ ?? "basic_auth_user of the configuration file"} selects basic authentication, and ${other ?? "authentication of the configuration file"} selects ${method}, but a request can carry only one of them: remove one.`
  })
})

/** The settings of the demo, with the flags that apply to it. */
export const demoSettingsOf = Effect.fnUntraced(function* (
  demo: Readonly<Record<string, unknown>>,
  flags: ConfigFlags
) {
  const { settings } = yield* decodeMerged(
    (yield* withFlags(keys, demo, flags.keys, (flag) => !isOfServer(flag))).config
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

const names = flagNames(keys)

const withFlag = (key: string): string => (names.has(key) ? `${key} (${names.get(key)})` : key)

/** An inner key is no word of a sentence. */
const withFlagsOfInnerKeys = (message: string): string =>
  message.replace(/\b[a-z_]+\.[a-z_]+\b(?! \()/g, withFlag)

/** A message about keys, with the flags added for a user who may only know those. */
const withFlagNames = (message: string): string =>
  withFlagsOfInnerKeys(
    message.replace(
      /(?<=^|[.!] | without )(\w+(?:\.\w+)*)(?=:| is | must | contains | ends | has | have )/g,
      withFlag
    )
  )

/** The same for the parts of an error that say which keys to check or to set. */
export const withFlagsToCheck = (message: string): string =>
  withFlagsOfInnerKeys(
    message
      .replace(/(?<=\. |^)Check [^:]*/, (advice) => advice.replace(/\w+(?:\.\w+)*/g, withFlag))
      .replace(/(?<=\b[Ss]et )(authentication|base_url|headers)\b/g, withFlag)
  )
