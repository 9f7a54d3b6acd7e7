/** The flags for keys of the configuration, generated from the table of keys. */
import { Config, Effect, type FileSystem, Option, Predicate, Result, Schema } from "effect"
import { CliError, Flag } from "effect/cli"
import { InputFileError, readTextFile } from "../config/inputFile.ts"
import { type Form, type KeyFlag, type Keys, type KeyWithPath, keysWithPaths } from "../config/Key.ts"
import { switchFlag, textFlag } from "./flags.ts"

/** The values of each flag, by the path of its key, such as `metrics.include`. A flag that was not given has no values. */
type FlagValues = Readonly<Record<string, ReadonlyArray<string>>>

type Json = Readonly<Record<string, unknown>>

interface FlaggedKey extends KeyWithPath {
  readonly flag: KeyFlag
}

/** The flags, or the environment, make the configuration invalid: wrong usage. An invalid file is an error like any other. */
export class WrongFlags extends Schema.TaggedError<WrongFlags>()("WrongFlags", { message: Schema.String }) {}

/** The keys that have a flag. That of an object with several forms names the form. */
const flaggedKeys = (table: Keys): ReadonlyArray<FlaggedKey> =>
  keysWithPaths(table).flatMap((entry) => {
    const { flag, variants } = entry.key
    if (flag === undefined) return []
    return [{ ...entry, flag, path: variants === undefined ? entry.path : `${entry.path}.${variants.by}` }]
  })

/** The flags of a table of keys, by the path of the key. */
export const flagsOf = (table: Keys): Readonly<Record<string, Flag.Flag<ReadonlyArray<string>>>> =>
  Object.fromEntries(
    flaggedKeys(table).map((entry) => {
      const { flag, key, path } = entry
      if (flag.metavar === undefined) {
        return [
          path,
          Flag.map(switchFlag(flag.name, flag.description), (isOn) => (isOn ? [""] : []))
        ] as const
      }
      const one = visible(flag, textFlag(flag.name, flag.metavar, describe(flag)))
      return [
        path,
        key.isList && !takesFile(entry) ? Flag.atLeast(one, 0) : Flag.map(Flag.optional(one), Option.toArray)
      ] as const
    })
  )

/** Whether a flag names a file with the value. A secret is never on the command line, where all users of the machine see it. */
const takesFile = ({ flag, key: { isSecret, variants } }: FlaggedKey): boolean =>
  flag.isFile ?? (isSecret && variants === undefined && flag.refusal === undefined)

/** The section of the help for a flag: those that say how to reach a server are many, and most servers need none of them. */
export const helpSections = (table: Keys): ReadonlyMap<string, string> =>
  new Map(
    flaggedKeys(table).flatMap(({ flag: { isOfServer, name }, path }) => {
      if (isOfServer !== true || path === "base_url") return []
      const isCredential = /^(?:basic_auth_|authentication\.)/.test(path)
      return [[name, isCredential ? "FLAGS FOR AUTHENTICATION" : "FLAGS FOR THE CONNECTION"] as const]
    })
  )

const describe = ({ description, variable }: KeyFlag): string =>
  variable === undefined ? description : `${description}, or set ${variable}`

/** Refuses values with the wrong form, and values that only a file or the environment may contain. Does not quote the latter. */
const visible = ({ metavar, name, parse, refusal }: KeyFlag, flag: Flag.Flag<string>): Flag.Flag<string> =>
  refusal === undefined && parse === undefined
    ? flag
    : Flag.mapEffect(flag, (value) => {
        const isOfForm = parse === undefined || parse(value) !== undefined
        const why = isOfForm ? refusal?.(value) : `is ${JSON.stringify(value)}, but must be ${metavar}`
        return why === undefined
          ? Effect.succeed(value)
          : Effect.fail(new CliError.ValidationError({ message: `--${name} ${why}.` }))
      })

/** Selects flags. */
type Selection = (flag: KeyFlag) => boolean

