/**
 * The configuration of `run`: a file, flags that override it, and secrets. Secrets come from a file or from the environment,
 * never from a flag, because every user of the machine can see the flags of a process.
 */
import { Effect, Option, Predicate } from "effect"
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
  demo: switchFlag(
    "demo",
    "Read an embedded demo Prometheus; this is the default without any flag for a source or a destination"
  ),
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
 * Whether to read the demo: with `--demo`, or without any flag for a source or a destination. Fails if other flags are given
 * without a server, because generated data must not get into a user's own file.
 */
export const isDemo = (flags: ConfigFlags, hasTarget: boolean): Effect.Effect<boolean, CliError.CliError> => {
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
  return hasTarget || hasFlags(keys, flags.keys)
    ? fail(
        "No Prometheus server is given: add --url, such as --url http://localhost:9090, or --config FILE. To read the embedded demo, add --demo."
      )
    : Effect.succeed(true)
}

/** The merged settings of file, flags and environment, and whether one of them sets the step. */
export const settingsOf = Effect.fnUntraced(function* (flags: ConfigFlags) {
  const file = flags.config === undefined ? {} : yield* readJsonFile(flags.config, "configuration")
  // The decoder rejects anything but an object.
  if (!Predicate.isReadonlyObject(file)) return yield* decodeMerged(file)
  const merged = yield* withFlags(keys, file, flags.keys)
  const token = yield* readSecret("token", flags.tokenFile, TOKEN_VARIABLE)
  if (Option.isNone(token)) return yield* decodeMerged(merged)
  if (!/^[\x20-\x7e]+$/.test(token.value)) {
    const origin = flags.tokenFile === undefined ? TOKEN_VARIABLE : `The token file ${flags.tokenFile}`
    return yield* new ConfigError({
      message: `${origin} does not contain a bearer token, which is a single line of ASCII characters (its value is not shown).`
    })
  }
  if ((merged.basic_auth_user ?? "") !== "") {
    return yield* new ConfigError({
      message: `A user (--user or basic_auth_user) and a token (--token-file or ${TOKEN_VARIABLE}) are both set, but a server accepts only one of them: remove the other.`
    })
  }
  return yield* decodeMerged(withToken(merged, token.value))
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
    Effect.mapError(({ message }) => new ConfigError({ message: withFlagNames(message) }))
  )

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
