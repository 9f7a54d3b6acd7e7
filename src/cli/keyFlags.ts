/** The flags for keys of the configuration, generated from the table of keys. */
import { Config, Effect, Option, Predicate } from "effect"
import { Flag } from "effect/cli"
import { InputFileError, readTextFile } from "../config/inputFile.ts"
import { type Key, type KeyFlag, type Keys, keysWithPaths } from "../config/Key.ts"
import { textFlag } from "./flags.ts"

/** The values of each flag, by the path of its key, such as `metrics.include`. A flag that was not given has no values. */
type FlagValues = Readonly<Record<string, ReadonlyArray<string>>>

type Json = Readonly<Record<string, unknown>>

type FlaggedKey = Key & { readonly flag: KeyFlag }

const flaggedKeys = (table: Keys): ReadonlyArray<readonly [path: string, key: FlaggedKey]> =>
  keysWithPaths(table).filter((entry): entry is readonly [string, FlaggedKey] => entry[1].flag !== undefined)

/** The flags of a table of keys, by the path of the key. */
export const flagsOf = (table: Keys): Readonly<Record<string, Flag.Flag<ReadonlyArray<string>>>> =>
  Object.fromEntries(
    flaggedKeys(table).map(([path, { flag, isList }]) => {
      const one = textFlag(flag.name, flag.metavar, flag.description)
      return [path, isList ? Flag.atLeast(one, 0) : Flag.map(Flag.optional(one), Option.toArray)] as const
    })
  )

/** Selects flags. */
type Selection = (flag: KeyFlag) => boolean

const all: Selection = () => true

/** Whether any of the flags that `isMeant` selects was given. */
export const hasFlags = (table: Keys, values: FlagValues, isMeant = all): boolean =>
  flaggedKeys(table).some(([path, { flag }]) => isMeant(flag) && (values[path] ?? []).length > 0)

/** A configuration with the values of the selected flags, and with secrets from files or from the environment. */
export const withFlags = Effect.fnUntraced(function* (
  table: Keys,
  config: Json,
  values: FlagValues,
  isMeant: Selection = all
) {
  let merged = config
  for (const [path, key] of flaggedKeys(table)) {
    if (!isMeant(key.flag)) continue
    const given = yield* valuesOf(key.flag, values[path] ?? [])
    if (given.length > 0) merged = withValues(merged, path.split("."), key, given)
  }
  return merged
})

const valuesOf = ({ name, variable }: KeyFlag, given: ReadonlyArray<string>) =>
  variable === undefined
    ? Effect.succeed(given)
    : Effect.map(readSecret(name.replace(/-file$/, ""), given[0], variable), Option.toArray)

const withValues = (
  config: Json,
  [name = "", ...inner]: ReadonlyArray<string>,
  key: FlaggedKey,
  given: ReadonlyArray<string>
): Json => {
  const before = config[name]
  if (inner.length > 0) {
    return {
      ...config,
      [name]: withValues(Predicate.isReadonlyObject(before) ? before : {}, inner, key, given)
    }
  }
  if (!key.isList) return { ...config, [name]: given[0] }
  if (key.flag.isAdded !== true) return { ...config, [name]: given }
  // The decoder rejects anything but a list.
  return Array.isArray(before ?? []) ? { ...config, [name]: [...((before as []) ?? []), ...given] } : config
}

/** A secret from a file, or otherwise from the environment. */
export const readSecret = Effect.fnUntraced(function* (
  what: string,
  path: string | undefined,
  variable: string
) {
  if (path !== undefined) {
    const content = yield* readTextFile(path, what)
    const secret = withoutLineFeed(content)
    if (secret === "") return yield* new InputFileError({ message: `The ${what} file ${path} is empty.` })
    return Option.some(secret)
  }
  const value = yield* Effect.orElseSucceed(Config.option(Config.String(variable)), () =>
    Option.none<string>()
  )
  return Option.filter(Option.map(value, withoutLineFeed), (secret) => secret !== "")
})

/** A secret as it is meant: tools that write files and secrets of Kubernetes like to add a line feed. */
const withoutLineFeed = (secret: string): string => secret.replace(/\r?\n$/, "")

/** The flag or variable that sets each key of a table, such as `--url` for `base_url`. */
export const flagNames = (table: Keys): ReadonlyMap<string, string> =>
  new Map(
    Object.entries(table).flatMap(([name, key]) => {
      const names = flaggedKeys({ [name]: key }).map(([, { flag }]) =>
        flag.variable === undefined ? `--${flag.name}` : `${flag.variable} or --${flag.name}`
      )
      return names.length === 0 ? [] : [[name, names.join(", ")] as const]
    })
  )