const all: Selection = () => true

/** Whether any of the flags that `isMeant` selects was given. */
export const hasFlags = (table: Keys, values: FlagValues, isMeant = all): boolean =>
  flaggedKeys(table).some(({ flag, path }) => isMeant(flag) && (values[path] ?? []).length > 0)

/** A configuration, and where the values that are not of the file come from: a flag or a variable by the path of the key. */
interface Merged {
  readonly config: Json
  readonly origins: ReadonlyMap<string, string>
}

/** A configuration with the values of the selected flags, and with secrets from files or from the environment. */
export const withFlags = Effect.fnUntraced(function* (
  table: Keys,
  file: Json,
  values: FlagValues,
  isMeant: Selection = all
): Effect.fn.Return<Merged, InputFileError | WrongFlags, FileSystem.FileSystem> {
  let config = file
  const origins = new Map<string, string>()
  for (const entry of flaggedKeys(table)) {
    const { flag, path } = entry
    if (!isMeant(flag)) continue
    const value = yield* valueOf(entry, values[path] ?? [])
    if (Option.isNone(value)) continue
    const origin =
      (values[path] ?? []).length > 0 || flag.variable === undefined ? `--${flag.name}` : flag.variable
    const form = formOf(entry, value.value)
    if (form !== undefined) config = yield* withForm(table, config, form, origin, origins)
    origins.set(path, origin)
    config = withValue(config, path.split("."), entry, value.value)
  }
  return { config, origins }
})

/** The form that a flag selects: that of its key, or the one that it names. */
const formOf = ({ form, key: { variants }, path }: FlaggedKey, value: unknown): Form | undefined =>
  variants === undefined
    ? form
    : { of: path.slice(0, -variants.by.length - 1), by: variants.by, name: String(value) }

/** A configuration whose object has a form. Fails if a flag or the file has selected another one. */
const withForm = Effect.fnUntraced(function* (
  table: Keys,
  config: Json,
  { by, name, of }: Form,
  origin: string,
  origins: Map<string, string>
) {
  const path = `${of}.${by}`
  const before = valueAt(config, path)
  const other = origins.get(path)
  const isOther = typeof before === "string" && before !== "" && before !== name
  if (isOther && (other !== undefined || holdsKeys(table, of, before))) {
    return yield* new WrongFlags({
      message:
        other === undefined
          ? `${origin} sets ${path} to ${name}, but the configuration file sets it to ${before}: remove one of them.`
          : `${other} sets ${path} to ${before}, but ${origin} sets it to ${name}: remove one of them.`
    })
  }
  origins.set(path, other ?? origin)
  const inner = valueAt(config, of)
  const kept = isOther || !Predicate.isReadonlyObject(inner) ? {} : inner
  return withValueAt(config, of.split("."), { ...kept, [by]: name })
})

/** Whether a form has keys: one without has nothing to lose. */
const holdsKeys = (table: Keys, of: string, name: string): boolean => {
  const forms = keysWithPaths(table).find(({ path }) => path === of)?.key.variants?.forms ?? {}
  return !Object.hasOwn(forms, name) || Object.keys(forms[name]?.keys ?? {}).length > 0
}

/** The value for a key: of its flag, of the file that the flag names, or of the environment. */
const valueOf = Effect.fnUntraced(function* (entry: FlaggedKey, given: ReadonlyArray<string>) {
  const {
    flag: { join, mayBeEmpty, name, parse, separator, sets, variable },
    key: { isList }
  } = entry
  if (sets !== undefined) return given.length > 0 ? Option.some<unknown>(sets) : Option.none()
  if (!takesFile(entry)) {
    const parsed = parse === undefined ? given : given.map(parse)
    const values = join === undefined ? parsed : join(parsed)
    return given.length > 0 ? Option.some<unknown>(isList ? values : values[0]) : Option.none()
  }
  const what = name
    .replace(/-file$/, "")
    .replaceAll("-", " ")
    .replace(/^ca$/, "CA")
  const secret = yield* readSecret(what, given[0], variable, mayBeEmpty)
  if (Option.isNone(secret) || separator === undefined) return secret as Option.Option<unknown>
  const pairs = pairsOf(secret.value, separator)
  if (Result.isSuccess(pairs)) return Option.some<unknown>(pairs.success)
  const origin = given[0] === undefined ? variable : `the ${what} file ${given[0]}`
  return yield* new WrongFlags({
    message: `Line ${pairs.failure} of ${origin} is not NAME${separator}VALUE (it is not shown): write one ${what} per line.`
  })
})

/** The names and values of a text, or the number of the first line that has none. */
const pairsOf = (
  text: string,
  separator: string
): Result.Result<ReadonlyArray<{ readonly name: string; readonly value: string }>, number> => {
  const pairs = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue
    const end = line.indexOf(separator.trim())
    if (end <= 0) return Result.fail(index + 1)
    const value = line.slice(end + separator.trim().length)
    const isSpaced = separator !== separator.trim()
    pairs.push({ name: line.slice(0, end).trim(), value: isSpaced ? value.trim() : value })
  }
  return Result.succeed(pairs)
}

const valueAt = (config: unknown, path: string): unknown =>
  path
    .split(".")
    .reduce<unknown>(
      (value, name) =>
        Predicate.isReadonlyObject(value) && Object.hasOwn(value, name) ? value[name] : undefined,
      config
    )

const withValueAt = (config: Json, [name = "", ...inner]: ReadonlyArray<string>, value: unknown): Json => {
  const before = config[name]
  return {
    ...config,
    [name]:
      inner.length === 0 ? value : withValueAt(Predicate.isReadonlyObject(before) ? before : {}, inner, value)
  }
}

const withValue = (config: Json, path: ReadonlyArray<string>, { flag }: FlaggedKey, value: unknown): Json => {
  if (flag.isAdded !== true) return withValueAt(config, path, value)
  const before = valueAt(config, path.join(".")) ?? []
  // The decoder rejects anything but a list.
  return Array.isArray(before) ? withValueAt(config, path, [...before, ...(value as [])]) : config
}

/** A text from a file, or otherwise from the environment. */
const readSecret = Effect.fnUntraced(function* (
  what: string,
  path: string | undefined,
  variable: string | undefined,
  mayBeEmpty = false
) {
  if (path !== undefined) {
    const content = yield* readTextFile(path, what)
    const secret = withoutLineFeed(content)
    if (secret === "" && !mayBeEmpty)
      return yield* new InputFileError({ message: `The ${what} file ${path} is empty.` })
    return Option.some(secret)
  }
  if (variable === undefined) return Option.none<string>()
  const value = yield* Effect.orElseSucceed(Config.option(Config.String(variable)), () =>
    Option.none<string>()
  )
  return Option.filter(Option.map(value, withoutLineFeed), (secret) => secret !== "")
})

/** A secret as it is meant: tools that write files and secrets of Kubernetes like to add a line feed. */
const withoutLineFeed = (secret: string): string => secret.replace(/\r?\n$/, "")

/** The flag or variable that sets each key of a table, such as `--url` for `base_url`. */
export const flagNames = (table: Keys): ReadonlyMap<string, string> => {
  const names = new Map<string, string>()
  for (const { flag, key, path } of flaggedKeys(table)) {
    const name = flag.variable === undefined ? `--${flag.name}` : `${flag.variable} or --${flag.name}`
    names.set(path, name)
    // Some messages name the object around a key.
    const [outer = "", ...inner] = path.split(".")
    const around = names.get(outer)
    if (inner.length > 0 && (key.variants !== undefined || around === undefined)) names.set(outer, name)
    else if (inner.length > 0 && table[outer]?.variants === undefined) names.set(outer, `${around}, ${name}`)
  }
  return names
}
